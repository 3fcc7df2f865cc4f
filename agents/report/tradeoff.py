"""The objective against a second metric: which trials are not beaten in both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.report.facts import RunFacts
from agents.report.numbers import as_float
from agents.report.study import valued
from agents.trial import Direction, StudyView, Trial

SECONDS = "seconds"


@dataclass(frozen=True)
class Point:
    """A completed trial with both of its values."""

    trial: Trial
    value: float
    second: float


def points(view: StudyView, facts: RunFacts) -> list[Point]:
    """The completed trials that have both values."""
    found = []
    for trial, value in valued(view):
        second = second_value(trial, facts.second_metric)
        if second is not None:
            found.append(Point(trial, value, second))
    return found


def second_value(trial: Trial, metric: str) -> float | None:
    """A trial's value of the second metric."""
    told = as_float(trial.metrics.get(metric))
    return as_float(trial.seconds) if told is None and metric == SECONDS else told


def front(found: Sequence[Point], first: Direction, second: Direction) -> list[Point]:
    """The Pareto front, from the best in the second metric to the best in the first.

    A point is on it where no other is at least as good in both and better in one. Of equals the
    earliest trial stands for all.
    """
    up, right = _sign(first), _sign(second)
    ranked = sorted(found, key=lambda p: (-right * p.second, -up * p.value, p.trial.number))
    kept: list[Point] = []
    for point in ranked:
        if not kept or up * point.value > up * kept[-1].value:
            kept.append(point)
    return kept


def _sign(direction: Direction) -> float:
    return 1.0 if direction == "maximize" else -1.0
