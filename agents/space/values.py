"""One parameter at a time: is a value allowed, what is the default, how many values are there. Pure."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from training.contract import ParameterValue

GRID_TOLERANCE = 1e-6
"""How far, in steps, a value may be off its grid and still be taken for the grid's."""
RANGE_TOLERANCE = 1e-9
"""How far a value may be outside by rounding, relative to the range (log: to its end)."""


class NotAllowed(ValueError):
    """A value outside its parameter; the message completes "learning_rate: …"."""


def same_value(one: ParameterValue, other: ParameterValue) -> bool:
    """Equality that keeps flags and numbers apart (in Python ``True == 1``)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


def among(value: ParameterValue, values: Iterable[ParameterValue]) -> bool:
    """Whether `value` is one of `values`, by `same_value`."""
    return any(same_value(value, known) for known in values)


def shown(number: float) -> str:
    """A number for people: short, and still itself."""
    if isinstance(number, int):
        return str(number)
    short = f"{number:g}"
    if 0 < abs(number) < 0.001:  # zeros are miscounted, by LLMs above all
        mantissa, _, exponent = f"{number:.5e}".partition("e")
        short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return short if float(short) == number else repr(number)


def choice_text(value: object) -> str:
    """A choice as JSON and YAML have it. Text is without quotes where it can be nothing else: "64" and
    64, "null" and null are told apart."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)


def grid_value(parameter: FloatParameter, position: int) -> float:
    """A value of a float's grid, the way a person would write it: 0.3, not 0.30000000000000004."""
    step = Decimal(str(parameter.step))
    return min(parameter.high, float(Decimal(str(parameter.low)) + position * step))


def checked(parameter: Parameter, value: object) -> ParameterValue:
    """The value in its exact type, rounding taken away. Raises NotAllowed with the reason."""
    match parameter:
        case FloatParameter():
            return _checked_float(parameter, value)
        case IntParameter():
            return _checked_int(parameter, value)
        case CategoricalParameter(choices=choices):
            return _checked_choice(choices, value)
        case FixedParameter(value=fixed):
            return _checked_choice([fixed], value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotAllowed(f"{value!r:.80} is not a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise NotAllowed("the number is too large") from error
    if not math.isfinite(number):
        raise NotAllowed(f"{value!r} is not a finite number")
    return number


def _checked_float(parameter: FloatParameter, value: object) -> float:
    number = _number(value)
    low, high = parameter.low, parameter.high
    # A log range can begin many orders below its end: 0 must not pass for its beginning.
    below, above = (low, high) if parameter.scale == "log" else (high - low, high - low)
    if not low - RANGE_TOLERANCE * below <= number <= high + RANGE_TOLERANCE * above:
        raise NotAllowed(f"{shown(number)} is not between {shown(low)} and {shown(high)}")
    if parameter.step is not None:
        steps = (number - low) / parameter.step
        if abs(steps - round(steps)) > GRID_TOLERANCE:
            grid = f"{shown(low)} + k * {shown(parameter.step)}"
            raise NotAllowed(f"{shown(number)} is not on the grid {grid}")
        return grid_value(parameter, round(steps))
    return min(high, max(low, number))


def _checked_int(parameter: IntParameter, value: object) -> int:
    number = _number(value)
    if number != round(number):
        raise NotAllowed(f"{shown(number)} is not a whole number")
    low, high, step = parameter.low, parameter.high, parameter.step
    whole = int(value) if isinstance(value, int) else round(number)
    if not low <= whole <= high:
        raise NotAllowed(f"{whole} is not between {low} and {high}")
    if (whole - low) % step:
        raise NotAllowed(f"{whole} is not on the grid {low} + k * {step}")
    return whole


def _checked_choice(choices: list[ParameterValue], value: object) -> ParameterValue:
    if not (value is None or isinstance(value, (bool, int, float, str))):
        raise NotAllowed(f"{value!r:.80} is not one of {_listed(choices)}")
    for choice in choices:
        if same_value(choice, value):
            return choice
    text = repr(value) if isinstance(value, str) else choice_text(value)
    raise NotAllowed(f"{text:.80} is not one of {_listed(choices)}")


def _listed(choices: list[ParameterValue]) -> str:
    return ", ".join(map(choice_text, choices))


def has_default(parameter: Parameter) -> bool:
    """Whether the person chose the default."""
    if isinstance(parameter, CategoricalParameter):
        return "default" in parameter.model_fields_set
    return isinstance(parameter, FixedParameter) or parameter.default is not None


def default(parameter: Parameter) -> ParameterValue:
    """The person's default; else the middle of the range (of its logarithm), the first choice."""
    match parameter:
        case FixedParameter(value=value):
            return value
        case CategoricalParameter(choices=choices):
            return parameter.default if has_default(parameter) else choices[0]
        case FloatParameter(default=given) | IntParameter(default=given) if given is not None:
            return given
        case FloatParameter() | IntParameter():
            return at(parameter, 0.5)


def at(parameter: FloatParameter | IntParameter, share: float) -> float | int:
    """The value at a share (0 to 1) of the range, or of its logarithm; on the grid."""
    low, high = float(parameter.low), float(parameter.high)
    if share <= 0 or share >= 1:
        return parameter.low if share <= 0 else parameter.high
    if parameter.scale == "log":
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    if isinstance(parameter, IntParameter):
        steps = round((value - low) / parameter.step)
        most = (parameter.high - parameter.low) // parameter.step
        return parameter.low + min(most, max(0, steps)) * parameter.step
    if parameter.step is not None:
        return grid_value(parameter, round((value - low) / parameter.step))
    return min(high, max(low, value))


def between(
    parameter: Parameter, near: ParameterValue, far: ParameterValue, share: float
) -> ParameterValue:
    """The value at a share of the way from `near` to `far`; without a way, `near` or `far`."""
    if share == 0 or near == far:
        return near
    if not isinstance(parameter, (FloatParameter, IntParameter)):
        return far
    return at(parameter, _share(parameter, near) * (1 - share) + _share(parameter, far) * share)


def _share(parameter: FloatParameter | IntParameter, value: Any) -> float:
    """Where a value lies in the range, or in its logarithm, from 0 to 1."""
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale == "log":
        return math.log(float(value) / low) / math.log(high / low)
    return (float(value) - low) / (high - low)


def evenly(parameter: Parameter, chance: random.Random) -> ParameterValue:
    """A value drawn (log-)uniformly."""
    match parameter:
        case FixedParameter(value=value):
            return value
        case CategoricalParameter(choices=choices):
            return chance.choice(choices)
        case FloatParameter() | IntParameter():
            return at(parameter, chance.random())


def drawn(parameter: Parameter, chance: random.Random) -> ParameterValue:
    """A value drawn (log-)uniformly, and every other time from the ends of the range.

    Where little of the range is allowed, an end often is.
    """
    if isinstance(parameter, FloatParameter | IntParameter):
        return at(parameter, chance.choice((chance.random(), chance.random(), 0.0, 1.0)))
    return evenly(parameter, chance)


def count(parameter: Parameter) -> int | None:
    """How many values there are; None for a continuous range."""
    match parameter:
        case FixedParameter():
            return 1
        case CategoricalParameter(choices=choices):
            return len(choices)
        case IntParameter(low=low, high=high, step=step):
            return (high - low) // step + 1
        case FloatParameter(low=low, high=high, step=step):
            return None if step is None else round((high - low) / step) + 1
