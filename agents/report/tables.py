"""The page's tables: all trials, what failed, what else there is to know. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agents.config.model import FixedParameter, Parameter
from agents.report.cut import tail
from agents.report.numbers import MISSING, measure, parameter_text
from agents.report.words import origin_name
from agents.tradeoff import SECONDS
from agents.trial import StudyView, Trial
from agents.words import count
from scheduler.job import Failure
from scheduler.stages import stage_of

MOST_FAILURES = 50
"""Failures told in full, the newest; all are counted and in the table of trials."""
MOST_WARNINGS = 100
STDERR_CHARACTERS = 4000
WHY_CHARACTERS = 90
"""Of a rationale on its line in the table; the rest unfolds."""


def trial_table(view: StudyView, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """All trials as rows of text. Fixed parameters have no column: they are the same everywhere."""
    varied = [n for n, p in parameters.items() if not isinstance(p, FixedParameter)]
    second = [] if view.second is None or view.second.metric == SECONDS else [view.second.metric]
    metrics = [m for m in ("accuracy_auc", "final_accuracy") if m not in (view.metric, *second)]
    metrics = [*second, *metrics]
    best = view.best
    return {
        "parameters": varied,
        "fixed": [
            (n, parameter_text(p.value))
            for n, p in parameters.items()
            if isinstance(p, FixedParameter)
        ],
        "metrics": [name.replace("accuracy_auc", "AUC").replace("_", " ") for name in metrics],
        "rows": [_row(trial, varied, metrics, trial is best) for trial in view.trials],
    }


def _row(trial: Trial, varied: Sequence[str], metrics: Sequence[str], best: bool) -> dict[str, Any]:
    why = [trial.rationale, f"Stands in: {trial.fallback_reason}" if trial.fallback_reason else ""]
    return {
        "number": trial.number,
        "best": best,
        "iteration": trial.iteration,
        "state": trial.state.value,
        "cause": trial.failure.cause.value if trial.failure else "",
        "origin": trial.origin,
        "by": origin_name(trial.origin),
        "value": measure(trial.value),
        "metrics": [measure(trial.metrics.get(name)) for name in metrics],
        "seconds": MISSING if trial.seconds is None else f"{trial.seconds:.1f}",
        "parameters": [
            parameter_text(trial.parameters[name]) if name in trial.parameters else MISSING
            for name in varied
        ],
        **_why(" ".join(part for part in why if part)),
    }


def _why(text: str) -> dict[str, str]:
    """The reason in a line, and the rest of it where it is long."""
    if len(text) <= WHY_CHARACTERS:
        return {"why": text, "more": ""}
    cut = text.rfind(" ", WHY_CHARACTERS // 2, WHY_CHARACTERS)
    cut = cut if cut > 0 else WHY_CHARACTERS
    return {"why": f"{text[:cut]} …", "more": f"… {text[cut:].strip()}"}


def failures(view: StudyView) -> dict[str, Any]:
    """How often each cause struck, and the newest failures in full."""
    failed = view.failed
    causes = Counter(failure.cause.value for _, failure in failed)
    return {
        "causes": [(amount, cause) for cause, amount in causes.most_common()],
        "told": [_failure(trial, failure) for trial, failure in reversed(failed[-MOST_FAILURES:])],
        "all": len(failed),
        "most": max(causes.values(), default=1),
        "again": _again(view),
    }


def _again(view: StudyView) -> str:
    """Attempts that failed and were made again; their trials need not be among the failed."""
    causes = Counter(past.failure.cause.value for t in view.trials for past in t.attempts)
    if not causes:
        return ""
    each = ", ".join(f"{cause} {amount}" for cause, amount in causes.most_common())
    was = "was" if causes.total() == 1 else "were"
    return f"{count(causes.total(), 'attempt')} failed and {was} made again: {each}."


def _failure(trial: Trial, failure: Failure) -> dict[str, Any]:
    facts = [("stage", stage_of(failure).value)]
    if failure.exit_code is not None:
        facts.append(("exit code", str(failure.exit_code)))
    if failure.scheduler_state:
        facts.append(("scheduler", failure.scheduler_state))
    if trial.job is not None:
        facts.append(("directory", trial.job.directory))
    return {
        "trial": trial.number,
        "iteration": trial.iteration,
        "cause": failure.cause.value,
        "message": failure.message,
        "facts": facts,
        "stderr": tail(failure.stderr_tail, STDERR_CHARACTERS),
    }


def notes(view: StudyView, notices: Sequence[str]) -> dict[str, Any]:
    """Notices of the run, and warnings by what they say with the trials that they concern."""
    by_text: dict[str, list[int]] = {}
    for trial in view.trials:
        for warning in trial.warnings:
            by_text.setdefault(warning, []).append(trial.number)
    warnings = [(trials_text(numbers), text) for text, numbers in by_text.items()]
    return {
        "any": bool(notices or warnings),
        "notices": list(notices),
        "warnings": warnings[:MOST_WARNINGS],
        "more": max(0, len(warnings) - MOST_WARNINGS),
    }


def trials_text(numbers: Sequence[int]) -> str:
    """Which trials, or how many where they are more than five."""
    if len(numbers) <= 5:
        return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    return count(len(numbers), "trial")
