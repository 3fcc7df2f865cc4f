"""The ledger: what is known about trials, in an Optuna study. The one source of truth.

One orchestrator writes at a time (`agents.workspace` holds the lock); anybody may read. A trial is
one transaction when it is proposed, one when its job is submitted and two when it ends, so that a
crash leaves it before or after a step, never within.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agents.errors import LedgerError, NewerLedger
from agents.ledger_file import in_the_drivers_words, is_there, open_storage
from agents.newer import failure_fields, job_fields, unknown
from agents.outcome import Outcome
from agents.space import SearchSpace
from agents.trial import Direction, Job, PastAttempt, Proposal, StudyView, Trial, TrialState
from scheduler.job import Failure
from training.contract import Curve, ParameterValue, finite_or_none

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from agents.config.model import Settings

# User attributes of a trial. Few, since a relational storage writes each by itself: those that
# optuna-dashboard should show as columns are flat, the rest of a proposal is one.
_ITERATION, _ORIGIN, _PROPOSAL, _JOB, _OUTCOME = (
    "iteration",
    "origin",
    "proposal",
    "job",
    "outcome",
)
_JOB_TIMES = ("submitted_at", "started_at", "ended_at")


class Ledger:
    """Reads and writes the study of one run."""

    def __init__(self, storage: BaseStorage, study_id: int, space: SearchSpace) -> None:
        self._storage = storage
        self._study_id = study_id
        self._space = space
        self._trials: list[Trial] = []
        self._settled = 0
        """How many trials from the first on have finished."""
        self._stale = True
        self._sampler_state: tuple[int, Mapping[str, Any]] = (-1, {})
        self._ids: dict[int, int] = {}
        self.still_ours: Callable[[], None] = lambda: None
        """Called before each write and `refresh`; raises RunLocked where the run is another's by now."""

    @classmethod
    def open(
        cls,
        url: str,
        study_name: str,
        direction: Direction,
        space: SearchSpace,
        *,
        has_begun: bool = False,
    ) -> Ledger:
        """Open the study, making it where there is none. Raises LedgerError.

        `has_begun`: there must be one, since what it knew would be run again otherwise.
        """
        import optuna
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        wanted = StudyDirection.MAXIMIZE if direction == "maximize" else StudyDirection.MINIMIZE
        if has_begun and not is_there(url):
            raise _lost(url, study_name)
        try:
            storage = open_storage(url)
            if has_begun and study_name not in {s.study_name for s in storage.get_all_studies()}:
                raise _lost(url, study_name)
            try:
                study_id = storage.create_new_study([wanted], study_name)
            except DuplicatedStudyError:
                study_id = storage.get_study_id_from_name(study_name)
            if storage.get_study_directions(study_id) != [wanted]:
                raise LedgerError(
                    f"the study {study_name} in {url} was made for another direction than "
                    f"objective.direction = {direction}: use another experiment.id or ledger.storage"
                )
            found = unknown(storage.get_all_trials(study_id, deepcopy=False))
            if found is not None:
                raise NewerLedger(
                    f"a newer version of Pilothouse has worked on this run: {found}, which this "
                    "version does not know and would lose; go on with the newer one (looking at the "
                    "run works with this one too)"
                )
        except LedgerError:
            raise
        except Exception as error:  # SQLAlchemy, alembic and drivers each have trees of their own
            raise LedgerError(
                f"cannot open the ledger {url}: {in_the_drivers_words(error)}; check that the file is a "
                "readable Optuna study and that its directory is writable"
            ) from error
        return cls(storage, study_id, space)

    def close(self) -> None:
        """Release the storage's connections."""
        self._storage.remove_session()

    # -- reading ---------------------------------------------------------------------------------

    def trials(self) -> Sequence[Trial]:
        """All trials in the order of their numbers, as of the last write or `refresh`."""
        if self._stale:
            self._trials = self._read()
            self._stale = False
        return self._trials

    def refresh(self) -> None:
        """Look at the storage again at the next reading: somebody else may have written."""
        self.still_ours()
        self._stale = True

    def _read(self) -> list[Trial]:
        """Trials do not change once they have finished: only what comes after the row of finished
        trials at the beginning is looked at, so that a long history costs nothing."""
        trials = self._trials[: self._settled]
        everything = self._storage.get_all_trials(self._study_id, deepcopy=False)
        for frozen in everything[self._settled :]:
            self._ids[frozen.number] = frozen._trial_id
            self._note_sampler_state(frozen)
            trials.append(_trial(frozen))
        while self._settled < len(trials) and trials[self._settled].state.is_finished:
            self._settled += 1
        return trials

    def _note_sampler_state(self, frozen: FrozenTrial) -> None:
        if frozen.number <= self._sampler_state[0]:
            return
        state = frozen.user_attrs.get(_PROPOSAL, {}).get("sampler_state")
        if state is not None:
            self._sampler_state = (frozen.number, state)

    def attributes(self) -> dict[str, Any]:
        """What is kept with the study as a whole (`set_attribute`)."""
        return dict(self._storage.get_study_user_attrs(self._study_id))

    def sampler_state(self) -> Mapping[str, Any]:
        """What the sampler wanted to find again when the newest trial was proposed."""
        self.trials()
        return self._sampler_state[1]

    # -- writing ---------------------------------------------------------------------------------

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep a JSON value with the study."""
        self.still_ours()
        self._storage.set_study_user_attr(self._study_id, name, finite_or_none(value))

    def add(
        self,
        proposal: Proposal,
        iteration: int,
        seed: int,
        sampler_state: Mapping[str, Any] | None = None,
    ) -> int:
        """Enter a proposal as a running trial, in one transaction. Returns its number.

        `sampler_state` goes with the last of the proposals that were made together.
        """
        from optuna.trial import TrialState as OptunaState
        from optuna.trial import create_trial

        distributions = self._space.distributions()
        parameters = {k: v for k, v in proposal.parameters.items() if k in distributions}
        rest = {
            "rationale": proposal.rationale,
            "seed": seed,
            "predicted": finite_or_none(proposal.predicted),
            "fallback_reason": proposal.fallback_reason,
            "request": proposal.request,
            "confirms": proposal.confirms,
            "adopted": proposal.adopted,
            "stop_advice": proposal.stop_advice,
            "fixed": {k: v for k, v in proposal.parameters.items() if k not in distributions},
            "order": list(proposal.parameters),
            "sampler_state": dict(sampler_state) if sampler_state else None,
        }
        template = create_trial(
            state=OptunaState.RUNNING,
            params=parameters,
            distributions={name: distributions[name] for name in parameters},
            user_attrs={_ITERATION: iteration, _ORIGIN: proposal.origin, _PROPOSAL: rest},
            system_attrs=dict(proposal.sampler_attrs),
        )
        self.still_ours()
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        number = self._storage.get_trial_number_from_id(trial_id)
        self._stale = True
        self._ids[number] = trial_id
        return number

    def record_job(self, number: int, job: Job, past: Sequence[PastAttempt] = ()) -> None:
        """Enter an attempt's job, its name before, its id after the submission, and the attempts
        before it. One transaction."""
        document = {**_job_to_json(job), "past": [_past_to_json(attempt) for attempt in past]}
        self._storage.set_trial_user_attr(self._id(number), _JOB, finite_or_none(document))
        self._stale = True

    def report(self, number: int, points: Mapping[int, float]) -> None:
        """Enter intermediate values of a running trial, by step (0 or more)."""
        for step, value in points.items():
            self._storage.set_trial_intermediate_value(self._id(number), step, value)

    def completed_points(self) -> list[dict[int, float]]:
        """Intermediate values of the completed trials."""
        from optuna.trial import TrialState as OptunaState

        everything = self._storage.get_all_trials(
            self._study_id, deepcopy=False, states=(OptunaState.COMPLETE,)
        )
        return [frozen.intermediate_values for frozen in everything if frozen.intermediate_values]

    def points(self) -> dict[int, dict[int, float]]:
        """Intermediate values of all trials by their numbers, whatever became of them, but for those that
        confirm others."""
        everything = self._storage.get_all_trials(self._study_id, deepcopy=False)
        return {
            frozen.number: frozen.intermediate_values
            for frozen in everything
            if (frozen.user_attrs.get(_PROPOSAL) or {}).get("confirms") is None
        }

    def finish(
        self, number: int, ended: Outcome, now: datetime, started: datetime | None = None
    ) -> None:
        """Enter how a trial ended, and when its job `started`. Doing it twice is doing it once."""
        from optuna.exceptions import UpdateFinishedTrialError

        document = {
            "metrics": dict(ended.metrics),
            "curve": asdict(ended.curve),
            "seconds": ended.seconds,
            "environment": dict(ended.environment),
            "failure": _failure_to_json(ended.failure),
            "warnings": list(ended.warnings),
            "started_at": _iso(started),
            "ended_at": _iso(now),
        }
        trial_id = self._id(number)
        values = [ended.value] if ended.value is not None else None
        self._stale = True
        try:
            self._storage.set_trial_user_attr(trial_id, _OUTCOME, finite_or_none(document))
            self._storage.set_trial_state_values(trial_id, _to_optuna(ended.state), values)
        except UpdateFinishedTrialError:
            return

    def _id(self, number: int) -> int:
        self.still_ours()
        if number not in self._ids:
            self.trials()
        return self._ids[number]


def snapshot(ledger: Ledger, settings: Settings) -> StudyView:
    """A snapshot of the ledger for proposers, convergence and reports."""
    return StudyView.of(settings, ledger.trials(), ledger.sampler_state())


def _to_optuna(state: TrialState) -> Any:
    from optuna.trial import TrialState as OptunaState

    return {
        TrialState.RUNNING: OptunaState.RUNNING,
        TrialState.COMPLETED: OptunaState.COMPLETE,
        TrialState.PRUNED: OptunaState.PRUNED,
        TrialState.FAILED: OptunaState.FAIL,
    }[state]


_FROM_OPTUNA = {
    "RUNNING": TrialState.RUNNING,
    "WAITING": TrialState.RUNNING,
    "COMPLETE": TrialState.COMPLETED,
    "PRUNED": TrialState.PRUNED,
    "FAIL": TrialState.FAILED,
}


def _lost(url: str, study_name: str) -> LedgerError:
    return LedgerError(
        f"the ledger {url} holds no study {study_name}, and the run had begun: the file was lost or "
        "replaced. Nothing was started, since all trials would run again"
    )


def _trial(frozen: FrozenTrial) -> Trial:
    attributes = frozen.user_attrs
    proposal = attributes.get(_PROPOSAL) or {}
    outcome = attributes.get(_OUTCOME) or {}
    curve = outcome.get("curve") or _curve_of(frozen)
    state = _FROM_OPTUNA[frozen.state.name]
    return Trial(
        number=frozen.number,
        iteration=attributes.get(_ITERATION, 0),
        state=state,
        parameters=_parameters(frozen),
        origin=attributes.get(_ORIGIN, "user"),
        seed=proposal.get("seed", 0),
        rationale=proposal.get("rationale", ""),
        predicted=proposal.get("predicted"),
        fallback_reason=proposal.get("fallback_reason"),
        request=proposal.get("request"),
        confirms=proposal.get("confirms"),
        adopted=proposal.get("adopted", False),
        stop_advice=proposal.get("stop_advice"),
        sampler_attrs=frozen.system_attrs,
        job=_job(attributes.get(_JOB), outcome),
        attempts=_past_from_json(attributes.get(_JOB)),
        value=frozen.values[0] if frozen.values else None,
        metrics=outcome.get("metrics") or {},
        curve=Curve(tuple(curve["step"]), tuple(curve["accuracy"])),
        seconds=outcome.get("seconds"),
        environment=outcome.get("environment") or {},
        failure=_failure_from_json(outcome.get("failure")) if state.is_finished else None,
        warnings=tuple(outcome.get("warnings") or ()),
        created_at=_utc(frozen.datetime_start),
        finished_at=_datetime(outcome.get("ended_at")) or _utc(frozen.datetime_complete),
    )


def _parameters(frozen: FrozenTrial) -> dict[str, ParameterValue]:
    proposal = frozen.user_attrs.get(_PROPOSAL) or {}
    values = {**frozen.params, **proposal.get("fixed", {})}
    order = proposal.get("order") or list(values)
    return {name: values[name] for name in order if name in values}


def _curve_of(frozen: FrozenTrial) -> dict[str, list[float]]:
    points = sorted(frozen.intermediate_values.items())
    return {"step": [step for step, _ in points], "accuracy": [value for _, value in points]}


def _job_to_json(job: Job) -> dict[str, Any]:
    return {**asdict(job), **{name: _iso(getattr(job, name)) for name in _JOB_TIMES}}


def _job(document: Mapping[str, Any] | None, outcome: Mapping[str, Any]) -> Job | None:
    """The last attempt's job; when it ran stands with the outcome, in the same transaction."""
    job = _job_from_json(document)
    if job is None or not outcome.get("ended_at"):
        return job
    return replace(
        job,
        started_at=_datetime(outcome.get("started_at")),
        ended_at=_datetime(outcome["ended_at"]),
    )


def _job_from_json(document: Mapping[str, Any] | None) -> Job | None:
    if not document:
        return None
    times = {name: _datetime(document.get(name)) for name in _JOB_TIMES}
    return Job(**{**job_fields(document), **times})


def _past_to_json(attempt: PastAttempt) -> dict[str, Any]:
    return {"job": _job_to_json(attempt.job), "failure": _failure_to_json(attempt.failure)}


def _past_from_json(document: Mapping[str, Any] | None) -> tuple[PastAttempt, ...]:
    found = []
    for past in (document or {}).get("past", ()):
        job, failure = _job_from_json(past["job"]), _failure_from_json(past["failure"])
        if job is not None and failure is not None:
            found.append(PastAttempt(job, failure))
    return tuple(found)


def _failure_to_json(failure: Failure | None) -> dict[str, Any] | None:
    return {**asdict(failure), "cause": failure.cause.value} if failure else None


def _failure_from_json(document: Mapping[str, Any] | None) -> Failure | None:
    return Failure(**failure_fields(document)) if document else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _datetime(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
