"""The search space as a unit cube with one coordinate for each parameter that is searched.

Imports Optuna and NumPy: import this module where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution

from agents.space import SearchSpace
from training.contract import ParameterValue

Array: TypeAlias = NDArray[np.float64]


class Cube:
    """Points of a space from coordinates, and back; many at once, for they are many."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._axes = {n: _axis(d) for n, d in space.distributions().items() if not d.single()}
        self._single = {n: _only(d) for n, d in space.distributions().items() if d.single()}
        self.dimensions = len(self._axes)
        self.unordered = np.array([isinstance(a, _Choices) for a in self._axes.values()], bool)
        """By coordinate: whether next to it means nothing."""

    def point(self, coordinates: Array) -> dict[str, Any]:
        """The configuration there, what does not apply left out; not validated."""
        rows = coordinates[None, :]
        values = {n: a.values(rows[:, k])[0] for k, (n, a) in enumerate(self._axes.items())}
        return self._space.active_part({**self._single, **values})

    def coordinates(self, parameters: Mapping[str, ParameterValue]) -> list[float]:
        """Where a configuration is; in the middle for what does not apply."""
        return [
            axis.coordinate(parameters[name]) if name in parameters else 0.5
            for name, axis in self._axes.items()
        ]

    def vectors(self, coordinates: Array) -> Array:
        """What `Encoder.encode` makes of the configurations at rows of coordinates."""
        columns = [axis.encoded(coordinates[:, k]) for k, axis in enumerate(self._axes.values())]
        if self._space.conditions:
            points = [self.point(row) for row in coordinates]
            for column, (name, axis) in zip(columns, self._axes.items(), strict=True):
                column[[name not in point for point in points]] = axis.absent
        return np.hstack(columns)


class _Numbers:
    """A range of numbers. Where these have steps, the coordinate goes half a step beyond both ends,
    so that each number is as likely as the others."""

    absent = 0.5

    def __init__(self, distribution: Any) -> None:
        self._low, self._high = distribution.low, distribution.high
        self._log, self._step = distribution.log, distribution.step
        self._whole = not isinstance(distribution, FloatDistribution)
        margin = (self._step or 0.0) / 2
        self._ends = self._scaled(np.array([self._low - margin, self._high + margin]))
        self._range = self._scaled(np.array([self._low, self._high], dtype=float))

    def _scaled(self, numbers: Array) -> Array:
        return np.log(numbers) if self._log else numbers

    def _numbers(self, shares: Array) -> Array:
        scaled = self._ends[0] + shares * (self._ends[1] - self._ends[0])
        numbers = np.exp(scaled) if self._log else scaled
        if self._step is not None:
            numbers = self._low + self._step * np.round((numbers - self._low) / self._step)
        clipped: Array = np.clip(numbers, self._low, self._high)
        return clipped

    def values(self, shares: Array) -> Sequence[ParameterValue]:
        numbers = self._numbers(shares).tolist()
        return [int(number) for number in numbers] if self._whole else numbers

    def coordinate(self, value: Any) -> float:
        scaled = self._scaled(np.array(float(value)))
        return float(np.clip((scaled - self._ends[0]) / (self._ends[1] - self._ends[0]), 0, 1))

    def encoded(self, shares: Array) -> Array:
        scaled = self._scaled(self._numbers(shares))
        column: Array = (scaled - self._range[0]) / (self._range[1] - self._range[0])
        return np.clip(column, 0.0, 1.0)[:, None]


class _Choices:
    absent = 0.0

    def __init__(self, distribution: CategoricalDistribution) -> None:
        self._choices = distribution.choices

    def _positions(self, shares: Array) -> NDArray[np.intp]:
        count = len(self._choices)
        return np.minimum(count - 1, (shares * count).astype(np.intp))

    def values(self, shares: Array) -> Sequence[ParameterValue]:
        return [self._choices[position] for position in self._positions(shares)]

    def coordinate(self, value: Any) -> float:
        return (self._choices.index(value) + 0.5) / len(self._choices)

    def encoded(self, shares: Array) -> Array:
        vectors: Array = np.eye(len(self._choices))[self._positions(shares)] * np.sqrt(0.5)
        return vectors


def _axis(distribution: Any) -> _Numbers | _Choices:
    if isinstance(distribution, CategoricalDistribution):
        return _Choices(distribution)
    return _Numbers(distribution)


def _only(distribution: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low
