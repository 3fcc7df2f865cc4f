"""Points of a space as vectors, so that distances between them mean something.

Imports Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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
        """Whether two points differ by less than `NEAR` in each coordinate."""
        pairs = zip(self.encode(one), self.encode(other), strict=True)
        return one.keys() == other.keys() and all(abs(a - b) < NEAR for a, b in pairs)

    def encode(self, parameters: Mapping[str, ParameterValue]) -> list[float]:
        """The vector of one point."""
        vector: list[float] = []
        for name, distribution in self._distributions.items():
            value = parameters.get(name)
            if isinstance(distribution, CategoricalDistribution):
                here = [name in parameters and choice == value for choice in distribution.choices]
                vector += [float(one) * math.sqrt(0.5) for one in here]
            elif isinstance(value, (int, float)):
                vector.append(_share(distribution, float(value)))
            else:
                vector.append(0.5)
        return vector


def _share(distribution: Any, value: float) -> float:
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
    return min(1.0, max(0.0, (value - low) / (high - low)))
