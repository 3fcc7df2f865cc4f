"""Which trials get a job next, and what the scheduler answers to that."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from agents.config.model import Settings
from agents.jobs import as_jobs, in_packs, job_request, new_job, shared_name, with_more
from agents.journal import Journal
from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.patience import Patience
from agents.trial import Job, Trial, TrialState
from scheduler.cluster import Cluster
from scheduler.job import (
    Cause,
    Failure,
    InDoubt,
    JobRequest,
    NeverSubmitted,
    Refused,
    Submitted,
    Unwritable,
)
from scheduler.packing import packed
from scheduler.submission import Answer

MOST_DOUBLINGS = 16
"""Of the time until a submission that hit a limit is tried again; the ceiling is reached long before."""


class Submitting:
    """Submits jobs of trials, each exactly once. `refused` is called for a trial that no scheduler
    will take, `never` for one that people cancelled and that no scheduler has, `said` with a line for a
    person."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        cluster: Cluster,
        patience: Patience,
        journal: Journal,
        token: str,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._cluster = cluster
        self._patience = patience
        self._journal = journal
        self._token = token
        self.refused: Callable[[Trial, Outcome], None] = lambda trial, outcome: None
        self.never: Callable[[Trial], None] = lambda trial: None
        self.said: Callable[[str], None] = lambda text: None
        self.cancelled: Container[int] = ()
        """Numbers of trials that people cancelled: their jobs are looked for, and not submitted."""
        self.held_back: dict[int, str] = {}
        """Why trials could not be submitted so far, by number."""
        self.paused = False
        """No job is submitted while it is."""
        self.bell: str | None = None
        """What jobs call when they end."""
        self._again: set[str] = set()
        """Names of jobs that certainly were not taken."""
        self._not_before = 0.0
        self._refusals = 0
        """Submissions in a row after which a trial had to wait."""

    def configure(self, settings: Settings) -> None:
        """Go on with other caps."""
        self._settings = settings

    def due(self, running: Sequence[Trial]) -> list[Trial]:
        """Those of the running trials without a job id, as many as the caps leave room for."""
        if self.paused:
            return []
        waiting = [t for t in running if t.job is None or t.job.job_id is None]
        cluster = self._settings.cluster
        room = len(waiting)
        if cluster.max_in_flight is not None:
            in_flight = {t.job.job_id for t in running if t.job is not None and t.job.job_id}
            room = min(room, cluster.max_in_flight - len(in_flight))
        if cluster.max_per_submission is not None:
            room = min(room, cluster.max_per_submission)
        size = cluster.pack.trials if cluster.pack else 1
        jobs = as_jobs(waiting, size, self._settings)
        return sorted(chain.from_iterable(jobs[: max(0, room)]), key=lambda trial: trial.number)

    def is_time(self) -> bool:
        """Whether a submission may be tried (again) by now."""
        return time.monotonic() >= self._not_before

    def certainly_none(self, trial: Trial) -> bool:
        """Whether the batch system certainly has no job of this trial."""
        if trial.job is None:
            return True
        return trial.job.job_id is None and not self._again.isdisjoint(self._groups([trial]))

    def submit(self, due: Sequence[Trial], code: str | None) -> None:
        """Submit these in one round trip. `code`: the directory there from which they run, if any.

        A job whose trials people have all cancelled meanwhile is only looked for, in another.
        """
        trials = self._with_jobs(due)
        before = dict(self.held_back)
        groups = self._groups(trials)
        unwanted = {name for name, group in groups.items() if self._is_unwanted(group)}
        self._ask_about(groups.keys() - unwanted, groups, code, self._ask)
        self._ask_about(unwanted, groups, code, self._cluster.withdraw)
        self._wait_to_submit(trials, before)

    def _ask_about(
        self,
        names: Collection[str],
        groups: Mapping[str, Sequence[Trial]],
        code: str | None,
        ask: Callable[[Sequence[JobRequest]], Mapping[str, Answer]],
    ) -> None:
        """Enter what `ask` is answered about the jobs of these names, in one round trip."""
        asked = {name: group for name, group in groups.items() if name in names}
        if not asked:
            return
        requests = [self._request(name, group, code) for name, group in asked.items()]
        answers = self._patience(lambda: ask(requests))
        now = datetime.now(UTC)
        for name, group in asked.items():
            for trial in group:
                self._take_answer(trial, name, answers[name], now)

    def _is_unwanted(self, trials: Sequence[Trial]) -> bool:
        return all(trial.number in self.cancelled for trial in trials)

    def _ask(self, requests: Sequence[JobRequest]) -> Mapping[str, Answer]:
        # A refusal is certain until the next try begins, which may be cut off after it was taken.
        again = frozenset(request.name for request in requests) & self._again
        self._again -= again
        return self._cluster.submit(requests, again)

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

    def _request(self, name: str, trials: Sequence[Trial], code: str | None) -> JobRequest:
        """What is submitted for the trials of one job."""
        root = self._cluster.root
        members = [job_request(trial, self._settings, root, code, self.bell) for trial in trials]
        job, pack = trials[0].job, self._settings.cluster.pack
        if job is None or job.pack is None or pack is None:
            return members[0]
        template = self._settings.cluster.template
        return packed(members, name, job.pack, pack, self._cluster.batch, root, template)

    def _take_answer(self, trial: Trial, name: str, answer: Answer, now: datetime) -> None:
        assert trial.job is not None
        match answer:
            case Submitted(job_id=job_id):
                self.held_back.pop(trial.number, None)
                job = replace(trial.job, job_id=job_id, submitted_at=now)
                self._ledger.record_job(trial.number, job, trial.attempts)
                self._journal.event("submitted", trial=trial.number, job=job.name, job_id=job_id)
            case NeverSubmitted():
                self.held_back.pop(trial.number, None)
                self.never(trial)
            case Refused(message=message, backpressure=True):
                self._again.add(name)
                self._later(trial, message)
            case Unwritable(message=message):
                self._later(trial, message)
            case Refused(message=message) if self._took_the_like(trial):
                self._again.add(name)
                self._later(trial, message)
            case Refused(message=message):
                self.refused(trial, Outcome(TrialState.FAILED, failure=_refusal(trial, message)))
            case InDoubt(seconds=seconds, accepted=accepted, why=said):
                why = ", the scheduler took it without saying its id" if accepted else ""
                why += f": {said}" if said else ""
                self._later(trial, f"submission in doubt for {seconds:.0f} s{why}")

    def _took_the_like(self, trial: Trial) -> bool:
        """Whether this request was good enough before, in this run: then what refuses it now is the
        site's state (a maintenance, an account that expired, a directory service), not the trial."""
        asked = trial.job.resources if trial.job is not None else None
        jobs = (job for known in self._ledger.trials() for job in _jobs_of(known))
        return any(job.job_id is not None and job.resources == asked for job in jobs)

    def _later(self, trial: Trial, why: str) -> None:
        if self.held_back.get(trial.number) != why:  # a queue that stays full is logged once
            self._journal.event("submit_later", "warning", trial=trial.number, why=why)
        self.held_back[trial.number] = why

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
            why = " ".join(self.held_back[new[0]].split())  # on a line: sbatch says it in two
            self.said(f"{which}: submitted later: {why}")


def _refusal(trial: Trial, message: str) -> Failure:
    """Why a trial failed whose job no scheduler takes: where it asked for more than before, because it was
    short of it, that is why. The site's limit only ended it."""
    past, job = (trial.attempts[-1] if trial.attempts else None), trial.job
    more = with_more(past.job.resources, job.resources) if past and job else ""
    if past is None or not more:
        return Failure(Cause.REFUSED, message)
    said = f"{past.failure.message}; a job{more} was refused: {message}"
    return replace(past.failure, message=said[:2000])


def _jobs_of(trial: Trial) -> list[Job]:
    jobs = [past.job for past in trial.attempts]
    return jobs if trial.job is None else [*jobs, trial.job]
