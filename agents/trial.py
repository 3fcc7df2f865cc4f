"""The words for trials: what is proposed, what has run, what one iteration knows. Data only."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from scheduler.job import Cause, Resources
from scheduler.job import Failure as Failure
from training.contract import Curve, ParameterValue

if TYPE_CHECKING:
    from agents.config.model import Settings

Origin = Literal["llm", "sampler", "user", "default"]
Direction = Literal["maximize", "minimize"]


def sign(direction: Direction) -> float:
    """By which values are multiplied so that larger ones are better."""
    return 1.0 if direction == "maximize" else -1.0


@dataclass(frozen=True)
class Proposal:
    """Hyperparameters that nobody has run yet, and why they might be worth it."""

    parameters: Mapping[str, ParameterValue]
    """Every active parameter, fixed ones included; inactive conditional ones are absent."""
    origin: Origin
    rationale: str = ""
    predicted: float | None = None
    """The objective's value that the proposer expects."""
    fallback_reason: str | None = None
    """Set where this proposer stands in for another one that failed: why it failed."""
    sampler_attrs: Mapping[str, Any] = field(default_factory=dict)
    """What an Optuna sampler keeps with a trial of its own (CMA-ES state, grid position)."""
    request: str | None = None
    """Set where a person asked for this trial while the search ran: the id of what was asked."""
    confirms: int | None = None
    """Set where this runs another trial again with a fresh seed: that trial's number."""
    adopted: bool = False
    """Whether the LLM took this over from the sampler's candidates."""
    stop_advice: str | None = None
    """Set where the LLM, when this was proposed, recommended to end the search: its reason."""


NOT_OF_THE_POINT = frozenset(
    {
        Cause.CANCELLED,
        Cause.CANNOT_START,
        Cause.LOST,
        Cause.NODE_FAILURE,
        Cause.NO_ROOM,
        Cause.PREEMPTED,
        Cause.REFUSED,
    }
)
"""Why a trial failed that says nothing of its hyperparameters: the machine, the site or a person."""


class TrialState(enum.Enum):
    RUNNING = "running"
    """Proposed; its job is waiting to be submitted, queued or running."""
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def is_finished(self) -> bool:
        return self is not TrialState.RUNNING


@dataclass(frozen=True)
class Job:
    """One attempt at a trial on the cluster."""

    name: str
    directory: str
    """Relative to the run directory, the same on both sides."""
    attempt: int = 1
    job_id: str | None = None
    submitted_at: datetime | None = None
    """When the batch system's answer came (UTC)."""
    started_at: datetime | None = None
    """When it ran, as far as polls can tell: never before it did (UTC)."""
    ended_at: datetime | None = None
    resources: Resources = field(default_factory=Resources)
    """What it asks of the batch system."""
    pack: str | None = None
    """The directory of the job that it shares with other trials, if it does."""


@dataclass(frozen=True)
class PastAttempt:
    """An attempt that failed through no fault of the trial, and was made again."""

    job: Job
    failure: Failure


@dataclass(frozen=True)
class Trial:
    """One trial as the ledger knows it."""

    number: int
    iteration: int
    """From 1."""
    state: TrialState
    parameters: Mapping[str, ParameterValue]
    origin: Origin
    seed: int
    rationale: str = ""
    predicted: float | None = None
    fallback_reason: str | None = None
    sampler_attrs: Mapping[str, Any] = field(default_factory=dict)
    job: Job | None = None
    """Of the last attempt."""
    attempts: Sequence[PastAttempt] = ()
    """Those before it, the oldest first."""
    value: float | None = None
    """The objective. Only completed trials have one."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """`accuracy_auc`, `final_accuracy`, `best_accuracy`, `epochs_to_90`, and the program's own."""
    curve: Curve = field(default_factory=Curve)
    seconds: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    request: str | None = None
    """Of its proposal: the id of what a person asked for."""
    confirms: int | None = None
    """Of its proposal: the trial that it runs again, to confirm it. It teaches nobody anything new."""
    adopted: bool = False
    """Of its proposal: the LLM took it over from the sampler's candidates. It tells of neither."""
    stop_advice: str | None = None
    """Of its proposal: why the LLM recommended to end the search."""
    warnings: Sequence[str] = ()
    """Such as a result whose AUC disagrees with its own curve."""
    created_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def teaches(self) -> bool:
        """Whether it says, or will say, something of its point that nobody knew before."""
        if self.confirms is not None:
            return False
        if self.state is not TrialState.FAILED or self.failure is None:
            return True
        return self.failure.cause not in NOT_OF_THE_POINT


@dataclass(frozen=True)
class Second:
    """A second objective: the search is for the best trade-offs of the two."""

    metric: str
    """By its name in results.json; ``seconds``: the training time."""
    direction: Direction

    @classmethod
    def of(cls, settings: Settings) -> Second | None:
        """That of a configuration; None where its search is for one objective."""
        found = settings.objective.second
        return None if found is None else cls(found.metric, found.direction)


@dataclass(frozen=True)
class StudyView:
    """What a proposer, the convergence rules and a report may know: a snapshot."""

    experiment: str
    metric: str
    direction: Direction
    trials: Sequence[Trial]
    """In the order of their numbers, without holes."""
    sampler_state: Mapping[str, Any] = field(default_factory=dict)
    """What an Optuna sampler keeps with the study (grid, QMC position)."""
    notes: Sequence[str] = ()
    """What the user said while the search ran, the oldest first. The LLM sees it."""
    second: Second | None = None
    """Set where the search is for two objectives."""
    earlier: Sequence[Trial] = ()
    """Trials of other searches, that this one began with (`warm_start`): lessons, and no part of it."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        trials: Sequence[Trial],
        sampler_state: Mapping[str, Any] | None = None,
    ) -> StudyView:
        """These trials as the search of a configuration."""
        objective = settings.objective
        return cls(
            settings.experiment.id,
            objective.metric,
            objective.direction,
            trials,
            sampler_state or {},
            second=Second.of(settings),
        )

    @property
    def with_earlier(self) -> StudyView:
        """The history for a model that learns from all there is: the trials of other searches before its
        own, whose numbers are moved on by theirs."""
        if not self.earlier:
            return self
        known = [*self.earlier, *self.trials]
        trials = [replace(trial, number=number) for number, trial in enumerate(known)]
        return replace(self, trials=trials, earlier=())

    @property
    def completed(self) -> list[Trial]:
        """Those that completed, without those that only run another one again."""
        return [
            trial
            for trial in self.trials
            if trial.state is TrialState.COMPLETED and trial.confirms is None
        ]

    @property
    def failed(self) -> list[tuple[Trial, Failure]]:
        """Those that failed, each with what it failed of."""
        return [(trial, trial.failure) for trial in self.trials if trial.failure is not None]

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best objective; the earliest of equals."""
        valued = [trial for trial in self.completed if trial.value is not None]
        if not valued:
            return None
        up = sign(self.direction)
        return min(valued, key=lambda trial: (-up * (trial.value or 0.0), trial.number))
