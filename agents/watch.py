"""What the polls of this process have seen of the jobs in flight. Lost in a crash, and seen again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.jobs import shared_name
from agents.trial import Trial
from scheduler.job import JobRef, JobState, Observation
from scheduler.outcome import Circumstances, Unfinished, Verdict, is_gone, judge
from scheduler.polling import MAX_METRICS_BYTES
from training.contract import MetricLine, parse_metrics

LOCAL_GRACE_SECONDS = 2.0
"""Grace where files cannot lag behind the batch system's word: for a process that just ended."""


UNSEEN_SECONDS = 300.0
"""Between two polls: nobody looked meanwhile (a login was awaited, this machine slept), so that a job may
have ended at any time of it."""


MOST_LINES = 2000
"""Metric lines of one job that are kept; programs may write one a second, for days."""


@dataclass
class Watched:
    """One job in flight."""

    offset: int = 0
    """Bytes of metrics.jsonl taken in."""
    lines: list[MetricLine] = field(default_factory=list)
    """Every `stride`-th one."""
    stride: int = 1
    seen: int = 0
    last: MetricLine | None = None
    state: JobState = JobState.UNKNOWN
    reason: str = ""
    gone_since: float | None = None
    unread_since: float | None = None
    running_since: float | None = None
    running_until: float | None = None
    """When a poll last saw it neither ended nor gone."""
    never_starts_since: float | None = None
    verdict: Verdict | None = None


class Watch:
    """Follows jobs from poll to poll and judges them when they have ended."""

    def __init__(
        self,
        grace: float,
        token: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grace = grace
        self._token = token
        self._clock = clock
        self._jobs: dict[str, Watched] = {}
        self.last_change = self.last_report = clock()
        self.cancelled: set[str] = set()
        """Names of jobs that we cancelled ourselves."""

    def refs(self, trials: Sequence[Trial]) -> list[JobRef]:
        """What the next poll asks about."""
        return [
            JobRef(
                job.name,
                job.directory,
                job.job_id,
                self._of(trial).offset,
                shared_name(job, self._token),
            )
            for trial in trials
            if (job := trial.job) is not None
        ]

    def now(self) -> float:
        """The time by which `see` is told when a poll was asked."""
        return self._clock()

    def see(
        self, trials: Sequence[Trial], observations: Mapping[str, Observation], asked: float
    ) -> list[Trial]:
        """Take in a poll that was asked at that time. Returns the trials whose jobs have ended.

        An answer may have been long on its way (a slow file system, a process that was stopped): it is no
        older than its question, and what it does not show may have come since.
        """
        now = self._clock()
        ended = []
        for trial in trials:
            if trial.job is None or trial.job.name not in observations:
                continue
            self._take(trial, observations[trial.job.name], asked, now)
            if not isinstance(self._of(trial).verdict, Unfinished):
                ended.append(trial)
        return ended

    def _take(self, trial: Trial, observation: Observation, asked: float, now: float) -> None:
        watched = self._of(trial)
        self._take_metrics(watched, observation.new_metrics, now)
        # A job without an id may never have been taken: its absence means nothing at all.
        unknown = trial.job is None or trial.job.job_id is None
        if unknown or not is_gone(observation):
            watched.gone_since = None
        elif watched.gone_since is None:
            watched.gone_since = now
        if not observation.is_result_unread:
            watched.unread_since = None
        elif watched.unread_since is None:
            watched.unread_since = now
        known = Circumstances(
            trial=trial.number,
            gone_for=_seconds(watched.gone_since, asked),
            grace=self._grace,
            unread_for=_seconds(watched.unread_since, asked),
            cancelled=observation.name in self.cancelled,
            walltime_seconds=trial.job.resources.walltime_seconds if trial.job else None,
            ran_for=_seconds(watched.running_since, _last_running(watched, asked)),
            shares_job=trial.job is not None and trial.job.pack is not None,
        )
        watched.verdict = judge(observation, known)
        if observation.started and watched.running_since is None:
            watched.running_since = now  # it may have ended since: then it ran between two polls
        if isinstance(watched.verdict, Unfinished):
            if watched.gone_since is None:
                watched.running_until = asked
            self._take_state(watched, watched.verdict, observation, now)
        else:
            watched.state = JobState.ENDED
            self.last_change = now

    def _take_state(
        self, watched: Watched, verdict: Unfinished, observation: Observation, now: float
    ) -> None:
        if verdict.state is not watched.state:
            self.last_change = now
        watched.state, watched.reason = verdict.state, verdict.reason
        if not verdict.never_starts:
            watched.never_starts_since = None
        elif watched.never_starts_since is None:
            watched.never_starts_since = now

    def _take_metrics(self, watched: Watched, new: bytes, now: float) -> None:
        lines, taken = parse_metrics(new)
        if taken == 0 and len(new) >= MAX_METRICS_BYTES:
            taken = len(new)  # a line longer than any metric line: not ours
        watched.offset += taken
        for line in lines:
            _keep(watched, line)
        if lines:
            self.last_report = now

    def verdict(self, trial: Trial) -> Verdict | None:
        """What became of the trial's job; None where no poll has seen it yet."""
        return self._of(trial).verdict

    def lines(self, trial: Trial) -> list[MetricLine]:
        """Metric lines seen so far, evenly thinned where they are very many; the last one is there."""
        watched = self._of(trial)
        if watched.last is None or watched.last is watched.lines[-1]:
            return watched.lines
        return [*watched.lines, watched.last]

    def state(self, trial: Trial) -> JobState:
        """Where the trial's job stood at the last poll."""
        return self._of(trial).state

    def reason(self, trial: Trial) -> str:
        """Why it waits, in the batch system's words."""
        return self._of(trial).reason

    def stuck_for(self, trial: Trial) -> float | None:
        """Seconds for which the batch system has said, without a break, that it will never start."""
        since = self._of(trial).never_starts_since
        return None if since is None else self._clock() - since

    def is_gone(self, trial: Trial) -> bool:
        """Whether it was last seen to have left the queue, while its files may still come."""
        return self._of(trial).gone_since is not None

    def ages(self, trials: Sequence[Trial]) -> list[float]:
        """Seconds that each running job has been seen running."""
        now = self._clock()
        since = (self._of(trial).running_since for trial in trials)
        return [now - start for start in since if start is not None]

    def running_for(self, trial: Trial) -> float | None:
        """Seconds since a poll first saw the trial's job running; None where none did."""
        start = self._of(trial).running_since
        return None if start is None else self._clock() - start

    def changed(self) -> None:
        """Something happened that makes the next poll worth while (a submission)."""
        self.last_change = self._clock()

    def expect_change(self) -> None:
        """Something is said to have happened: what has not shown yet is looked for densely."""
        self.last_change = self._clock()

    def since_change(self) -> float:
        """Seconds since something last happened."""
        return self._clock() - self.last_change

    def since_report(self) -> float:
        """Seconds since a job last reported an epoch."""
        return self._clock() - self.last_report

    def forget(self, trial: Trial) -> None:
        """Drop what is known of a trial that has been entered in the ledger."""
        if trial.job is not None:
            self._jobs.pop(trial.job.name, None)

    def _of(self, trial: Trial) -> Watched:
        assert trial.job is not None
        return self._jobs.setdefault(trial.job.name, Watched())


def _seconds(since: float | None, until: float) -> float | None:
    return None if since is None else max(0.0, until - since)


def _last_running(watched: Watched, asked: float) -> float:
    """Until when the job may be said to have run, where it has ended by the poll of `asked`."""
    seen = watched.running_until
    return asked if seen is None or asked - seen < UNSEEN_SECONDS else seen


def _keep(watched: Watched, line: MetricLine) -> None:
    if watched.seen % watched.stride == 0:
        watched.lines.append(line)
    watched.seen += 1
    watched.last = line
    if len(watched.lines) == MOST_LINES:
        del watched.lines[1::2]
        watched.stride *= 2
