"""What the jobs of a search took: the one count that budgets, the prompt and the report share. Pure.

All attempts count, also those that were killed, lost or made again: the site charges them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.spans import Span, spans
from agents.trial import StudyView

_HOUR = 3600.0


@dataclass(frozen=True)
class Cost:
    """Sums over all attempts. Jobs that trials shared count once."""

    jobs: int
    node_hours: float
    gpu_hours: float
    lost_node_hours: float
    """Of attempts that failed."""
    ran_seconds: float
    queued_seconds: float


def node_hours(view: StudyView, now: datetime | None = None) -> float:
    """What was spent up to `now` (this moment), by jobs in flight too, where it is known that they run."""
    return cost_of(spans(view, now or datetime.now(UTC))).node_hours


class Meter:
    """Node-hours, attempt by attempt: a job that trials share costs what its longest trial takes."""

    def __init__(self) -> None:
        self.node_hours = 0.0
        self._of: dict[tuple[object, ...], float] = {}

    def add(self, span: Span) -> None:
        """Take in one more attempt."""
        job, hours = _job_of(span), _node_hours([span])
        more = max(0.0, hours - self._of.get(job, 0.0))
        self._of[job] = self._of.get(job, 0.0) + more
        self.node_hours += more


def cost_of(found: Sequence[Span]) -> Cost:
    """What these attempts took."""
    groups = _jobs(found)
    failed = [group for group in groups if all(span.cause for span in group)]
    return Cost(
        jobs=len(groups),
        node_hours=sum(map(_node_hours, groups)),
        gpu_hours=sum(_node_hours(group) * (group[0].job.resources.gpus or 0) for group in groups),
        lost_node_hours=sum(map(_node_hours, failed)),
        ran_seconds=sum(map(_seconds, groups)),
        queued_seconds=sum(group[0].queued for group in groups),
    )


def _jobs(found: Sequence[Span]) -> list[list[Span]]:
    """The attempts by the job that they ran in."""
    groups: dict[tuple[object, ...], list[Span]] = {}
    for span in found:
        groups.setdefault(_job_of(span), []).append(span)
    return list(groups.values())


def _job_of(span: Span) -> tuple[object, ...]:
    return (span.job.pack,) if span.job.pack else (span.trial.number, span.job.attempt)


def _seconds(group: Sequence[Span]) -> float:
    return max(span.ran for span in group)


def _node_hours(group: Sequence[Span]) -> float:
    return _seconds(group) * group[0].job.resources.nodes / _HOUR
