"""Questions that every report asks of a study. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agents.trial import StudyView, Trial, sign


@dataclass(frozen=True)
class Gain:
    """How much better the best trial is than the one that the search began with."""

    baseline: Trial
    absolute: float
    """In the objective's unit, signed as measured (negative where less is better)."""
    relative: float | None
    """`absolute` as a fraction of the baseline's size; None for a baseline of 0."""


def finite(view: StudyView) -> StudyView:
    """The study with objectives that are no finite numbers taken out."""
    trials = [
        trial if trial.value is None or math.isfinite(trial.value) else replace(trial, value=None)
        for trial in view.trials
    ]
    return replace(view, trials=trials)


def until(view: StudyView, iteration: int) -> StudyView:
    """The study as of the end of an iteration: later ones left out."""
    return replace(view, trials=[trial for trial in view.trials if trial.iteration <= iteration])


def valued(view: StudyView) -> list[tuple[Trial, float]]:
    """Completed trials with their objective, in the order of their numbers.

    Those that only run another one again, to confirm it, are not of the search.
    """
    return [(trial, trial.value) for trial in view.completed if trial.value is not None]


def is_better(value: float, other: float, view: StudyView) -> bool:
    """Whether `value` beats `other` in the direction of the study."""
    return value > other if view.direction == "maximize" else value < other


def best_first(view: StudyView) -> list[tuple[Trial, float]]:
    """Completed trials from the best to the worst; the earlier of equals first."""
    up = sign(view.direction)
    return sorted(valued(view), key=lambda pair: (-up * pair[1], pair[0].number))


def gain_of(view: StudyView) -> Gain | None:
    """The gain over the default trial, or over the first that completed; None where it is the best."""
    scored = valued(view)
    best = view.best
    if best is None or best.value is None:
        return None
    defaults = (pair for pair in scored if pair[0].origin == "default")
    baseline, value = next(defaults, scored[0])
    absolute = best.value - value
    if absolute == 0:
        return None
    return Gain(baseline, absolute, absolute / abs(value) if value else None)
