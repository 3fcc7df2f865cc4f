"""What a person wants to know first: how good, by what, how much better, why it ended. Pure."""

from __future__ import annotations

from typing import Any

from agents.confirm import Confirmed, confirmed, winner
from agents.report.documents import counts
from agents.report.facts import RunFacts
from agents.report.numbers import measure, number, parameter_text
from agents.report.study import gain_of
from agents.report.words import proposed
from agents.tradeoff import on_the_front
from agents.trial import StudyView, Trial, TrialState
from agents.words import count

_STATES = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING)


def headline(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    """The top of the page, as words and numbers."""
    best = view.best
    found = counts(view.trials)
    empty, hint = _empty(view)
    turns = max((trial.iteration for trial in view.trials), default=0)
    return {
        "best": _best(best) if best else None,
        "confirmed": _confirmed(view),
        "empty": empty,
        "hint": hint,
        "gain": _gain(view),
        "front": "" if view.second is None else count(len(on_the_front(view)), "trial"),
        "running": facts.stop_reason is None,
        "states": [(amount, state.value) for state in _STATES if (amount := found[state.value])],
        "turns": turns,
        "iterations": count(turns, "iteration"),
        "total": len(view.trials),
    }


def _best(best: Trial) -> dict[str, Any]:
    return {
        "number": best.number,
        "iteration": best.iteration,
        "value": measure(best.value),
        "proposed": proposed(best.origin),
        "rationale": best.rationale if best.origin == "llm" else "",
        "parameters": [(n, parameter_text(v)) for n, v in best.parameters.items()],
        "metrics": [(n, measure(v)) for n, v in best.metrics.items() if v is not None],
    }


def _confirmed(view: StudyView) -> dict[str, Any] | None:
    """What came of running the best trials again with fresh seeds; None where none did."""
    found = confirmed(view)
    best = view.best
    if not found or best is None:
        return None
    own = next((one for one in found if one.trial.number == best.number), None)
    first = found[0]
    is_better = first is not own and winner(view) is first.trial
    return {
        "own": _mean(own) if own else "",
        "runs": count(len(own.values), "run") if own else "",
        "other": first.trial.number if is_better else None,
        "other_mean": _mean(first),
        "rows": [
            {
                "number": one.trial.number,
                "found": measure(one.trial.value),
                "mean": measure(one.mean),
                "deviation": measure(one.deviation),
                "runs": str(len(one.values)),
            }
            for one in found
        ],
    }


def _mean(one: Confirmed) -> str:
    spread = f" \N{PLUS-MINUS SIGN} {number(one.deviation, 2)}" if one.deviation else ""
    return f"{measure(one.mean)}{spread}"


def _empty(view: StudyView) -> tuple[str, str]:
    """What stands in place of the best value while there is none, and what follows from it."""
    if not view.trials:
        return "No trial yet", "The first proposals are being made."
    if any(not trial.state.is_finished for trial in view.trials):
        return "No result yet", "The first jobs are on their way."
    return "No trial has a result", "The failures below tell why."


def _gain(view: StudyView) -> dict[str, str] | None:
    gain = gain_of(view)
    if gain is None:
        return None
    kind = "the default" if gain.baseline.origin == "default" else "the first"
    percent = f"{number(abs(100 * gain.relative), 3)}%" if gain.relative is not None else ""
    return {
        "absolute": number(abs(gain.absolute), 3),
        "relative": percent,
        "over": f"{kind}, trial {gain.baseline.number} ({measure(gain.baseline.value)})",
    }
