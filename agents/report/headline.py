"""What a person wants to know first: how good, by what, how much better, why it ended. Pure."""

from __future__ import annotations

from typing import Any

from agents.report.documents import counts
from agents.report.facts import RunFacts
from agents.report.numbers import count, measure, parameter_text, signed
from agents.report.study import gain_of
from agents.report.words import origin_name
from agents.trial import StudyView, Trial


def headline(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    """The top of the page, as words and numbers."""
    best = view.best
    return {
        "best": _best(best) if best else None,
        "empty": _empty(view),
        "gain": _gain(view),
        "running": facts.stop_reason is None,
        "states": [(amount, state) for state, amount in counts(view.trials).items() if amount],
        "iterations": count(max((t.iteration for t in view.trials), default=0), "iteration"),
        "trials": count(len(view.trials), "trial"),
    }


def _best(best: Trial) -> dict[str, Any]:
    return {
        "number": best.number,
        "iteration": best.iteration,
        "value": measure(best.value),
        "origin": origin_name(best.origin),
        "rationale": best.rationale,
        "parameters": [(n, parameter_text(v)) for n, v in best.parameters.items()],
        "metrics": [(n, measure(v)) for n, v in best.metrics.items() if v is not None],
    }


def _empty(view: StudyView) -> str:
    if not view.trials:
        return "No trial yet"
    if not any(not trial.state.is_finished for trial in view.trials):
        return "No trial has completed"
    return "No result yet"


def _gain(view: StudyView) -> dict[str, str] | None:
    gain = gain_of(view)
    if gain is None:
        return None
    kind = "the default" if gain.baseline.origin == "default" else "the first"
    percent = f"{signed(100 * gain.relative)}%" if gain.relative is not None else ""
    return {
        "absolute": signed(gain.absolute),
        "relative": percent,
        "over": f"{kind}, trial {gain.baseline.number} ({measure(gain.baseline.value)})",
    }
