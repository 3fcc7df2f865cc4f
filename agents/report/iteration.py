"""One iteration as Markdown: what was tried, why, how it went, what is best now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.report.cut import tail
from agents.report.facts import RunFacts
from agents.report.markdown import Ready, code, escape, fenced
from agents.report.numbers import MISSING, duration, measure, moment, parameter_text, signed
from agents.report.study import is_better, until
from agents.report.templates import environment
from agents.report.words import origin_name
from agents.tradeoff import SECONDS, on_the_front, second_value
from agents.trial import StudyView, Trial, TrialState
from agents.words import named
from scheduler.stages import stage_of

STDERR_CHARACTERS = 2000
"""Of a failed trial's stderr; all of it lies in the trial's own directory."""


def iteration_markdown(view: StudyView, facts: RunFacts, iteration: int) -> str:
    """The content of ``iteration_NNN.md``. `view` may hold later iterations: they are left out."""
    before, after = until(view, iteration - 1), until(view, iteration)
    trials = [trial for trial in view.trials if trial.iteration == iteration]
    second = view.second.metric if view.second is not None else None
    second = None if second == SECONDS else second  # which has a column of its own
    template = environment(finalize=escape).get_template("iteration.md.j2")
    return template.render(
        facts=facts,
        view=view,
        iteration=iteration,
        updated=moment(facts.updated_at),
        elapsed=duration(facts.elapsed_seconds),
        second=second,
        rows=[_row(trial, second) for trial in trials],
        reasons=[_reason(trial) for trial in trials if trial.rationale or trial.fallback_reason],
        failures=[_failure(trial) for trial in trials if trial.failure],
        warnings=[(trial.number, text) for trial in trials for text in trial.warnings],
        best=_best(after),
        front=_front(after),
        verdict=_verdict(before, after, trials),
    )


def _row(trial: Trial, second: str | None) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state.value,
        "origin": origin_name(trial.origin),
        "value": measure(trial.value),
        "second": measure(second_value(trial, second)) if second else "",
        "predicted": measure(trial.predicted),
        "final": measure(trial.metrics.get("final_accuracy")),
        "seconds": duration(trial.seconds),
        "parameters": _parameters(trial),
    }


def _parameters(trial: Trial) -> Ready:
    pairs = (f"{name} = {parameter_text(value)}" for name, value in trial.parameters.items())
    return Ready(", ".join(code(pair) for pair in pairs) or MISSING)


def _reason(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "origin": origin_name(trial.origin),
        "rationale": trial.rationale,
        "fallback": trial.fallback_reason or "",
    }


def _failure(trial: Trial) -> dict[str, Any]:
    failure = trial.failure
    assert failure is not None
    return {
        "trial": trial.number,
        "cause": failure.cause.value,
        "stage": stage_of(failure).value,
        "message": failure.message,
        "exit_code": failure.exit_code,
        "scheduler_state": failure.scheduler_state,
        "stderr": fenced(tail(failure.stderr_tail, STDERR_CHARACTERS))
        if failure.stderr_tail
        else "",
    }


def _best(view: StudyView) -> dict[str, Any] | None:
    best = view.best
    if best is None:
        return None
    return {
        "trial": best.number,
        "iteration": best.iteration,
        "value": measure(best.value),
        "origin": origin_name(best.origin),
        "parameters": [
            (code(name), code(parameter_text(value))) for name, value in best.parameters.items()
        ],
    }


def _front(view: StudyView) -> str:
    found = [] if view.second is None else on_the_front(view)
    return named([trial.number for trial in found]) if found else ""


def _verdict(before: StudyView, after: StudyView, trials: Sequence[Trial]) -> str:
    """The iteration in a sentence."""
    if not trials:
        return "No trial belongs to this iteration."
    done = sum(trial.state is TrialState.COMPLETED for trial in trials)
    tally = f"{done} of {len(trials)} completed"
    old, new = before.best, after.best
    if new is None or new.value is None:
        return f"{tally}; no trial has a result yet."
    if old is None or old.value is None:
        return f"{tally}; trial {new.number} is the first best with {measure(new.value)}."
    if is_better(new.value, old.value, after):
        gain = signed(new.value - old.value)
        return (
            f"{tally}; trial {new.number} is the new best with {measure(new.value)} "
            f"({gain} on trial {old.number})."
        )
    return f"{tally}; trial {old.number} remains the best with {measure(old.value)}."
