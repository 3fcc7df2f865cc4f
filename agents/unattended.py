"""The time in which nobody worked on a search: idle, but for as long as jobs of its went on alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents import elapsed
from agents.ledger import Ledger
from agents.progress import read_heartbeat
from agents.trial import Job
from agents.workspace import Workspace
from scheduler.job import JobState


@dataclass(frozen=True)
class Span:
    """From the last sign of life to the moment when the search was taken up again."""

    since: datetime
    until: datetime
    jobs: Mapping[str, bool]
    """The jobs that were in flight, by name, and whether each was seen running at the last sign."""

    def to_json(self) -> list[Any]:
        return [self.since.isoformat(), self.until.isoformat(), dict(self.jobs)]

    @classmethod
    def from_json(cls, kept: list[Any]) -> Span:
        return cls(datetime.fromisoformat(kept[0]), datetime.fromisoformat(kept[1]), kept[2])


class Unattended:
    """Notes such times with the study, and which part of each was idle once that is known.

    When a job ended is asked of the files that it left, where jobs run in the run's own directory.
    Elsewhere it is told by the time that it took, from the last sign of life on if it ran then. Where
    nothing tells, the whole time counts as work.
    """

    def __init__(self, workspace: Workspace, ledger: Ledger, *, is_local: bool) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._is_local = is_local
        self._open = [Span.from_json(kept) for kept in ledger.attributes().get(elapsed.OPEN, [])]

    def begin(self, now: datetime) -> None:
        """Note the time that ends now. One that began at the same moment is replaced: the process
        that noted it died before it did anything."""
        left = elapsed.left_at(self._workspace)
        if left is None:
            return
        span = Span(left, now, self._in_flight())
        self._keep([*(one for one in self._open if one.since != left), span])
        self.settle()

    def settle(self, going_on: Collection[str] = ()) -> None:
        """Enter what was idle of the times of which that is known by now. `going_on`: the jobs that
        are seen waiting or running."""
        for span in list(self._open):
            ends = self._ends(span, going_on)
            if ends.keys() == span.jobs.keys():
                self._enter_idle(span, list(ends.values()))
                self._keep([one for one in self._open if one is not span])

    def _enter_idle(self, span: Span, ends: Sequence[datetime | None]) -> None:
        since = max([span.since, *(span.until if end is None else end for end in ends)])
        if since < span.until:
            spans = elapsed.with_idle(self._ledger.attributes(), since, span.until)
            self._ledger.set_attribute(elapsed.ATTRIBUTE, spans)

    def _in_flight(self) -> dict[str, bool]:
        beat = read_heartbeat(self._workspace.progress_file) or {}
        running = [
            line.get("trial")
            for line in beat.get("jobs") or ()
            if line.get("state") == JobState.RUNNING.value
        ]
        return {
            trial.job.name: trial.number in running
            for trial in self._ledger.trials()
            if not trial.state.is_finished and trial.job is not None
        }

    def _keep(self, spans: list[Span]) -> None:
        self._ledger.set_attribute(elapsed.OPEN, [span.to_json() for span in spans])
        self._open = spans

    def _ends(self, span: Span, going_on: Collection[str]) -> dict[str, datetime | None]:
        """Until when each job went on, of those of which that is known; None where nothing tells."""
        found = {}
        for trial in self._ledger.trials():
            for past in trial.attempts:
                found[past.job.name] = self._end(span, past.job, None)
            if trial.job is not None and trial.state.is_finished:
                found[trial.job.name] = self._end(span, trial.job, trial.seconds)
            elif trial.job is not None and trial.job.name in going_on:
                found[trial.job.name] = self._went_on(span, trial.job)
        return {name: end for name, end in found.items() if name in span.jobs}

    def _end(self, span: Span, job: Job, seconds: float | None) -> datetime | None:
        if self._is_local:
            directory = self._workspace.directory / job.directory
            return last_written(directory) if _began(directory, span.until) else span.since
        if seconds is None or not span.jobs.get(job.name):
            return None
        return span.since + timedelta(seconds=seconds)

    def _went_on(self, span: Span, job: Job) -> datetime:
        """Here nothing waits for others but for jobs that run: one that has not begun is no work."""
        directory = self._workspace.directory / job.directory
        return span.since if self._is_local and not _began(directory, span.until) else span.until


def _began(directory: Path, until: datetime) -> bool:
    """Whether the job there had begun by then."""
    try:
        return datetime.fromtimestamp((directory / "lock").stat().st_mtime, UTC) <= until
    except OSError:
        return False


def last_written(directory: Path) -> datetime | None:
    """When something was last written into a file there (UTC); None where nothing was."""
    try:
        times = [path.stat().st_mtime for path in directory.iterdir() if path.is_file()]
    except OSError:
        return None
    return datetime.fromtimestamp(max(times), UTC) if times else None
