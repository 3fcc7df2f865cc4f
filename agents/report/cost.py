"""What a search took, told: node-hours, waiting, and what the LLM was asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.cost import Cost, cost_of
from agents.report.facts import RunFacts
from agents.report.numbers import duration, measure, number
from agents.report.usage import Usage
from agents.report.words import ORIGINS, origin_name
from agents.spans import Span, spans
from agents.trial import StudyView, TrialState
from agents.words import count


def cost(view: StudyView, facts: RunFacts) -> Cost:
    """What the jobs of the run took so far."""
    return cost_of(spans(view, facts.updated_at))


def cost_document(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    """For programs: `Cost` and what the LLM was asked."""
    used, jobs = facts.usage, cost(view, facts)
    return {
        "jobs": jobs.jobs,
        "node_hours": jobs.node_hours,
        "gpu_hours": jobs.gpu_hours,
        "lost_node_hours": jobs.lost_node_hours,
        "queued_seconds": jobs.queued_seconds,
        "llm": {
            "exchanges": used.exchanges,
            "unanswered": used.unanswered,
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "money": dict(used.money),
            "unpriced": used.unpriced,
        },
    }


def cost_section(view: StudyView, facts: RunFacts) -> dict[str, Any] | None:
    """The section on the page; None where nothing was spent yet."""
    found = spans(view, facts.updated_at)
    if not found and not facts.usage.exchanges:
        return None
    whole = cost_of(found)
    return {
        "figures": [*_job_figures(whole), *_llm_figures(facts.usage)],
        "rows": _by_origin(view, found),
        "note": _note(whole, facts.usage),
    }


def _job_figures(whole: Cost) -> list[tuple[str, str]]:
    figures = [
        ("node-hours", number(whole.node_hours, 3)),
        ("jobs", str(whole.jobs)),
        ("running", duration(whole.ran_seconds)),
        ("in the queue", duration(whole.queued_seconds)),
    ]
    if whole.gpu_hours:
        figures.insert(1, ("GPU-hours", number(whole.gpu_hours, 3)))
    return figures


def _llm_figures(used: Usage) -> list[tuple[str, str]]:
    if not used.exchanges:
        return []
    figures = [
        ("LLM exchanges", str(used.exchanges)),
        ("tokens in", _thousands(used.input_tokens)),
        ("tokens out", _thousands(used.output_tokens)),
    ]
    for currency, amount in used.money.items():
        told = f"{amount:.2f}" if amount >= 0.1 else number(amount, 2)
        figures.append(("for the LLM", f"{told} {currency}".strip()))
    return figures


def _thousands(amount: int) -> str:
    return f"{amount:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _by_origin(view: StudyView, found: Sequence[Span]) -> list[list[str]]:
    """Who proposed: trials, node-hours, the best value that they led to."""
    rows = []
    for origin in ORIGINS:
        trials = [trial for trial in view.trials if trial.origin == origin]
        if not trials:
            continue
        best = replace(view, trials=trials).best
        own = cost_of([span for span in found if span.trial.origin == origin])
        failed = sum(trial.state is TrialState.FAILED for trial in trials)
        rows.append(
            [
                origin_name(origin),
                str(len(trials)),
                str(failed),
                number(own.node_hours, 3),
                measure(best.value if best else None),
            ]
        )
    return rows


def _note(whole: Cost, used: Usage) -> str:
    said = []
    if whole.lost_node_hours:
        share = whole.lost_node_hours / whole.node_hours
        said.append(
            f"{number(whole.lost_node_hours, 3)} node-hours ({share:.0%}) went into attempts "
            "that failed."
        )
    if used.unanswered:
        said.append(f"{count(used.unanswered, 'exchange')} with the LLM got no answer.")
    if used.money and used.unpriced:
        said.append(f"{count(used.unpriced, 'answer')} came without a price.")
    return " ".join(said)
