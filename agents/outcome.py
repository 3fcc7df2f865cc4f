"""From a verdict on a job to what the ledger keeps of its trial. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from agents.metrics import FRACTIONS, OF_ITS_END, Measured, measure
from agents.report import numbers
from agents.tradeoff import SECONDS
from agents.trial import Trial, TrialState
from scheduler.job import Cause, Failure
from scheduler.outcome import Failed, Finished
from training.contract import Curve, MetricLine, Result

FIRST = "the objective"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    state: TrialState
    value: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)
    seconds: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    warnings: Sequence[str] = ()


_SHARED = tuple(each.name for each in fields(Outcome))
"""A finished trial has all that its outcome has, under the same names."""


def outcome_of(trial: Trial) -> Outcome:
    """How a finished trial ended."""
    return Outcome(**{name: getattr(trial, name) for name in _SHARED})


def ended_as(trial: Trial, ended: Outcome, finished_at: datetime | None) -> Trial:
    """The trial, finished in this way."""
    known: dict[str, Any] = {name: getattr(ended, name) for name in _SHARED}
    return replace(trial, finished_at=finished_at, **known)


def outcome(verdict: Finished | Failed, metric: str, second: str | None = None) -> Outcome:
    """How the trial ended. A trial without a finite objective, or without the second one where the search
    is for two, has failed, and has no value."""
    result = verdict.result
    if result is None:
        assert isinstance(verdict, Failed)
        return Outcome(TrialState.FAILED, failure=verdict.failure)
    measured = measure(result)
    if isinstance(verdict, Failed):
        return _from(result, measured, TrialState.FAILED, failure=verdict.failure)
    warnings = [*verdict.warnings, *measured.warnings]
    if result.status == "pruned":
        return _from(result, measured, TrialState.PRUNED, warnings=warnings)
    value = measured.metrics.get(metric)
    if value is None:
        failure = _without_objective(metric, FIRST, measured)
        return _from(result, measured, TrialState.FAILED, failure=failure, warnings=warnings)
    if second is not None and measured.metrics.get(second) is None:
        failure = _without_objective(second, "the second objective", measured)
        return _from(result, measured, TrialState.FAILED, failure=failure, warnings=warnings)
    return _from(result, measured, TrialState.COMPLETED, value=value, warnings=warnings)


def _from(
    result: Result,
    measured: Measured,
    state: TrialState,
    *,
    value: float | None = None,
    failure: Failure | None = None,
    warnings: Sequence[str] = (),
) -> Outcome:
    return Outcome(
        state=state,
        value=value,
        metrics=measured.metrics,
        curve=result.curve,
        seconds=_own_seconds(result),
        environment=result.environment,
        failure=failure,
        warnings=tuple(warnings),
    )


def _own_seconds(result: Result) -> float | None:
    """What this job spent. A training that went on from an earlier attempt tells the time of all, and what
    that attempt spent is counted as its own."""
    earlier = result.environment.get("earlier_seconds")
    if result.seconds is None or isinstance(earlier, bool) or not isinstance(earlier, int | float):
        return result.seconds
    return result.seconds - earlier if 0 <= earlier <= result.seconds else result.seconds


def _without_objective(metric: str, what: str, measured: Measured) -> Failure:
    if measured.broken_off is not None and metric in OF_ITS_END:
        return Failure(Cause.DIVERGED, measured.broken_off)
    if measured.unusable is not None and metric == "accuracy_auc":
        return Failure(Cause.CONTRACT, f"results.json: {measured.unusable}")
    return Failure(Cause.CONTRACT, _no_objective(metric, what, measured.metrics))


def _no_objective(metric: str, what: str, metrics: Mapping[str, float | None]) -> str:
    if metric == SECONDS:
        return f"results.json has no finite seconds, which are {what}: write beside status how long it took"
    if metric in metrics:
        return f"results.json: {what} {metric} is not a finite number"
    known = ", ".join(sorted(metrics)) or "none"
    said = f"results.json has no metric {metric}, which is {what}; it has: {known}"
    if metric in FRACTIONS:
        return f"{said}. It is computed from the curve, and there is none: write curve.step and curve.accuracy, or name another objective"
    near = difflib.get_close_matches(metric, metrics, n=1)
    key = "objective.metric" if what == FIRST else "objective.second.metric"
    return f"{said}; did you mean {near[0]}? ({key})" if near else said


def intermediate_values(lines: Sequence[MetricLine], metric: str) -> dict[int, float]:
    """Intermediate values by step: the objective where any of the lines holds it, else the accuracy. Never
    some of each: a loss that is no number at some step must not become the accuracy there."""
    name = metric if any(line.values.get(metric) is not None for line in lines) else "accuracy"
    found = ((line.step, line.values.get(name)) for line in lines if line.step >= 0)
    return {step: value for step, value in found if value is not None}


def outcome_text(trial: Trial, ended: Outcome, metric: str, second: str | None = None) -> str:
    """One line for the screen. `second` is the second objective, where the search is for two."""
    head = f"trial {trial.number} {ended.state.value}"
    took = "" if ended.seconds is None else f", {ended.seconds:.1f} s"
    if ended.failure is not None:
        return f"{head}: {ended.failure.cause.value}: {_short(ended.failure.message)}"
    if ended.value is None:
        return f"{head}{took} ({trial.origin})"
    values = f"{metric} {numbers.measure(ended.value)}"
    if second not in (None, SECONDS):
        values += f", {second} {numbers.measure(ended.metrics.get(second))}"
    return f"{head}: {values}{took} ({trial.origin})"


def _short(message: str) -> str:
    line = message.strip().splitlines()[0] if message.strip() else ""
    return line if len(line) <= 200 else f"{line[:199]}…"
