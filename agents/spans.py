"""When each attempt at a trial waited and ran. Pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.trial import Job, StudyView, Trial, TrialState
from scheduler.job import Cause


@dataclass(frozen=True)
class Span:
    """One attempt at a trial, from its submission to its end."""

    trial: Trial
    job: Job
    submitted: datetime
    started: datetime | None
    """None: it never ran, or nobody saw it."""
    ended: datetime
    """Of a job in flight: the moment of the report."""
    ran: float
    """Seconds."""
    cause: str = ""
    """Why it failed."""
    in_flight: bool = False

    @property
    def queued(self) -> float:
        """Seconds between submission and start; of one that never ran, to its end."""
        return ((self.started or self.ended) - self.submitted).total_seconds()


def spans(view: StudyView, now: datetime) -> list[Span]:
    """All attempts that were submitted up to `now`, in the order of their submission."""
    found = [span for trial in view.trials for span in _of(trial, now)]
    return sorted(found, key=lambda span: (span.submitted, span.trial.number, span.job.attempt))


def _of(trial: Trial, now: datetime) -> list[Span]:
    found = [
        _span(trial, past.job, past.job.ended_at, past.failure.cause) for past in trial.attempts
    ]
    if trial.job is not None:
        cause = trial.failure.cause if trial.failure else None
        running = trial.state is TrialState.RUNNING
        ended = now if running else trial.job.ended_at or trial.finished_at
        found.append(_span(trial, trial.job, ended, cause, trial.seconds, running))
    return [span for span in found if span is not None]


def _span(
    trial: Trial,
    job: Job,
    ended: datetime | None,
    cause: Cause | None,
    told: float | None = None,
    running: bool = False,
) -> Span | None:
    """`told`: seconds that the program says it took; they count where they fit."""
    seconds = _seconds(told)
    # Where a lost ledger took the moment of the submission with it, what the program told still counts.
    submitted = job.submitted_at or (ended if seconds else None)
    if submitted is None or ended is None:
        return None
    ended = max(ended, submitted)
    started = _started(job, submitted, ended, seconds, cause)
    seen = (ended - started).total_seconds() if started is not None else 0.0
    walltime = job.resources.walltime_seconds
    # Its end is found by the next poll, which may be one after a night without a connection.
    most = seen if running or walltime is None else min(seen, walltime)
    ran = most if seconds is None else seconds
    return Span(trial, job, submitted, started, ended, ran, cause.value if cause else "", running)


def _seconds(told: object) -> float | None:
    """Seconds that can be counted: what programs and old ledgers say is not always a time."""
    if isinstance(told, bool) or not isinstance(told, (int, float)):
        return None
    return float(told) if 0 <= told <= sys.float_info.max else None


def _started(
    job: Job, submitted: datetime, ended: datetime, told: float | None, cause: Cause | None
) -> datetime | None:
    """When the attempt ran at the latest. A job that reached its walltime had all of it, also where
    it ran while nobody looked."""
    known = [job.started_at] if job.started_at is not None else []
    if job.started_at is None and told:
        known.append(ended - timedelta(seconds=min(told, (ended - submitted).total_seconds())))
    if cause is Cause.WALLTIME and job.resources.walltime_seconds is not None:
        known.append(ended - timedelta(seconds=job.resources.walltime_seconds))
    return min(max(min(known), submitted), ended) if known else None


def lanes(found: Sequence[Span]) -> list[int]:
    """A lane for each span, in their order, such that no two of a lane are there at a time.

    The lowest that is free: as many lanes as there were jobs at once.
    """
    free_from: list[datetime] = []
    chosen = []
    for span in found:
        lane = next((i for i, free in enumerate(free_from) if free <= span.submitted), None)
        if lane is None:
            lane = len(free_from)
            free_from.append(span.ended)
        free_from[lane] = span.ended
        chosen.append(lane)
    return chosen
