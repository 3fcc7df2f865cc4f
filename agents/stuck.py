"""Jobs that wait and will never start, by their scheduler's own word: said at once, ended after a while.

They hold places in `max_in_flight`, and a search in schedule batch waits for them for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.cancelling import Cancelling
from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.screen import duration_text
from agents.trial import Trial, TrialState
from agents.watch import Watch
from scheduler.job import Cause

ATTRIBUTE = "never_started"
"""Of the study: what the scheduler said of the jobs that were cancelled for it, by their names."""


class Stuck:
    """Knows the jobs that will never start, and what becomes of their trials."""

    def __init__(self, ledger: Ledger, watch: Watch, cancelling: Cancelling) -> None:
        self._ledger = ledger
        self._watch = watch
        self._cancelling = cancelling
        self._said: set[str] = set()
        self._ended: set[str] = set()

    def news(self, trials: Sequence[Trial], after: float | None) -> list[str]:
        """A sentence for each reason that has not been told yet."""
        found = []
        for trial in trials:
            reason = self._watch.reason(trial)
            if self._watch.stuck_for(trial) is None or reason in self._said:
                continue
            self._said.add(reason)
            found.append(_sentence(trial, reason, after))
        return found

    def due(self, trials: Sequence[Trial], after: float | None) -> list[Trial]:
        """Those that have been stuck for longer than `after` seconds, and were not ended yet."""
        if after is None:
            return []
        return [
            trial
            for trial in trials
            if trial.job is not None
            and trial.job.name not in self._ended
            and (stuck := self._watch.stuck_for(trial)) is not None
            and stuck >= after
        ]

    def end(self, trials: Sequence[Trial]) -> None:
        """Cancel their jobs. What was said of them is entered first, for whoever comes after a
        crash. May raise scheduler.errors.Away."""
        reasons = {trial.job.name: self._watch.reason(trial) for trial in trials if trial.job}
        self._ledger.set_attribute(ATTRIBUTE, {**self._kept(), **reasons})
        self._cancelling.cancel(trials)
        self._ended |= set(reasons)
        self._watch.changed()

    def as_seen(self, trial: Trial, ended: Outcome) -> Outcome:
        """How a trial ended whose job may have been cancelled for this; one that ran after all
        keeps what came of it."""
        reason = self._kept().get(trial.job.name) if trial.job is not None else None
        ran = self._watch.running_for(trial) is not None
        if reason is None or ran or ended.failure is None:
            return ended
        message = f"the scheduler said that it would never start, and it was cancelled: {reason}"
        failure = replace(ended.failure, cause=Cause.CANNOT_START, message=message)
        return replace(ended, state=TrialState.FAILED, failure=failure)

    def _kept(self) -> dict[str, str]:
        kept: dict[str, str] = self._ledger.attributes().get(ATTRIBUTE, {})
        return kept


def _sentence(trial: Trial, reason: str, after: float | None) -> str:
    job = f" (job {trial.job.job_id})" if trial.job is not None and trial.job.job_id else ""
    then = (
        "it stays in the queue (cluster.poll.never_starts is null)"
        if after is None
        else f"it is cancelled after {duration_text(after)} of this (cluster.poll.never_starts)"
    )
    return f"trial {trial.number}{job} waits in vain, the scheduler says: {reason}; {then}"
