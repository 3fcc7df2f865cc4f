"""What a point would be worth to the search, by models of the runs so far.

With one objective the expected improvement over the best run, with two the expected growth of the area
that the Pareto front dominates: M. Emmerich, A. Deutz, J. Klinkenberg, "Hypervolume-based expected
improvement: monotonicity properties and exact computation", CEC 2011. For two independent normal
values it is a sum over the strips between the corners of the front.

Imports NumPy, SciPy and Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]

from agents.proposers.cube import Array
from agents.proposers.encoding import Encoder
from agents.proposers.surrogate import FEWEST, Surrogate, has_value
from agents.space import SearchSpace
from agents.tradeoff import on_the_front, points
from agents.trial import StudyView, Trial, TrialState, sign

CENTERS = 5
"""Best trials around which is looked."""
MARGIN = 1.0
"""In standard deviations: so far behind the worst run lies the corner from which the area is measured,
so that the ends of the front count too."""
_NOTHING = 1e-300


class Goal(Protocol):
    """Ranks points."""

    @property
    def encoder(self) -> Encoder: ...

    @property
    def centers(self) -> Sequence[Trial]:
        """The best trials, around which to look."""
        ...

    def worth(self, vectors: Array) -> Array:
        """Of each encoded point, a row each: larger is better, as a logarithm."""
        ...


class Models:
    """Makes goals, and keeps the fits: they are dear, and the same for all trials of a batch."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._fitted: dict[str, tuple[object, Surrogate | None]] = {}

    def goal(self, view: StudyView) -> Goal | None:
        """The goal after these trials; None while there is too little to learn from."""
        first = self._model(view)
        if first is None:
            return None
        if view.second is None or is_constant(view):
            return OneGoal(first, view)
        second = self._model(second_alone(view))
        return None if second is None else TwoGoals(first, second, view)

    def _model(self, view: StudyView) -> Surrogate | None:
        """Fitted to what is completed; the rest is assumed."""
        key = [(trial.number, trial.value) for trial in view.completed]
        known, model = self._fitted.get(view.metric, (None, None))
        if known != key:
            model = Surrogate.fit(self._space, view)
            self._fitted[view.metric] = key, model
        return model.given(view) if model is not None else None


def second_alone(view: StudyView) -> StudyView:
    """The history with the second objective in the place of the first: where all its values are
    positive their logarithms, since times and sizes differ by factors.

    A result without it, of an earlier search that did not measure it, is left out: it is no failure.
    """
    assert view.second is not None
    told = _seconds_of(view)
    in_logarithms = is_logarithmic(view)

    def alone(trial: Trial) -> Trial:
        value = told.get(trial.number)
        return replace(
            trial, value=math.log(value) if value is not None and in_logarithms else value
        )

    return replace(
        view,
        metric=view.second.metric,
        direction=view.second.direction,
        trials=[
            alone(trial)
            for trial in view.trials
            if trial.number in told or trial.state is not TrialState.COMPLETED
        ],
        second=None,
    )


def is_constant(view: StudyView) -> bool:
    """Whether the second objective is the same in all trials, and they are enough to say so: then there
    is nothing to trade the first one for."""
    values = _seconds_of(view).values()
    return len(values) >= FEWEST and min(values) == max(values)


def is_logarithmic(view: StudyView) -> bool:
    """Whether `second_alone` gives logarithms."""
    return all(value > 0 for value in _seconds_of(view).values())


def _seconds_of(view: StudyView) -> dict[int, float]:
    assert view.second is not None
    return {point.trial.number: point.second for point in points(view, view.second)}


@dataclass(frozen=True)
class OneGoal:
    """Expected improvement."""

    model: Surrogate
    view: StudyView

    @property
    def encoder(self) -> Encoder:
        return self.model.encoder

    @property
    def centers(self) -> Sequence[Trial]:
        completed = [trial for trial in self.view.trials if has_value(trial)]
        up = sign(self.view.direction)
        return sorted(completed, key=lambda trial: -up * (trial.value or 0.0))[:CENTERS]

    def worth(self, vectors: Array) -> Array:
        means, deviations = self.model.posterior(vectors)
        return _log_expected_improvement((means - self.model.incumbent) / deviations) + np.log(
            deviations
        )


class TwoGoals:
    """Expected growth of the dominated area. The front is what the models take the runs for, so that one
    lucky run does not hide a region."""

    def __init__(self, first: Surrogate, second: Surrogate, view: StudyView) -> None:
        self._models = (first, second)
        self.encoder = first.encoder
        found = on_the_front(view)
        places = np.linspace(0, len(found) - 1, min(CENTERS, len(found))).round().astype(int)
        self.centers = [found[place] for place in places]
        known = [trial for trial in view.trials if has_value(trial)]
        vectors = np.array([self.encoder.encode(trial.parameters) for trial in known])
        self._corners = corners(*(model.posterior(vectors)[0] for model in self._models))

    def worth(self, vectors: Array) -> Array:
        (first, first_doubt), (second, second_doubt) = (
            model.posterior(vectors) for model in self._models
        )
        left, height = self._corners
        gains = [_expected_over(first, first_doubt, at) for at in left] + [np.zeros(len(first))]
        area = sum(
            (gains[n] - gains[n + 1]) * _expected_over(second, second_doubt, height[n])
            for n in range(len(left))
        )
        return np.log(np.maximum(area, _NOTHING))


def corners(first: Array, second: Array) -> tuple[Array, Array]:
    """The staircase that points, better where larger, make over the corner behind the worst of them: where
    each strip begins in the first value, and above which second value it is not dominated."""
    corner = first.min() - MARGIN, second.min() - MARGIN
    steps: list[tuple[float, float]] = []
    for at in np.lexsort((-first, -second)):
        if not steps or first[at] > steps[-1][0]:
            steps.append((float(first[at]), float(second[at])))
    left = np.array([corner[0], *(step[0] for step in steps)])
    height = np.array([*(step[1] for step in steps), corner[1]])
    return left, height


def _expected_over(means: Array, deviations: Array, bound: float) -> Array:
    """By how much normal values are expected to lie over a bound, those below it counting nothing."""
    z = (means - bound) / deviations
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    expected: Array = deviations * (density + z * ndtr(z))
    return expected


def _log_expected_improvement(z: Array) -> Array:
    """Of a unit normal over -z. As a logarithm, which tells hopeless points apart as well."""
    near = np.maximum(z, -5.0)
    density = np.exp(-0.5 * near**2) / math.sqrt(2.0 * math.pi)
    far = np.minimum(z, -5.0)
    tail = -0.5 * far**2 - 0.5 * math.log(2.0 * math.pi) - 2.0 * np.log(-far)
    worth: Array = np.where(z > -5.0, np.log(near * ndtr(near) + density), tail)
    return worth
