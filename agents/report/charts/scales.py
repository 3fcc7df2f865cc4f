"""Scales: from values to places between 0 and 1, with ticks at round numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.config.model import CategoricalParameter, FixedParameter, FloatParameter, IntParameter
from agents.metrics import as_float
from agents.report.numbers import parameter_text
from training.contract import ParameterValue

_EPSILON = 1e-9


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where (0 to 1) and what stands there."""

    place: float
    label: str


class Scale(Protocol):
    """Maps values to [0, 1]; None for what has no place on it."""

    def place(self, value: object) -> float | None: ...

    def ticks(self, wanted: int) -> list[Tick]: ...


@dataclass(frozen=True)
class LinearScale:
    low: float
    high: float
    whole: bool = False
    """Whether only whole numbers get a tick."""

    def holds(self, value: float) -> bool:
        """Whether the value has a place of its own, not one on the edge."""
        return self.low <= value <= self.high

    def place(self, value: object) -> float | None:
        number = as_float(value)
        if number is None:
            return None
        # Halves keep the difference of two huge numbers finite.
        span = self.high / 2 - self.low / 2
        if not span > 0:
            return 0.5
        return _clamp((number / 2 - self.low / 2) / span)

    def ticks(self, wanted: int) -> list[Tick]:
        least = 1.0 if self.whole else 0.0
        return _ticks(self, round_values(self.low, self.high, wanted, least))


@dataclass(frozen=True)
class LogScale:
    """For positive values; `low` and `high` are positive."""

    low: float
    high: float

    def place(self, value: object) -> float | None:
        number = as_float(value)
        if number is None or number <= 0:
            return None
        span = math.log(self.high) - math.log(self.low)
        return _clamp((math.log(number) - math.log(self.low)) / span) if span > 0 else 0.5

    def ticks(self, wanted: int) -> list[Tick]:
        return _ticks(self, _log_values(self.low, self.high, wanted))


@dataclass(frozen=True)
class CategoryScale:
    """Equal bands; a value stands in the middle of its own."""

    choices: Sequence[ParameterValue]

    def place(self, value: object) -> float | None:
        for index, choice in enumerate(self.choices):
            # True is 1 in Python, and not in a search space.
            if type(choice) is type(value) and choice == value:
                return (index + 0.5) / len(self.choices)
        return None

    def ticks(self, wanted: int) -> list[Tick]:
        stride = max(1, math.ceil(len(self.choices) / max(1, wanted * 3)))
        shown = list(enumerate(self.choices))[::stride]
        return [Tick((i + 0.5) / len(self.choices), parameter_text(c)) for i, c in shown]


def parameter_scale(
    parameter: FloatParameter | IntParameter | CategoricalParameter | FixedParameter,
) -> Scale:
    """The scale on which the search sees a parameter."""
    if isinstance(parameter, CategoricalParameter):
        return CategoryScale(parameter.choices)
    if isinstance(parameter, FixedParameter):
        return CategoryScale([parameter.value])
    if parameter.scale == "log" and parameter.low > 0:
        return LogScale(parameter.low, parameter.high)
    whole = isinstance(parameter, IntParameter)
    return LinearScale(parameter.low, parameter.high, whole)


def fitted(values: Sequence[float]) -> LinearScale:
    """A linear scale around the values, a little wider on both sides."""
    low, high = min(values), max(values)
    margin = 0.05 * (high / 2 - low / 2) * 2 or abs(high) * 0.01 or 0.5
    return LinearScale(_finite(low - margin, low), _finite(high + margin, high))


def round_values(low: float, high: float, wanted: int, least: float = 0.0) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], about `wanted` of them.

    Their distance is `least` or more.
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low] if low == high else [low, high]
    step = max(least, _round_step(span, max(2, wanted)))
    first, last = math.ceil(low / step - _EPSILON), math.floor(high / step + _EPSILON)
    if last - first > 4 * wanted + 8:  # no longer distinguishable as floating point numbers
        return [low, high]
    return [index * step for index in range(first, last + 1)]


def _round_step(span: float, wanted: int) -> float:
    """The round step that divides the span into the number of parts nearest to `wanted`."""
    part = span / wanted
    power = 10.0 ** math.floor(math.log10(part)) if part > 0 else 0.0
    if power == 0:  # below the smallest numbers that floating point can tell apart
        return span
    steps = (factor * power for factor in (1, 2, 5, 10))
    return min(steps, key=lambda step: abs(math.log(span / step / wanted)))


def _log_values(low: float, high: float, wanted: int) -> list[float]:
    if not 0 < low < high:
        return [low]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / max(1, wanted)))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    powers = range(max(first, -307), min(last, 307) + 1, stride)
    values = [factor * 10.0**power for power in powers for factor in factors]
    within = [v for v in values if low * (1 - _EPSILON) <= v <= high * (1 + _EPSILON)]
    return within if len(within) >= 2 else [low, high]


def _ticks(scale: Scale, values: Sequence[float]) -> list[Tick]:
    labels = tick_labels(values)
    places = [(scale.place(value), label) for value, label in zip(values, labels, strict=True)]
    return [Tick(place, label) for place, label in places if place is not None]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Round values, short: ``0.25``, ``200k``, ``1e-5``; thousands alike on the whole axis."""
    in_thousands = any(_is_long(value) for value in values)
    return [_label(value, in_thousands).replace("-", "\N{MINUS SIGN}") for value in values]


def _is_long(value: float) -> bool:
    """Whether a value is shorter with a k or an M, and loses nothing by it."""
    return 10**5 <= abs(value) < 10**9 and float(f"{value:.3g}") == value


def _label(value: float, in_thousands: bool) -> str:
    if in_thousands and 10**6 <= abs(value) < 10**9:
        return f"{value / 10**6:g}M"
    if in_thousands and 10**3 <= abs(value) < 10**6:
        return f"{value / 1000:g}k"
    mantissa, mark, exponent = f"{value:.6g}".partition("e")
    return f"{float(mantissa):.3g}e{int(exponent)}" if mark else mantissa


def _clamp(place: float) -> float:
    return min(1.0, max(0.0, place))


def _finite(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise
