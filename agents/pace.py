"""How long to wait before the next poll. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

PATIENCE = 0.1
"""The wait grows to this share of the time since something last happened."""

LIVELY = 60.0
"""While jobs report epochs, no wait is longer than this."""

MEMORY = 20
"""How many of the last jobs say how long the next will take."""


def poll_interval(
    since_change: float,
    since_report: float,
    ages: Sequence[float],
    durations: Sequence[float],
    floor: float,
    ceiling: float,
) -> float:
    """Seconds to wait before the next poll, between `floor` and `ceiling`.

    `since_change`: seconds since a job was submitted or changed its state; `since_report`: since one
    reported an epoch; `ages`: seconds that each running job has run; `durations`: how long earlier jobs took, the
    newest last. Polls are dense after a change and near an expected end, where half the remaining
    time is waited; they thin out as a queue stands still.
    """
    wait = max(floor, PATIENCE * since_change)
    if since_report <= 2 * ceiling:
        wait = min(wait, max(floor, LIVELY))
    if durations and ages:
        expected = statistics.median(durations[-MEMORY:])
        remaining = [expected - age for age in ages if age < expected]
        wait = max(floor, min(remaining) / 2) if remaining else wait
        overdue = [age - expected for age in ages if age >= expected]
        if overdue:
            wait = min(wait, max(floor, PATIENCE * max(overdue)))
    return min(ceiling, wait)
