"""Weak trials are asked to end while they run, judged by their metrics so far.

Nothing is killed: a program that does not look for the file STOP runs to its end, and its result counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agents.config.model import PrunerSettings, Settings
from agents.ledger import Ledger
from agents.metrics import FRACTIONS
from agents.outcome import Outcome, intermediate_values
from agents.trial import Direction, Trial, TrialState
from agents.watch import Watch
from scheduler.cluster import Cluster
from training.contract import MetricLine

ATTRIBUTE = "pruned"
"""Of the study: why trials were asked to end, by the names of their jobs."""

Points = Mapping[int, float]
"""Intermediate values by step."""


@dataclass(frozen=True)
class Weak:
    """A trial that is behind, at a step."""

    step: int
    best: float
    """Its own, so far."""
    median: float
    """Of the bests of others at that step."""
    others: int

    def __str__(self) -> str:
        return (
            f"{self.best:.4g} at best after step {self.step}, where {self.others} others had "
            f"{self.median:.4g} in the median"
        )


@dataclass(frozen=True)
class Outranked:
    """A trial that is not among those that go on from a rung."""

    step: int
    """The rung."""
    best: float
    """Its own, up to there."""
    rank: int
    """From 1; of equals the best that any of them could have."""
    reached: int
    """How many trials came to the rung, itself included."""
    go_on: int
    """How many of them the rung lets go on."""

    def __str__(self) -> str:
        return (
            f"{self.best:.4g} at best up to step {self.step}, rank {self.rank} of the {self.reached} "
            f"that came so far, of whom the best {self.go_on} go on"
        )


Why = Weak | Outranked


def judged_points(lines: Sequence[MetricLine], metric: str) -> Points:
    """What a trial is judged by; nothing where its lines do not tell of the objective."""
    tells = metric in FRACTIONS or any(line.values.get(metric) is not None for line in lines)
    return intermediate_values(lines, metric) if tells else {}


def weak(
    points: Points, others: Sequence[Points], settings: PrunerSettings, direction: Direction
) -> Weak | None:
    """Whether a trial's best so far is behind the median of what `others`, all completed, had then."""
    step = max(points, default=-1)
    if step < settings.warmup_steps or not points:
        return None
    then = [best for other in others if (best := _best(other, step, direction)) is not None]
    own = _best(points, step, direction)
    if own is None or len(then) < settings.startup_trials:
        return None
    median = statistics.median(then)
    behind = own < median if direction == "maximize" else own > median
    return Weak(step, own, median, len(then)) if behind else None


def outranked(
    points: Points, others: Sequence[Points], settings: PrunerSettings, direction: Direction
) -> Outranked | None:
    """Whether a trial is behind the best of those that came to the last rung it has passed.

    The stopping variant of asynchronous successive halving (Li et al., "A System for Massively
    Parallel Hyperparameter Tuning", MLSys 2020): nobody waits at a rung for others, or comes back to it.
    `others`: all that have run or run, whatever became of them.
    """
    step = rung(max(points, default=-1), settings)
    own = None if step is None else _best(points, step, direction)
    if step is None or own is None:
        return None
    there = (other for other in others if max(other, default=-1) >= step)
    then = [best for other in there if (best := _best(other, step, direction)) is not None]
    if len(then) < settings.startup_trials:
        return None
    ahead = sum(best > own if direction == "maximize" else best < own for best in then)
    reached = len(then) + 1
    go_on = max(1, reached // settings.reduction_factor)
    return Outranked(step, own, ahead + 1, reached, go_on) if ahead >= go_on else None


def rung(step: int, settings: PrunerSettings) -> int | None:
    """The last rung at or before a step; None before the first."""
    found, following = None, max(1, settings.warmup_steps)
    while following <= step:
        found, following = following, following * settings.reduction_factor
    return found


def _best(points: Points, step: int, direction: Direction) -> float | None:
    seen = [value for at, value in points.items() if at <= step]
    if not seen:
        return None
    return max(seen) if direction == "maximize" else min(seen)


class Pruning:
    """Asks weak trials to end, and knows why it did."""

    def __init__(self, ledger: Ledger, cluster: Cluster, watch: Watch) -> None:
        self._ledger = ledger
        self._cluster = cluster
        self._watch = watch
        self._asked: set[str] = set()
        self._passed: dict[str, int] = {}
        """At which step a trial was last let go on from a rung, by the names of jobs."""

    def due(self, trials: Sequence[Trial], settings: Settings) -> dict[int, Why]:
        """The running trials that are to end, and why. Those that confirm others are needed whole."""
        if settings.pruner.kind == "none":
            return {}
        direction, metric = settings.objective.direction, settings.objective.metric
        candidates = [
            trial
            for trial in trials
            if trial.confirms is None
            and trial.job is not None
            and trial.job.name not in self._asked
        ]
        if not candidates:
            return {}
        judged = {one.number: judged_points(self._watch.lines(one), metric) for one in trials}
        if settings.pruner.kind == "halving":
            return self._outranked(candidates, judged, settings)
        others = self._ledger.completed_points()
        found = {
            trial.number: weak(judged[trial.number], others, settings.pruner, direction)
            for trial in candidates
        }
        return {number: why for number, why in found.items() if why is not None}

    def _outranked(
        self, candidates: Sequence[Trial], judged: Mapping[int, Points], settings: Settings
    ) -> dict[int, Why]:
        """Those that fall behind at a rung. Each is judged once at a rung: who has passed it goes on to
        the next, whoever comes later."""
        pruner, direction = settings.pruner, settings.objective.direction
        new = [
            trial
            for trial in candidates
            if self._is_new_there(trial, rung(max(judged[trial.number], default=-1), pruner))
        ]
        if not new:
            return {}
        known = self._ledger.points()
        known.update((number, dict(points)) for number, points in judged.items() if number in known)
        found: dict[int, Why] = {}
        for trial in new:
            own = judged[trial.number]
            others = [points for number, points in known.items() if number != trial.number]
            why = outranked(own, others, pruner, direction)
            if why is None:
                self._passed[_name(trial)] = max(own)
            else:
                found[trial.number] = why
        return found

    def _is_new_there(self, trial: Trial, reached: int | None) -> bool:
        """Whether it has not passed this rung yet, as far as this process knows."""
        return reached is not None and self._passed.get(_name(trial), -1) < reached

    def end(self, trials: Sequence[Trial], why: Mapping[int, Why]) -> None:
        """Ask them to end. Why is entered first, for whoever comes after a crash. Doing it twice
        does no harm. May raise scheduler.errors.Away."""
        reasons = {t.job.name: str(why[t.number]) for t in trials if t.job is not None}
        self._ledger.set_attribute(ATTRIBUTE, {**self._kept(), **reasons})
        self._cluster.ask_to_end(self._watch.refs(trials))
        self._asked |= set(reasons)
        self._watch.changed()

    def as_seen(self, trial: Trial, ended: Outcome) -> Outcome:
        """How a trial ended that may have been asked to, with why."""
        reason = self._kept().get(trial.job.name) if trial.job is not None else None
        if reason is None or ended.state is not TrialState.PRUNED:
            return ended
        return replace(ended, warnings=[*ended.warnings, f"pruned: {reason}"])

    def _kept(self) -> dict[str, str]:
        kept: dict[str, str] = self._ledger.attributes().get(ATTRIBUTE, {})
        return kept


def _name(trial: Trial) -> str:
    assert trial.job is not None
    return trial.job.name
