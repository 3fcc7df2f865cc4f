"""Ending trials before their time: which jobs we cancelled, and what becomes of their trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.trial import Trial, TrialState
from agents.watch import Watch
from scheduler.cluster import Cluster
from scheduler.job import Cause, Failure

ATTRIBUTE = "cancelled"
"""Of the study: the names of the jobs that we cancelled."""


class Cancelling:
    """Cancels jobs, and knows whose trials people cancelled."""

    def __init__(self, ledger: Ledger, cluster: Cluster, watch: Watch) -> None:
        self._ledger = ledger
        self._cluster = cluster
        self._watch = watch
        self._told: set[str] = set()
        self.asked: Mapping[int, str] = {}
        """The trials that people cancelled, and what their failures say."""

    def jobs(self) -> Collection[str]:
        """Names of the jobs that we cancelled, in this process or an earlier one."""
        names: list[str] = self._ledger.attributes().get(ATTRIBUTE, [])
        return names

    def cancel(self, trials: Sequence[Trial]) -> None:
        """Cancel their jobs, whatever state they are in. May raise scheduler.errors.Away."""
        self._note(trials)
        if trials:
            self._cluster.prepare()
            self._cluster.cancel(self._watch.refs(trials))

    def due(self, running: Sequence[Trial]) -> list[Trial]:
        """Those of the running trials that have a job which people cancelled, and nobody yet ended."""
        return [
            trial
            for trial in running
            if trial.number in self.asked
            and trial.job is not None
            and trial.job.job_id is not None
            and trial.job.name not in self._told
        ]

    def end(self, trials: Sequence[Trial], running: Sequence[Trial]) -> None:
        """End these trials alone: the job of one that shares it with others goes on.

        Doing it twice does no harm. May raise scheduler.errors.Away.
        """
        sharing = [trial for trial in trials if self._shares(trial, running)]
        alone = [trial for trial in trials if trial not in sharing]
        self._note(trials)
        self._cluster.prepare()
        if alone:
            self._cluster.cancel(self._watch.refs(alone))
        if sharing:
            self._cluster.ask_to_end(self._watch.refs(sharing))
        self._told |= {trial.job.name for trial in trials if trial.job is not None}
        self._watch.changed()

    def _shares(self, trial: Trial, running: Sequence[Trial]) -> bool:
        """Whether its job runs trials that nobody cancelled."""
        assert trial.job is not None
        return trial.job.pack is not None and any(
            other.job is not None
            and other.job.job_id == trial.job.job_id
            and other.number not in self.asked
            for other in running
        )

    def _note(self, trials: Sequence[Trial]) -> None:
        """Entered first: a job that we ended must never look like one that somebody preempted."""
        names = [trial.job.name for trial in trials if trial.job is not None]
        self._ledger.set_attribute(ATTRIBUTE, sorted({*self.jobs(), *names}))

    def as_asked(self, trial: Trial, ended: Outcome) -> Outcome:
        """How a trial ended that people may have cancelled; a result that came first counts."""
        message = self.asked.get(trial.number)
        if message is None or ended.state is TrialState.COMPLETED:
            return ended
        failure = ended.failure or Failure(Cause.CANCELLED, message)
        failure = replace(failure, cause=Cause.CANCELLED, message=message)
        return replace(ended, state=TrialState.FAILED, value=None, failure=failure)
