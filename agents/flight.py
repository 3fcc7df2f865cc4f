"""The trials in flight: watching their jobs, entering how they ended."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from agents.bring_back import bring_back, keep_files
from agents.cancelling import Cancelling
from agents.code import staged_code
from agents.config.model import Settings
from agents.jobs import cannot_have_more, is_local, lock_holder, next_attempt, with_more
from agents.journal import Journal
from agents.ledger import Ledger
from agents.outcome import Outcome, outcome
from agents.pace import poll_interval
from agents.patience import Patience
from agents.pruning import Pruning, judged_points
from agents.stuck import Stuck
from agents.submitting import Submitting
from agents.trial import PastAttempt, Trial, TrialState
from agents.watch import LOCAL_GRACE_SECONDS, Watch
from agents.workspace import Workspace
from scheduler.claim import Claim
from scheduler.cluster import Cluster
from scheduler.errors import SchedulerError
from scheduler.job import Observation
from scheduler.outcome import Failed, Unfinished

JITTER = 0.1
"""Polls are spread by this share, so that many runs do not ask a scheduler in step."""

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
        self._pruning = Pruning(ledger, cluster, self.watch)
        self._stuck = Stuck(ledger, self.watch, self._cancelling)
        self.submitting = Submitting(settings, ledger, cluster, patience, journal, token)
        self.submitting.refused = self._finish
        self.submitting.never = self._end_unsubmitted
        self.submitting.said = lambda text: self.said(text)
        self.ended: Callable[[Trial, Outcome], None] = lambda trial, outcome: None
        self.said: Callable[[str], None] = lambda text: None
        self.noticed: Callable[[str], None] = lambda text: self.said(text)
        """Called with what a person has to act on."""
        self._durations: list[float] = []
        self._said_once: set[str] = set()
        self._reported: dict[int, int] = {}
        self._ready = False
        self._code: str | None = None

    def configure(self, settings: Settings) -> None:
        """Go on with other caps."""
        self._settings = settings
        self.submitting.configure(settings)

    def reach(self) -> None:
        """Make the run directory on the cluster and put the code there, once in this process."""
        if not self._ready:
            self._take()
            self._code = staged_code(
                self._settings.training.stage,
                self._ledger,
                self._cluster,
                self._patience,
                self._journal,
                self.said,
            )
            self._ready = True

    def _take(self) -> None:
        """Make the run directory on the cluster, this run's alone."""
        jobs = [trial.job for trial in self._ledger.trials() if trial.job is not None]
        in_flight = any(trial.job and trial.job.job_id for trial in self.running())
        place = f"{socket.gethostname()}:{self._workspace.directory}"
        # Where jobs run in the run's own directory, its lock keeps all others away.
        claim = None if is_local(self._settings) else Claim(self._token, place, bool(jobs))
        known = any(job.job_id for job in jobs)
        left = self._patience(
            lambda: self._cluster.prepare(known=known, in_flight=in_flight, claim=claim)
        )
        if left is not None:
            self.said(
                f"note: this run was worked on from {left} before; a search that still goes on there "
                "ends at its next submission"
            )

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
        """Those to be submitted next, as many as the caps leave room for."""
        return self.submitting.due(self.running())

    def may_submit(self) -> bool:
        """Whether a trial waits for its submission and it is time to try (again)."""
        return self.submitting.is_time() and bool(self.submittable())

    def submit(self) -> None:
        """Submit all that may be, in one round trip, each exactly once."""
        due = self.submittable()
        if due:
            self.reach()
            self.submitting.submit(due, self._code)
            self.watch.changed()

    # -- watching --------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Ask about all jobs, once. Whether one has ended."""
        trials = self.watched()
        if not trials:
            return False
        self.reach()
        refs = self.watch.refs(trials)
        asked, observations = self._patience(lambda: (self.watch.now(), self._cluster.poll(refs)))
        trials = [self._held_by(trial, observations) for trial in trials]
        self.watch.cancelled = set(self._cancelling.jobs())
        ended = self.watch.see(trials, observations, asked)
        self._end_stuck(trials)
        self._prune([trial for trial in trials if trial not in ended])
        if ended and not is_local(self._settings):
            for trial in ended:
                assert trial.job is not None
                keep_files(trial.job, observations[trial.job.name], self._workspace.directory)
            self._bring_back(ended)
        for trial in trials:
            if trial not in ended:
                self._report_points(trial)
                self._note_start(trial)
        return bool(ended)

    def _note_start(self, trial: Trial) -> None:
        """Enter when a job was first seen running: what it costs from then on counts at once."""
        started = self._started(trial, None)
        if trial.job is not None and trial.job.started_at is None and started is not None:
            self._ledger.record_job(
                trial.number, replace(trial.job, started_at=started), trial.attempts
            )

    def _held_by(self, trial: Trial, observations: Mapping[str, Observation]) -> Trial:
        """The trial, with the id of the job that runs it where a twin was submitted in doubt: the
        first to begin took the lock, the other left."""
        job = trial.job
        assert job is not None
        holder = lock_holder(job.job_id, observations[job.name].holder)
        if holder == job.job_id:
            return trial
        self._journal.event(
            "twin", "warning", trial=trial.number, job_id=job.job_id, runs_as=holder
        )
        job = replace(job, job_id=holder)
        self._ledger.record_job(trial.number, job, trial.attempts)
        return replace(trial, job=job)

    def interval(self) -> float:
        """Seconds until the next poll."""
        poll = self._settings.cluster.poll
        since_report = self.watch.since_report()
        since_change = self.watch.since_change()
        if not self._cluster.batch.files_lag:  # nobody else is asked: epochs show at once
            since_change = min(since_change, since_report)
        wait = poll_interval(
            since_change,
            since_report,
            self.watch.ages(self.watched()),
            self._durations,
            poll.floor,
            poll.ceiling,
        )
        return wait * random.uniform(1.0, 1.0 + JITTER)

    def _report_points(self, trial: Trial) -> None:
        """Enter what the objective was meanwhile. What it is unknown from is not entered: others are
        compared with it, and an accuracy ranks as no loss."""
        points = judged_points(self.watch.lines(trial), self._settings.objective.metric)
        last = self._reported.get(trial.number, -1)
        stride = 1 + len(points) // MAX_POINTS
        kept = list(points.items())[::stride]
        new = {step: value for step, value in kept if step > last}
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

    def _prune(self, trials: Sequence[Trial]) -> None:
        """Ask the weak ones to end, and say so."""
        due = self._pruning.due(trials, self._settings)
        if not due:
            return
        weak = [trial for trial in trials if trial.number in due]
        self._patience(lambda: self._pruning.end(weak, due))
        for number, why in due.items():
            self.said(f"trial {number} is asked to end: {why}")
            self._journal.event("prune", trial=number, **asdict(why))

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
            if not (isinstance(verdict, Failed) and self._run_again(trial, verdict)):
                self._report_points(trial)
                ended = outcome(verdict, *self._settings.objective.metrics)
                ended = self._pruning.as_seen(trial, self._stuck.as_seen(trial, ended))
                self._finish(trial, self._cancelling.as_asked(trial, ended))
            self.watch.forget(trial)

    def _run_again(self, trial: Trial, failed: Failed) -> bool:
        """Enter another attempt where the retry policy has one; `submit` takes it from there."""
        assert trial.job is not None
        failure = failed.failure
        job = next_attempt(trial, failure, self._settings, self._token)
        if job is None or trial.number in self._cancelling.asked:
            self._say_once(cannot_have_more(failure, trial.job, self._settings))
            return False
        told = failed.result.seconds if failed.result is not None else None
        ended = replace(
            trial.job, started_at=self._started(trial, told), ended_at=datetime.now(UTC)
        )
        past = [*trial.attempts, PastAttempt(ended, failure)]
        self._ledger.record_job(trial.number, job, past)
        cause = failure.cause.value
        self._journal.event(
            "again", "warning", trial=trial.number, attempt=job.attempt, cause=cause
        )
        more = with_more(trial.job.resources, job.resources)
        self.said(f"trial {trial.number}: {cause}; attempt {job.attempt} follows{more}")
        return True

    def _say_once(self, text: str) -> None:
        if text and text not in self._said_once:
            self._said_once.add(text)
            self.noticed(text)

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
        if trial.job is None or submitted is None:
            return None
        now, entered = datetime.now(UTC), trial.job.started_at
        since = None if entered is None else (now - entered).total_seconds()
        ages = (since, self.watch.running_for(trial), seconds)
        known = [age for age in ages if age is not None]
        if not known:
            return None
        most = max(0.0, (now - submitted).total_seconds())
        return now - timedelta(seconds=min(most, max(0.0, *known)))

    # -- cancelling ------------------------------------------------------------------------------

    def obey(self, cancelled: Mapping[int, str]) -> None:
        """End the trials that people cancelled, whose failures get these messages.

        One that was never submitted ends at once. One whose submission is in doubt is looked for first
        (`submit`), which tells what became of it.
        """
        self._cancelling.asked = self.submitting.cancelled = cancelled
        for trial in self.running():
            if trial.number in cancelled and self.submitting.certainly_none(trial):
                self._end_unsubmitted(trial)
        running = self.running()
        due = self._cancelling.due(running)
        if due:
            self._patience(lambda: self._cancelling.end(due, running))

    def _end_unsubmitted(self, trial: Trial) -> None:
        self._finish(trial, self._cancelling.as_asked(trial, Outcome(TrialState.FAILED)))

    def obey_at_once(self, cancelled: Mapping[int, str]) -> None:
        """As `obey`, of a search that was left: also jobs whose ids nobody came to enter, by name."""
        self.obey(cancelled)
        spared = {t.job.pack for t in self.watched() if t.job and t.number not in cancelled}
        unknown = [
            trial
            for trial in self.watched()
            if trial.number in cancelled
            and trial.job is not None
            and trial.job.job_id is None
            and (trial.job.pack is None or trial.job.pack not in spared)
        ]
        if unknown:
            self._patience(lambda: self._cancelling.cancel(unknown))

    def cancel(self) -> list[int]:
        """Cancel all jobs in flight. Returns their trials. May raise scheduler.errors.Away."""
        trials = self.watched()
        self._cancelling.cancel(trials)
        return [trial.number for trial in trials]


def _told(attempt: PastAttempt) -> str:
    failure = attempt.failure
    return f"attempt {attempt.job.attempt} failed ({failure.cause.value}): {failure.message[:200]}"
