"""Where the objective is most likely to become better: a Sobol start in the middle of the ranges, then
expected improvement.

Everything is computed from the history, the seed and the trial's number, so a resumed run comes to
the same. Measured in `benchmarks/hybrid/`, which also chose the constants.

Imports NumPy, SciPy and Optuna: import this module where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import qmc  # type: ignore[import-untyped]

from agents.proposers.cube import Array, Cube
from agents.proposers.goals import CENTERS, Goal, Models
from agents.proposers.surrogate import MAX_TRIALS, inside
from agents.space import SearchSpace
from agents.trial import StudyView

STARTUP = 5
"""Trials before the model is asked."""
MIDDLE = 0.6
"""Part of each range of numbers that the start is spread over. People lay ranges around what they hold
sensible, and most of what lies near their ends is far from good."""
EXPLORE = 5
"""Every so manieth trial is a point of the Sobol sequence. It keeps a model that is wrong about
a region from never looking there again."""
ANYWHERE = 200
NEARBY = 150
"""Candidates, drawn from the whole space and around the best trials."""
ROUNDS = 2
CLOSER = 50
"""Candidates around the best ones so far, in each of the rounds, with smaller steps."""
STEP = 0.3
MOVED = 0.4
"""How likely a coordinate is moved; a choice is moved half as often."""

APART = 0.02
"""Of the range of some parameter, at least, between two trials: closer ones teach the same, and
the trials of a batch would crowd where the model is sure of itself."""

Point = Mapping[str, Any]


class Improvement:
    """Ranks points for one trial after the other."""

    def __init__(self, space: SearchSpace, seed: int, startup: int | None) -> None:
        self._space = space
        self._seed = seed
        self._startup = STARTUP if startup is None else startup
        self._cube = Cube(space)
        self._models = Models(space)

    def covers(self, view: StudyView) -> bool:
        """Whether the history is short enough for the model, and there is anything to search."""
        return len(view.trials) <= MAX_TRIALS and self._cube.dimensions > 0

    def spread(self, view: StudyView) -> Point:
        """The point of a scrambled Sobol sequence for the next trial; at the start in the middle of the
        ranges."""
        sequence = qmc.Sobol(self._cube.dimensions, scramble=True, rng=self._seed % 2**32)
        if view.trials:
            sequence.fast_forward(len(view.trials))
        row = sequence.random(1)[0]
        if len(view.trials) < self._startup:
            row = np.where(self._cube.unordered, row, 0.5 + MIDDLE * (row - 0.5))
        return self._cube.point(row)

    def ranked(self, view: StudyView, chance_seed: int) -> Iterator[Point] | None:
        """Candidates for the next trial, the best first, not validated; None where the next trial
        is one to spread, or nothing can be learnt yet."""
        number = len(view.trials)
        if number < self._startup or number % EXPLORE == 0:
            return None
        known = inside(self._space, view)
        goal = self._models.goal(known)
        if goal is None:
            return None
        coordinates = self._candidates(goal, np.random.default_rng(chance_seed))
        tried = np.array([goal.encoder.encode(trial.parameters) for trial in known.trials])
        return (self._cube.point(row) for row in coordinates if self._is_apart(row, tried))

    def _is_apart(self, row: Array, tried: Array) -> bool:
        away = np.abs(tried - self._cube.vectors(row[None, :])).max(axis=1)
        return bool((away >= APART).all())

    def _candidates(self, goal: Goal, chance: np.random.Generator) -> Array:
        """Coordinates, those that are worth most first."""
        centers = np.array([self._cube.coordinates(trial.parameters) for trial in goal.centers])
        anywhere = chance.random((ANYWHERE, self._cube.dimensions))
        found = np.vstack([anywhere, self._moved(centers, NEARBY, STEP, chance)])
        worth = goal.worth(self._cube.vectors(found))
        for turn in range(1, ROUNDS + 1):
            top = np.argsort(-worth, kind="stable")[:CENTERS]
            closer = self._moved(found[top], CLOSER, STEP / (3 * turn), chance)
            found = np.vstack([found, closer])
            worth = np.concatenate([worth, goal.worth(self._cube.vectors(closer))])
        ranked: Array = found[np.argsort(-worth, kind="stable")]
        return ranked

    def _moved(self, centers: Array, count: int, step: float, chance: np.random.Generator) -> Array:
        """Points next to the centers: at least one coordinate moved, by `step` or much less."""
        starts = centers[chance.integers(len(centers), size=count)]
        shape, unordered = starts.shape, self._cube.unordered
        moves = chance.random(shape) < np.where(unordered, MOVED / 2, MOVED)
        moves[np.arange(count), chance.integers(shape[1], size=count)] = True
        steps = step * np.exp(-2.5 * chance.random((count, 1)))
        ends = np.abs(starts + steps * chance.normal(size=shape))
        ends = np.clip(1.0 - np.abs(1.0 - ends), 0.0, 1.0)  # thrown back from the walls
        ends = np.where(unordered, chance.random(shape), ends)
        return np.where(moves, ends, starts)
