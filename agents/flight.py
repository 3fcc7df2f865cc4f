"""The trials in flight: submitting their jobs, watching them, entering how they ended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from agents.bring_back import bring_back, keep_files
from agents.cancelling import Cancelling
from agents.code import staged_code
from agents.config.model import Settings
from agents.jobs import in_packs, is_local, job_request, new_job, next_attempt, shared_name
from agents.journal import Journal
from agents.ledger import Ledger
from agents.outcome import Outcome, intermediate_values, outcome
from agents.pace import poll_interval
from agents.patience import Patience
from agents.stuck import Stuck
from agents.trial import PastAttempt, Trial, TrialState
from agents.watch import LOCAL_GRACE_SECONDS, Watch
from agents.workspace import Workspace
from scheduler.cluster import Cluster
from scheduler.errors import SchedulerError
from scheduler.job import (
    Cause,
    Failure,
    InDoubt,
    JobRequest,
    Refused,
    Submitted,
)
from scheduler.outcome import Failed, Unfinished
from scheduler.packing import packed
from scheduler.submission import Answer

JITTER = 0.1
"""Polls are spread by this share, so that many runs do not ask a scheduler in step."""

MOST_DOUBLINGS = 16
"""Of the time until a submission that hit a limit is tried again; the ceiling is reached long before."""

MAX_POINTS = 200
"""Intermediate values of one trial in the ledger; a longer curve is thinned."""


class Flight:
    """Between the ledger and the cluster. `ended` is called for each trial that has ended, `said`
    with a line for a person."""

    def __init__(
        self,
        settings: Settings,
        workspace: Workspace,
        ledger: Ledger,
        cluster: Cluster,
        patience: Patience,
        journal: Journal,
        token: str,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._ledger = ledger
        self._cluster = cluster
        self._patience = patience
        self._journal = journal
        self._token = token
        poll = settings.cluster.poll
        grace = poll.grace if cluster.batch.files_lag else min(poll.grace, LOCAL_GRACE_SECONDS)
        self.watch = Watch(grace, token)
        self._cancelling = Cancelling(ledger, cluster, self.watch)
        self._stuck = Stuck(ledger, self.watch, self._cancelling)
        self.ended: Callable[[Trial, Outcome], None] = lambda trial, outcome: None
        self.said: Callable[[str], None] = lambda text: None
        self.noticed: Callable[[str], None] = lambda text: self.said(text)
        """Called with what a person has to act on."""
        self._durations: list[float] = []
        self._reported: dict[int, int] = {}
        self._again: set[str] = set()
        self.held_back: dict[int, str] = {}
        """Why trials could not be submitted so far, by number."""
        self.paused = False
        """No job is submitted while it is."""
        self.bell: str | None = None
        """What jobs call when they end."""
        self._not_before = 0.0
        self._refusals = 0
        """Submissions in a row after which a trial had to wait."""
        self._ready = False
        self._code: str | None = None

    def configure(self, settings: Settings) -> None:
        """Go on with other caps."""
        self._settings = settings

    def reach(self) -> None:
        """Make the run directory on the cluster and put the code there, once in this process."""
        if not self._ready:
            self._patience(self._cluster.prepare)
            self._code = staged_code(
                self._settings.training.stage,
                self._ledger,
                self._cluster,
                self._patience,
                self._journal,
                self.said,
            )
            self._ready = True

    # -- which trials ----------------------------------------------------------------------------

    def running(self) -> list[Trial]:
        """Trials that have been proposed and have not ended."""
        return [trial for trial in self._ledger.trials() if not trial.state.is_finished]

    def numbers(self) -> list[int]:
        """Their numbers."""
        return [trial.number for trial in self.running()]

    def watched(self) -> list[Trial]:
        """Those that have, or may have, a job."""
        return [trial for trial in self.running() if trial.job is not None]

    def submittable(self) -> list[Trial]:
        """Those without a job id, as many as the caps leave room for."""
        if self.paused:
            return []
        running = self.running()
        waiting = [t for t in running if t.job is None or t.job.job_id is None]
        cluster = self._settings.cluster
        size = cluster.pack.trials if cluster.pack else 1
        room = len(waiting)
        if cluster.max_in_flight is not None:
            in_flight = {t.job.job_id for t in running if t.job is not None and t.job.job_id}
            room = min(room, (cluster.max_in_flight - len(in_flight)) * size)
        if cluster.max_per_submission is not None:
            room = min(room, cluster.max_per_submission * size)
        return waiting[: max(0, room)]

    def may_submit(self) -> bool:
        """Whether a trial waits for its submission and it is time to try (again)."""
        return time.monotonic() >= self._not_before and bool(self.submittable())

    # -- submitting ------------------------------------------------------------------------------

    def submit(self) -> None:
        """Submit all that may be, in one round trip, each exactly once."""
        trials = self._with_jobs(self.submittable())
        if not trials:
            return
        self.reach()
        groups = self._groups(trials)
        requests = [self._request(name, group) for name, group in groups.items()]
        again = frozenset(self._again)
        answers = self._patience(lambda: self._cluster.submit(requests, again))
        now = datetime.now(UTC)
        before = dict(self.held_back)
        for name, group in groups.items():
            for trial in group:
                self._take_answer(trial, name, answers[name], now)
        self._wait_to_submit(trials, before)
        self.watch.changed()

    def _with_jobs(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials with their jobs; the intention is in the ledger before anything is submitted."""
        pack = self._settings.cluster.pack
        known = [
            trial
            if trial.job is not None
            else replace(trial, job=new_job(trial, self._settings, self._token))
            for trial in trials
        ]
        found = in_packs(known, pack.trials) if pack is not None else known
        for before, trial in zip(trials, found, strict=True):
            if trial.job is not None and trial.job != before.job:
                self._ledger.record_job(trial.number, trial.job, trial.attempts)
        return found

    def _groups(self, trials: Sequence[Trial]) -> dict[str, list[Trial]]:
        """The trials of each job, by the job's name."""
        groups: dict[str, list[Trial]] = {}
        for trial in trials:
            assert trial.job is not None
            name = shared_name(trial.job, self._token) or trial.job.name
            groups.setdefault(name, []).append(trial)
        return groups

    def _request(self, name: str, trials: Sequence[Trial]) -> JobRequest:
        """What is submitted for the trials of one job."""
        root = self._cluster.root
        members = [
            job_request(trial, self._settings, root, self._code, self.bell) for trial in trials
        ]
        job, pack = trials[0].job, self._settings.cluster.pack
        if job is None or job.pack is None or pack is None:
            return members[0]
        template = self._settings.cluster.template
        return packed(members, name, job.pack, pack, self._cluster.batch, root, template)

    def _take_answer(self, trial: Trial, name: str, answer: Answer, now: datetime) -> None:
        assert trial.job is not None
        match answer:
            case Submitted(job_id=job_id):
                self._again.discard(name)
                self.held_back.pop(trial.number, None)
                job = replace(trial.job, job_id=job_id, submitted_at=now)
                self._ledger.record_job(trial.number, job, trial.attempts)
                self._journal.event("submitted", trial=trial.number, job=job.name, job_id=job_id)
            case Refused(message=message, backpressure=True):
                self._again.add(name)
                self._later(trial, message)
            case Refused(message=message):
                failure = Failure(Cause.REFUSED, message)
                self._finish(trial, Outcome(TrialState.FAILED, failure=failure))
            case InDoubt(seconds=seconds, accepted=accepted, why=said):
                why = ", the scheduler took it without saying its id" if accepted else ""
                why += f": {said}" if said else ""
                self._later(trial, f"submission in doubt for {seconds:.0f} s{why}")

    def _later(self, trial: Trial, why: str) -> None:
        self.held_back[trial.number] = why
        self._journal.event("submit_later", "warning", trial=trial.number, why=why)

    def _wait_to_submit(self, trials: Sequence[Trial], before: Mapping[int, str]) -> None:
        """When to try again. Soon at first: a job that leaves its sentinel still counts against a
        site's limit while its scheduler cleans up after it."""
        held = [trial.number for trial in trials if trial.number in self.held_back]
        if not held:
            self._refusals = 0
            return
        poll = self._settings.cluster.poll
        wait = min(poll.ceiling, poll.floor * 2 ** min(self._refusals, MOST_DOUBLINGS))
        self._not_before = time.monotonic() + wait
        self._refusals += 1
        new = [number for number in held if number not in before]
        if new:
            which = f"trial {new[0]}" if len(new) == 1 else f"{len(new)} trials"
            self.said(f"{which}: submitted later: {self.held_back[new[0]].strip()}")

    # -- watching --------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Ask about all jobs, once. Whether one has ended."""
        trials = self.watched()
        if not trials:
            return False
        self.reach()
        refs = self.watch.refs(trials)
        observations = self._patience(lambda: self._cluster.poll(refs))
        self.watch.cancelled = set(self._cancelling.jobs())
        ended = self.watch.see(trials, observations)
        self._end_stuck(trials)
        if ended and not is_local(self._settings):
            for trial in ended:
                assert trial.job is not None
                keep_files(trial.job, observations[trial.job.name], self._workspace.directory)
            self._bring_back(ended)
        for trial in trials:
            if trial not in ended:
                self._report_points(trial)
        return bool(ended)

    def interval(self) -> float:
        """Seconds until the next poll."""
        poll = self._settings.cluster.poll
        wait = poll_interval(
            self.watch.since_change(),
            self.watch.ages(self.watched()),
            self._durations,
            poll.floor,
            poll.ceiling,
        )
        return wait * random.uniform(1.0, 1.0 + JITTER)

    def _report_points(self, trial: Trial) -> None:
        points = intermediate_values(self.watch.lines(trial), self._settings.objective.metric)
        last = self._reported.get(trial.number, -1)
        stride = 1 + len(points) // MAX_POINTS
        new = {step: value for step, value in points.items() if step > last and step % stride == 0}
        self._ledger.report(trial.number, new)
        self._reported[trial.number] = max(new, default=last)

    def _end_stuck(self, trials: Sequence[Trial]) -> None:
        """Say which jobs will never start, and end those of which it has been said for long."""
        after = self._settings.cluster.poll.never_starts
        for text in self._stuck.news(trials, after):
            self.noticed(text)
        due = self._stuck.due(trials, after)
        if due:
            self._patience(lambda: self._stuck.end(due))

    def _bring_back(self, trials: Sequence[Trial]) -> None:
        """Copy the chosen files of ended jobs to this side; what cannot come is said, not fatal."""
        jobs = [trial.job for trial in trials if trial.job is not None]
        copy = partial(bring_back, self._cluster, self._settings.cluster.bring_back)
        try:
            left = self._patience(lambda: copy(jobs, self._workspace.directory))
        except SchedulerError as error:
            self._journal.event("not_brought_back", "warning", why=str(error))
            self.said(f"note: {error}")
            return
        for name in left:
            self._journal.event("left_there", file=name, why="larger than bring_back.largest")

    # -- ending ----------------------------------------------------------------------------------

    def collect(self) -> None:
        """Enter every trial whose job has ended in the ledger."""
        trials = self.watched()
        if trials and all(self.watch.verdict(trial) is None for trial in trials):
            self.poll()
        for trial in trials:
            verdict = self.watch.verdict(trial)
            if verdict is None or isinstance(verdict, Unfinished):
                continue
            if not (isinstance(verdict, Failed) and self._run_again(trial, verdict.failure)):
                self._report_points(trial)
                ended = outcome(verdict, self._settings.objective.metric)
                ended = self._stuck.as_seen(trial, ended)
                self._finish(trial, self._cancelling.as_asked(trial, ended))
            self.watch.forget(trial)

    def _run_again(self, trial: Trial, failure: Failure) -> bool:
        """Enter another attempt where the retry policy has one; `submit` takes it from there."""
        assert trial.job is not None
        job = next_attempt(trial, failure, self._settings, self._token)
        if job is None or trial.number in self._cancelling.asked:
            return False
        ended = replace(
            trial.job, started_at=self._started(trial, None), ended_at=datetime.now(UTC)
        )
        past = [*trial.attempts, PastAttempt(ended, failure)]
        self._ledger.record_job(trial.number, job, past)
        cause = failure.cause.value
        self._journal.event(
            "again", "warning", trial=trial.number, attempt=job.attempt, cause=cause
        )
        self.said(f"trial {trial.number}: {cause}; attempt {job.attempt} follows")
        return True

    def _finish(self, trial: Trial, ended: Outcome) -> None:
        if trial.attempts:
            ended = replace(ended, warnings=[*map(_told, trial.attempts), *ended.warnings])
        if ended.seconds is not None:
            self._durations.append(ended.seconds)
        started = self._started(trial, ended.seconds)
        self._ledger.finish(trial.number, ended, datetime.now(UTC), started)
        self._journal.event(
            "ended",
            "info" if ended.failure is None else "warning",
            trial=trial.number,
            state=ended.state.value,
            value=ended.value,
            seconds=ended.seconds,
            failure=asdict(ended.failure) if ended.failure else None,
        )
        self.ended(trial, ended)

    def _started(self, trial: Trial, seconds: float | None) -> datetime | None:
        """When its job ran at the latest: as polls saw it, or as the program's own time tells."""
        submitted = trial.job.submitted_at if trial.job is not None else None
        if submitted is None:
            return None
        known = [age for age in (self.watch.running_for(trial), seconds) if age is not None]
        if not known:
            return None
        now = datetime.now(UTC)
        most = max(0.0, (now - submitted).total_seconds())
        return now - timedelta(seconds=min(most, max(0.0, *known)))

    # -- cancelling ------------------------------------------------------------------------------

    def obey(self, cancelled: Mapping[int, str]) -> None:
        """End the trials that people cancelled, whose failures get these messages.

        One that was never submitted ends at once. One whose submission is in doubt is submitted
        first, which tells what became of it.
        """
        self._cancelling.asked = cancelled
        for trial in self.running():
            if trial.number in cancelled and self._has_no_job(trial):
                self._finish(trial, self._cancelling.as_asked(trial, Outcome(TrialState.FAILED)))
        running = self.running()
        due = self._cancelling.due(running)
        if due:
            self._patience(lambda: self._cancelling.end(due, running))

    def _has_no_job(self, trial: Trial) -> bool:
        """Whether the batch system certainly has no job of it."""
        if trial.job is None:
            return True
        return trial.job.job_id is None and not self._again.isdisjoint(self._groups([trial]))

    def cancel(self) -> list[int]:
        """Cancel all jobs in flight. Returns their trials. May raise scheduler.errors.Away."""
        trials = self.watched()
        self._cancelling.cancel(trials)
        return [trial.number for trial in trials]


def _told(attempt: PastAttempt) -> str:
    failure = attempt.failure
    return f"attempt {attempt.job.attempt} failed ({failure.cause.value}): {failure.message[:200]}"
