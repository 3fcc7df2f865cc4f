"""Two objectives: which trials no other one beats in both. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.metrics import as_float
from agents.trial import Direction, Second, StudyView, Trial, TrialState, sign

SECONDS = "seconds"
"""The name of the training time, which every result has."""
EQUAL = 0.01
"""Share of its value by which a second objective may be worse and still counts as equal: training times
never repeat to the digit."""


@dataclass(frozen=True)
class Point:
    """A completed trial with both of its values."""

    trial: Trial
    value: float
    second: float


def points(view: StudyView, second: Second) -> list[Point]:
    """The completed trials that have both values, finite ones, without those that confirm others."""
    return [point for trial in view.completed if (point := point_of(trial, second)) is not None]


def point_of(trial: Trial, second: Second) -> Point | None:
    """Both values of a completed trial; None where one is missing."""
    other = second_value(trial, second.metric)
    if trial.state is not TrialState.COMPLETED or trial.value is None or other is None:
        return None
    if not (math.isfinite(trial.value) and math.isfinite(other)):
        return None
    return Point(trial, trial.value, other)


def second_value(trial: Trial, metric: str) -> float | None:
    """A trial's value of the second metric."""
    told = as_float(trial.metrics.get(metric))
    return as_float(trial.seconds) if told is None and metric == SECONDS else told


def front(found: Sequence[Point], first: Direction, second: Direction) -> list[Point]:
    """The Pareto front, from the best in the second metric to the best in the first.

    A point is on it where no other is at least as good in both and better in one. Of equals the
    earliest trial stands for all.
    """
    up, right = sign(first), sign(second)
    ranked = sorted(found, key=lambda p: (-right * p.second, -up * p.value, p.trial.number))
    kept: list[Point] = []
    for point in ranked:
        if not kept or up * point.value > up * kept[-1].value:
            kept.append(point)
    return kept


def on_the_front(view: StudyView) -> list[Trial]:
    """The trials that no other one beats: with one objective the best, with two the Pareto front."""
    if view.second is None:
        return [] if view.best is None else [view.best]
    found = front(points(view, view.second), view.direction, view.second.direction)
    return [point.trial for point in found]


def ranked(view: StudyView) -> list[Trial]:
    """The completed trials, best first; of equals the earlier. With two objectives those of the Pareto
    front first, then by how many of it are better in both; last those that did not measure the second."""
    up = sign(view.direction)
    valued = [t for t in view.completed if t.value is not None]
    behind: Mapping[int, float] = dict.fromkeys((t.number for t in valued), 0)
    if view.second is not None:
        found = points(view, view.second)
        counts = ahead(found, view.direction, view.second.direction)
        behind = {t.number: counts.get(t.number, math.inf) for t in valued}
    return sorted(valued, key=lambda t: (behind[t.number], -up * (t.value or 0.0), t.number))


def ahead(found: Sequence[Point], first: Direction, second: Direction) -> dict[int, int]:
    """Of each trial how many of the front are better in both, by its number. Costs no more than sorting."""
    up, right = sign(first), sign(second)
    best = front(found, first, second)
    values, others = [up * p.value for p in best], [-right * p.second for p in best]
    counts = {}
    for point in found:
        # As good in the second are those up to one place, and as good in the first those from another on.
        last = bisect_right(others, -right * point.second)
        begin = bisect_left(values, up * point.value)
        same = begin < len(best) and _pair(best[begin]) == _pair(point)
        counts[point.trial.number] = 0 if same else max(0, last - begin)
    return counts


def _pair(point: Point) -> tuple[float, float]:
    return point.value, point.second


def beats(one: Trial, other: Trial, view: StudyView) -> bool:
    """Whether a trial is better than another one: with two objectives at least as good in both, and
    better in one. One that has no value beats none."""
    pairs = [(one.value, other.value, sign(view.direction))]
    if view.second is not None:
        name, up = view.second.metric, sign(view.second.direction)
        pairs.append((second_value(one, name), second_value(other, name), up))
    gaps = [up * (a - b) for a, b, up in pairs if a is not None and b is not None]
    return len(gaps) == len(pairs) and min(gaps) >= 0 and max(gaps) > 0


def advances(point: Point, before: Sequence[Point], view: StudyView, minimum: float) -> bool:
    """Whether a trial moves the front that those before it had made: by more than `minimum` of the
    objective, or by more than `EQUAL` of the second."""
    assert view.second is not None
    up, right = sign(view.direction), sign(view.second.direction)
    return not any(
        up * other.value >= up * point.value - minimum
        and right * other.second >= right * point.second - EQUAL * abs(point.second)
        for other in before
    )
