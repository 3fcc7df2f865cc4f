"""Where the objective is most likely to become better: a Sobol start in the middle of the ranges, then
expected improvement.

Everything is computed from the history, the seed and the trial's number, so a resumed run comes to
the same. Measured in `benchmarks/hybrid/`, which also chose the constants.

Imports NumPy, SciPy and Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]
from scipy.stats import qmc  # type: ignore[import-untyped]

from agents.proposers.cube import Array, Cube
from agents.proposers.surrogate import MAX_TRIALS, Surrogate, has_value, inside
from agents.space import SearchSpace
from agents.trial import StudyView, Trial

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
CENTERS = 5
"""Best trials, or best candidates, around which is drawn."""
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
        self._fitted: tuple[object, Surrogate | None] = (None, None)

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
        model = self._model(known)
        if model is None:
            return None
        completed = [trial for trial in known.trials if has_value(trial)]
        sign = 1.0 if view.direction == "maximize" else -1.0
        best = sorted(completed, key=lambda trial: -sign * (trial.value or 0.0))[:CENTERS]
        coordinates = self._candidates(model, best, np.random.default_rng(chance_seed))
        tried = np.array([model.encoder.encode(trial.parameters) for trial in known.trials])
        return (self._cube.point(row) for row in coordinates if self._is_apart(row, tried))

    def _model(self, view: StudyView) -> Surrogate | None:
        """Fitted to what is completed; the rest is assumed. The fit is kept, for it is dear and
        the same for all trials of a batch."""
        key = [(trial.number, trial.value) for trial in view.completed]
        if self._fitted[0] != key:
            self._fitted = (key, Surrogate.fit(self._space, view))
        model = self._fitted[1]
        return model.given(view) if model is not None else None

    def _is_apart(self, row: Array, tried: Array) -> bool:
        away = np.abs(tried - self._cube.vectors(row[None, :])).max(axis=1)
        return bool((away >= APART).all())

    def _candidates(
        self, model: Surrogate, best: list[Trial], chance: np.random.Generator
    ) -> Array:
        """Coordinates, those with the largest expected improvement first."""
        centers = np.array([self._cube.coordinates(trial.parameters) for trial in best])
        anywhere = chance.random((ANYWHERE, self._cube.dimensions))
        found = np.vstack([anywhere, self._moved(centers, NEARBY, STEP, chance)])
        worth = self._worth(model, found)
        for turn in range(1, ROUNDS + 1):
            top = np.argsort(-worth, kind="stable")[:CENTERS]
            closer = self._moved(found[top], CLOSER, STEP / (3 * turn), chance)
            found = np.vstack([found, closer])
            worth = np.concatenate([worth, self._worth(model, closer)])
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

    def _worth(self, model: Surrogate, coordinates: Array) -> Array:
        means, deviations = model.posterior(self._cube.vectors(coordinates))
        return _log_expected_improvement((means - model.incumbent) / deviations) + np.log(
            deviations
        )


def _log_expected_improvement(z: Array) -> Array:
    """Of a unit normal over -z. As a logarithm, which tells hopeless points apart as well."""
    near = np.maximum(z, -5.0)
    density = np.exp(-0.5 * near**2) / math.sqrt(2.0 * math.pi)
    far = np.minimum(z, -5.0)
    tail = -0.5 * far**2 - 0.5 * math.log(2.0 * math.pi) - 2.0 * np.log(-far)
    worth: Array = np.where(z > -5.0, np.log(near * ndtr(near) + density), tail)
    return worth
