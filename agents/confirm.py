"""Before a winner is named, the best trials run again with fresh seeds. Pure.

One run of a noisy training is worth little: the best of many is the luckiest of the good ones. The
trials that run again belong to the search's ledger, with the number of the trial that they confirm;
proposers and convergence pass over them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from agents.config.model import ConfirmSettings
from agents.convergence import StopReason
from agents.proposers.pending import PointKey, point_key
from agents.thinning import spread
from agents.tradeoff import on_the_front, ranked
from agents.trial import Proposal, StudyView, Trial, TrialState, sign

_WITHOUT = frozenset({"failures_in_a_row", "asked"})
"""Rules after which nothing is confirmed: the jobs fail, or a person wants an end."""


@dataclass(frozen=True)
class Confirmed:
    """A trial and what came of running it again."""

    trial: Trial
    values: Sequence[float]
    """Of the runs with fresh seeds alone: the first was chosen for being high."""

    @property
    def mean(self) -> float:
        return statistics.mean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation; None for a single run."""
        free = len(self.values) - 1
        return math.hypot(*_deviations(self)) / math.sqrt(free) if free else None


def due(view: StudyView, settings: ConfirmSettings) -> list[Proposal]:
    """What has to run, the best trial's repeats first; nothing where all have run, or run now.

    The same for the same history, whatever has been confirmed of it.
    """
    again = [trial.confirms for trial in view.trials]
    return [
        Proposal(
            parameters=trial.parameters,
            origin=trial.origin,
            rationale=f"trial {trial.number} once more, with another seed",
            confirms=trial.number,
        )
        for trial in candidates(view, settings.trials)
        for _ in range(settings.seeds - again.count(trial.number))
    ]


def candidates(view: StudyView, count: int) -> list[Trial]:
    """The best trials of the search, each point once; of a search for two objectives so many of the Pareto
    front, evenly, its ends included. The best in the objective comes first."""
    if view.second is None:
        found = [trial for trial in ranked(view) if math.isfinite(trial.value or 0.0)]
        return _distinct(found, count)
    found = on_the_front(view)[::-1]
    return spread(_distinct(found, len(found)), count)


def _distinct(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The first `count` points, the first trial of each."""
    chosen: dict[PointKey, Trial] = {}
    for trial in trials:
        if len(chosen) == count:
            break
        chosen.setdefault(point_key(trial.parameters), trial)
    return list(chosen.values())


def is_wanted(stop: StopReason) -> bool:
    """Whether the best are confirmed after the search has stopped for this reason."""
    if stop.rule in _WITHOUT:
        return False
    if stop.rule in ("wall_clock", "node_hours"):
        return stop.numbers[stop.rule] < stop.numbers["limit"]
    return True


def confirmed(view: StudyView) -> list[Confirmed]:
    """The trials that ran again with success at least once, the best first: by their means, each with
    its standard error against it, since the mean of fewer runs is luckier."""
    values: dict[int, list[float]] = {}
    for trial in view.trials:
        if trial.confirms is None or trial.state is not TrialState.COMPLETED:
            continue
        if trial.value is not None and math.isfinite(trial.value):
            values.setdefault(trial.confirms, []).append(trial.value)
    found = [Confirmed(view.trials[number], tuple(runs)) for number, runs in values.items()]
    up = sign(view.direction)
    spread = _spread(found)

    def rank(one: Confirmed) -> tuple[float, int]:
        return -up * one.mean + spread / math.sqrt(len(one.values)), one.trial.number

    return sorted(found, key=rank)


def _spread(found: Sequence[Confirmed]) -> float:
    """Standard deviation between runs of one configuration, pooled; 0 where none ran twice."""
    free = sum(len(one.values) - 1 for one in found)
    every = (deviation for one in found for deviation in _deviations(one))
    return math.hypot(*every) / math.sqrt(free) if free else 0.0


def _deviations(one: Confirmed) -> list[float]:
    """What each run was above the mean of all. Their squares need not fit a float: a loss can be 1e200."""
    mean = one.mean
    return [value - mean for value in one.values]


def winner(view: StudyView) -> Trial | None:
    """The best of the confirmed trials; the best trial where none was confirmed.

    Of two objectives those that were confirmed lie far apart: without a value of the best one, the others
    tell nothing of it.
    """
    found, best = confirmed(view), view.best
    if view.second is not None and all(one.trial is not best for one in found):
        return best
    return found[0].trial if found else best
