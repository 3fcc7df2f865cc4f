"""The machine-readable reports: one iteration, and the whole run. Pure.

Whatever two runs of the same search may differ in lies under keys that end in ``_at`` or
``seconds``, in ``job``, ``cost``, ``run``, and in what is named after the ``environment``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from agents.confirm import confirmed
from agents.report.cost import cost_document
from agents.report.facts import RunFacts
from agents.report.steering import steering_document
from agents.report.study import Gain, gain_of, until
from agents.report.surroundings import differences
from agents.tradeoff import front, points
from agents.trial import Job, StudyView, Trial, TrialState
from scheduler.job import Failure
from scheduler.stages import stage_of

SCHEMA = 1
"""Version of both documents. A key is added within a version; a changed meaning is a new one."""


def iteration_document(view: StudyView, facts: RunFacts, iteration: int) -> dict[str, Any]:
    """The content of ``iteration_NNN.json``: keys

    * ``schema``, ``experiment``, ``metric``, ``direction``, ``iteration``, ``run``;
    * ``trials``: the trials of this iteration, whole;
    * ``counts``: how many of them are in which state;
    * ``best``, ``best_before``: the best trial after and before this iteration, or null;
    * ``improvement``: by how much the objective got better; null where there is nothing to compare.
    """
    after, before = until(view, iteration), until(view, iteration - 1)
    trials = [trial for trial in view.trials if trial.iteration == iteration]
    return {
        "schema": SCHEMA,
        **_study(view),
        "iteration": iteration,
        "trials": [trial_document(trial) for trial in trials],
        "counts": counts(trials),
        "best": _brief(after.best),
        "best_before": _brief(before.best),
        "improvement": _improvement(before, after),
        "run": _run(facts),
    }


def summary_document(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    """The content of ``summary.json``: keys

    * ``schema``, ``experiment``, ``metric``, ``direction``, ``run``;
    * ``stop_reason``: a sentence, or null where the search has not come to its end;
    * ``best``: the best trial, whole, or null;
    * ``gain``: how much better than ``baseline_trial`` it is (``absolute``, ``relative``), or null;
    * ``confirmed``: trials that ran again with fresh seeds, the best first, with the
      ``values``, their ``mean`` and ``deviation``;
    * ``counts``: trials by state; ``origins``: trials and best value by who proposed them;
    * ``failures``: failed trials by cause;
    * ``totals``: ``trials``, ``iterations``, ``trial_seconds`` (the sum over all trials);
    * ``cost``: ``node_hours`` (all attempts), ``queued_seconds``, … and the ``llm``'s tokens;
    * ``trade_off``: the second ``metric``, its ``direction``, the trials on the Pareto ``front``;
    * ``steering``: what people asked for meanwhile (``what``, ``by``, ``asked_at``, ``taken_at``,
      ``effect``);
    * ``environment_differences``: what was not the same for all trials, values with their trials;
    * ``notices``.
    """
    return {
        "schema": SCHEMA,
        **_study(view),
        "stop_reason": facts.stop_reason,
        "best": trial_document(view.best) if view.best else None,
        "gain": _gain(gain_of(view)),
        "confirmed": [
            {
                "trial": one.trial.number,
                "values": list(one.values),
                "mean": one.mean,
                "deviation": one.deviation,
            }
            for one in confirmed(view)
        ],
        "counts": counts(view.trials),
        "origins": _origins(view),
        "failures": dict(Counter(t.failure.cause.value for t in view.trials if t.failure)),
        "totals": {
            "trials": len(view.trials),
            "iterations": max((trial.iteration for trial in view.trials), default=0),
            "trial_seconds": sum(trial.seconds or 0.0 for trial in view.trials),
        },
        "cost": cost_document(view, facts),
        "trade_off": _trade_off(view, facts),
        "steering": steering_document(facts),
        "environment_differences": {
            one.key: {value: list(trials) for value, trials in one.values}
            for one in differences(view)
        },
        "notices": list(facts.notices),
        "run": _run(facts),
    }


def _trade_off(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    best = front(points(view, facts.second), view.direction, facts.second.direction)
    return {
        "metric": facts.second.metric,
        "direction": facts.second.direction,
        "front": [{"trial": p.trial.number, "value": p.value, "second": p.second} for p in best],
    }


def trial_document(trial: Trial) -> dict[str, Any]:
    """All that is known about a trial, without what only a sampler understands."""
    return {
        **_brief_of(trial),
        "seed": trial.seed,
        "rationale": trial.rationale,
        "predicted": trial.predicted,
        "fallback_reason": trial.fallback_reason,
        "confirms": trial.confirms,
        "adopted": trial.adopted,
        "stop_advice": trial.stop_advice,
        "request": trial.request,
        "metrics": dict(trial.metrics),
        "curve": {"step": list(trial.curve.step), "accuracy": list(trial.curve.accuracy)},
        "failure": _failure(trial.failure),
        "warnings": list(trial.warnings),
        "seconds": trial.seconds,
        "created_at": _iso(trial.created_at),
        "finished_at": _iso(trial.finished_at),
        "job": _job(trial.job),
        "attempts": [
            {"job": _job(past.job), "failure": _failure(past.failure)} for past in trial.attempts
        ],
        "environment": dict(trial.environment),
    }


def counts(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials are in each state, absent states as 0."""
    found = Counter(trial.state for trial in trials)
    return {state.value: found[state] for state in TrialState}


def _study(view: StudyView) -> dict[str, Any]:
    return {"experiment": view.experiment, "metric": view.metric, "direction": view.direction}


def _run(facts: RunFacts) -> dict[str, Any]:
    return {
        "directory": facts.run_directory,
        "started_at": _iso(facts.started_at),
        "updated_at": _iso(facts.updated_at),
        "elapsed_seconds": facts.elapsed_seconds,
    }


def _brief(trial: Trial | None) -> dict[str, Any] | None:
    return _brief_of(trial) if trial else None


def _brief_of(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "iteration": trial.iteration,
        "state": trial.state.value,
        "origin": trial.origin,
        "value": trial.value,
        "parameters": dict(trial.parameters),
    }


def _improvement(before: StudyView, after: StudyView) -> float | None:
    old, new = before.best, after.best
    if old is None or new is None or old.value is None or new.value is None:
        return None
    return abs(new.value - old.value)


def _gain(gain: Gain | None) -> dict[str, Any] | None:
    if gain is None:
        return None
    return {
        "baseline_trial": gain.baseline.number,
        "absolute": gain.absolute,
        "relative": gain.relative,
    }


def _origins(view: StudyView) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for origin in sorted({trial.origin for trial in view.trials}):
        own = [trial for trial in view.trials if trial.origin == origin]
        part = replace(view, trials=own)
        best = part.best
        found[origin] = {"trials": len(part.trials), "best_value": best.value if best else None}
    return found


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    stage = stage_of(failure).value
    return {**asdict(failure), "cause": failure.cause.value, "stage": stage}


def _job(job: Job | None) -> dict[str, Any] | None:
    if job is None:
        return None
    times = ("submitted_at", "started_at", "ended_at")
    return {**asdict(job), **{name: _iso(getattr(job, name)) for name in times}}


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
