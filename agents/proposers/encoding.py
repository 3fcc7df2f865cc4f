"""Points of a space as vectors, so that distances between them mean something.

Imports Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from training.contract import ParameterValue

NEAR = 0.005
"""Share of each range within which two points teach the same."""


class Encoder:
    """Points of a space as vectors in the unit cube: logarithms where the scale is, choices as
    one coordinate each, parameters that do not apply in the middle."""

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self._distributions = {n: d for n, d in distributions.items() if not d.single()}

    def near(self, one: Mapping[str, ParameterValue], other: Mapping[str, ParameterValue]) -> bool:
        """Whether two points have the same parameters, and none `moved` by as much as `NEAR`."""
        return one.keys() == other.keys() and next(self._moved(one, other, NEAR), None) is None

    def moved(
        self, one: Mapping[str, ParameterValue], other: Mapping[str, ParameterValue], by: float
    ) -> list[str]:
        """The parameters in which two points differ by this share of a range or more, or that only
        one of them has."""
        return list(self._moved(one, other, by))

    def encode(self, parameters: Mapping[str, ParameterValue]) -> list[float]:
        """The vector of one point."""
        return [part for name in self._distributions for part in self._part(name, parameters)]

    def _moved(
        self, one: Mapping[str, ParameterValue], other: Mapping[str, ParameterValue], by: float
    ) -> Iterator[str]:
        for name in self._distributions:
            pairs = zip(self._part(name, one), self._part(name, other), strict=True)
            if (name in one) != (name in other) or any(abs(a - b) >= by for a, b in pairs):
                yield name

    def _part(self, name: str, parameters: Mapping[str, ParameterValue]) -> list[float]:
        """The coordinates of one parameter."""
        distribution, value = self._distributions[name], parameters.get(name)
        if isinstance(distribution, CategoricalDistribution):
            here = [name in parameters and choice == value for choice in distribution.choices]
            return [float(one) * math.sqrt(0.5) for one in here]
        return [_share(distribution, float(value)) if isinstance(value, (int, float)) else 0.5]


def _share(distribution: Any, value: float) -> float:
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
    return min(1.0, max(0.0, (value - low) / (high - low)))
