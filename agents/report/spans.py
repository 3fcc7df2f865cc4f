"""When each attempt at a trial waited and ran. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.report.numbers import as_float
from agents.trial import Job, StudyView, Trial, TrialState


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
    """All attempts that were submitted, in the order of their submission."""
    found = [span for trial in view.trials for span in _of(trial, now)]
    return sorted(found, key=lambda span: (span.submitted, span.trial.number, span.job.attempt))


def _of(trial: Trial, now: datetime) -> list[Span]:
    found = [
        _span(trial, past.job, past.job.ended_at, past.failure.cause.value)
        for past in trial.attempts
        if past.job.submitted_at is not None and past.job.ended_at is not None
    ]
    if trial.job is None or trial.job.submitted_at is None:
        return [span for span in found if span is not None]
    cause = trial.failure.cause.value if trial.failure else ""
    running = trial.state is TrialState.RUNNING
    ended = now if running else trial.job.ended_at or trial.finished_at
    last = _span(trial, trial.job, ended, cause, trial.seconds, running)
    return [span for span in (*found, last) if span is not None]


def _span(
    trial: Trial,
    job: Job,
    ended: datetime | None,
    cause: str,
    told: float | None = None,
    running: bool = False,
) -> Span | None:
    """`told`: seconds that the program says it took; they count where they fit."""
    submitted = job.submitted_at
    if submitted is None or ended is None:
        return None
    ended = max(ended, submitted)
    seconds = as_float(told)
    started = job.started_at
    if started is None and seconds is not None and seconds > 0:
        most = (ended - submitted).total_seconds()
        started = ended - timedelta(seconds=min(seconds, most))
    if started is not None:
        started = min(max(started, submitted), ended)
    seen = (ended - started).total_seconds() if started is not None else 0.0
    ran = seconds if seconds is not None and seconds >= 0 else seen
    return Span(trial, job, submitted, started, ended, ran, cause, running)


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
