"""Grid search: every point of a finite space once, in a fixed, well spread order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from agents.errors import ConfigurationError, ProposalRejected
from agents.proposers import Proposed
from agents.proposers.pending import point_key
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView, Trial
from training.contract import ParameterValue

Point = Mapping[str, ParameterValue]

SMALL_SPACE = 10_000
"""Up to so many points, an untried one is looked up rather than drawn."""


def small_grid(space: SearchSpace, seed: int) -> Grid | None:
    """The points of a small finite space; None for any other."""
    size = space.cardinality()
    return Grid(space, seed) if size is not None and size <= SMALL_SPACE else None


class Grid:
    """The allowed points of a finite space.

    Optuna's grid sampler knows neither conditional parameters nor constraints; this grid holds
    what `SearchSpace.suggest` can produce and `SearchSpace.holds` allows, each point once.

    Raises ConfigurationError where a float parameter has no step.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._axes = {name: _values(name, d) for name, d in space.distributions().items()}
        self.size = math.prod(len(axis) for axis in self._axes.values())
        """Points of the full product, forbidden ones and inactive branches included."""
        # Multiples of a number without a common factor visit every index once; a step near the
        # golden section of the size lands far from all the points before.
        self._stride = max(1, round(self.size * 0.6180339887))
        while math.gcd(self._stride, self.size) > 1:
            self._stride += 1
        self._offset = seed % self.size
        self._listed: list[Point] = []
        self._position = 0

    def points(self) -> Iterator[Point]:
        """The points in the grid's order, listed as far as they are asked for."""
        yield from self._listed
        while self._position < self.size:
            index = (self._offset + self._position * self._stride) % self.size
            self._position += 1
            point = self._point(index)
            if point is not None:
                self._listed.append(point)
                yield point

    def is_used_up(self, trials: Sequence[Trial]) -> bool:
        """Whether each point has been tried, or is being tried."""
        tried = {point_key(trial.parameters) for trial in trials}
        return all(point_key(point) in tried for point in self.points())

    def _point(self, index: int) -> Point | None:
        """The point at an index of the full product; None for a forbidden or doubled one."""
        from optuna.trial import FixedTrial

        values: dict[str, ParameterValue] = {}
        first: dict[str, bool] = {}
        for name, axis in self._axes.items():
            index, digit = divmod(index, len(axis))
            values[name] = axis[digit]
            first[name] = digit == 0
        trial = FixedTrial(values)
        point: Point = self._space.suggest(trial)
        # An inactive parameter takes its first value only: the others would be the same point.
        inactive = values.keys() - trial.params.keys()
        if not all(first[name] for name in inactive):
            return None
        try:
            return self._space.validate(point)
        except ProposalRejected:
            return None


class GridProposer:
    """Proposes the grid's points that nobody has tried; fewer than asked for at its end.

    Deterministic, and without state: what has been tried is read from the view.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._grid = Grid(space, seed)

    def propose(self, view: StudyView, count: int) -> Proposed:
        tried = {point_key(trial.parameters) for trial in view.trials}
        proposals: list[Proposal] = []
        for position, point in enumerate(self._grid.points(), start=1):
            if len(proposals) == count:
                break
            if point_key(point) not in tried:
                rationale = f"grid search, point {position}"
                proposals.append(Proposal(point, origin="sampler", rationale=rationale))
        notices = () if len(proposals) == count else ("The grid is used up.",)
        return Proposed(proposals, sampler_state=view.sampler_state, notices=notices)


def _values(name: str, distribution: object) -> list[ParameterValue]:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        low, step = distribution.low, distribution.step
        count = round((distribution.high - low) / step) + 1
        return [min(distribution.high, low + k * step) for k in range(count)]
    raise ConfigurationError(
        f"search_space.{name}: grid search needs finitely many values: give it a step, make it "
        "categorical, or choose another proposer.sampler.kind"
    )
