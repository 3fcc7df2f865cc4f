"""The page's figures with what has to be said about each: what was left out, why one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.config.model import FixedParameter, Parameter
from agents.report.ahead import are_compared, told
from agents.report.charts.curves import curves_chart, drawn_curves, with_curve, within_scale
from agents.report.charts.frame import NARROW, WIDE
from agents.report.charts.history import drawn_points, history_chart
from agents.report.charts.objective import pinned
from agents.report.charts.parallel import MOST_AXES, drawn_lines, parallel_chart
from agents.report.charts.race import race_chart
from agents.report.charts.slices import MOST_CHARTS, MOST_POINTS, slice_charts
from agents.report.charts.timeline import timeline_chart, timeline_note
from agents.report.charts.tradeoff import drawn, second_name, tradeoff_chart
from agents.report.facts import RunFacts
from agents.report.importance import Importances, importances
from agents.report.numbers import measure, number
from agents.report.study import valued
from agents.report.words import ORIGINS, origin_name
from agents.spans import spans
from agents.thinning import spread
from agents.tradeoff import front, points
from agents.trial import StudyView
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_FRONT = 12
"""Trials of the Pareto front in its table, its ends among them."""


def figures(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    """Every figure in a wide and a narrow form (or None), with a caption each."""
    parameters = facts.parameters
    found = importances(view, parameters)
    names = _by_importance(parameters, found)
    return {
        "key": _key(view),
        "history": _pair(
            history_chart(view, "history-wide", WIDE), history_chart(view, "history-narrow", NARROW)
        ),
        "history_note": _history_note(view),
        "curves": _pair(
            curves_chart(view, "curves-wide", WIDE), curves_chart(view, "curves-narrow", NARROW)
        ),
        "curves_note": _curves_note(view),
        "importances": [
            {"name": name, "percent": f"{100 * share:.0f}%", "width": round(100 * share, 1)}
            for name, share in found.shares
        ],
        "importances_note": _importances_note(view, found),
        "parallel": _pair(
            parallel_chart(view, parameters, names, "parallel-wide", WIDE),
            parallel_chart(view, parameters, names, "parallel-narrow", NARROW),
        ),
        "parallel_note": _parallel_note(view, names),
        "slices": slice_charts(view, parameters, names),
        "slices_note": _slices_note(view, names),
        "race": _pair(race_chart(view, "race-wide", WIDE), race_chart(view, "race-narrow", NARROW)),
        "race_note": told(view) if are_compared(view) else "",
        **_tradeoff(view, facts),
        **_timeline(view, facts),
    }


def _tradeoff(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    found = points(view, facts.second)
    best = front(found, view.direction, facts.second.direction)
    rows = [
        {
            "number": point.trial.number,
            "value": measure(point.value),
            "second": number(point.second),
            "by": origin_name(point.trial.origin),
        }
        for point in spread(best, MOST_FRONT)
    ]
    shown = len(drawn(found, best))
    said = ["Ringed: on the Pareto front, where no other trial is better in both."]
    if shown < len(found):
        said.append(f"{shown} of {len(found)} trials are drawn, the front among them.")
    return {
        "tradeoff": _pair(
            tradeoff_chart(view, facts, "tradeoff-wide", WIDE),
            tradeoff_chart(view, facts, "tradeoff-narrow", NARROW),
        ),
        "tradeoff_note": " ".join(said),
        "second": second_name(facts),
        "front": rows,
    }


def _timeline(view: StudyView, facts: RunFacts) -> dict[str, Any]:
    # A job whose submission is not known has a cost, but no place in time.
    every = spans(view, facts.updated_at)
    found = [span for span in every if span.job.submitted_at is not None]
    began = facts.started_at
    return {
        "timeline": _pair(
            timeline_chart(found, began, "timeline-wide", WIDE),
            timeline_chart(found, began, "timeline-narrow", NARROW),
        ),
        "timeline_note": timeline_note(found) if found else "",
        "timeline_flying": any(span.in_flight for span in found),
    }


def _pair(wide: Markup | None, narrow: Markup | None) -> dict[str, Markup] | None:
    return {"wide": wide, "narrow": narrow} if wide is not None and narrow is not None else None


def _by_importance(parameters: Mapping[str, Parameter], found: Importances) -> list[str]:
    """Parameters that vary, the most important first where that is known."""
    if found.shares:
        return [name for name, _ in found.shares]
    return [n for n, p in parameters.items() if not isinstance(p, FixedParameter)]


def _key(view: StudyView) -> list[dict[str, Any]]:
    """Who proposed: their marker, how many trials, how good their best one was."""
    entries = []
    for origin in ORIGINS:
        trials = [t for t in view.trials if t.origin == origin and t.confirms is None]
        if trials:
            best = replace(view, trials=trials).best
            told = f"best {measure(best.value)}" if best else "no result"
            words = f"{count(len(trials), 'trial')}, {told}"
            entries.append({"origin": origin, "name": origin_name(origin), "words": words})
    return entries


def _history_note(view: StudyView) -> str:
    scored, shown, beyond = len(valued(view)), len(drawn_points(view)), pinned(view)
    said = ["The line is the best so far."] if scored else []
    again = sum(trial.confirms is not None for trial in view.trials)
    if shown < scored:
        said.append(f"{shown} of {scored} points are drawn, every improvement among them.")
    if again:
        said.append(f"{count(again, 'run')} that confirm the best are not drawn.")
    if beyond:
        verb = "lies" if beyond == 1 else "lie"
        said.append(f"{count(beyond, 'trial')} {verb} beyond the scale, drawn on its edge.")
    return " ".join(said)


def _curves_note(view: StudyView) -> str:
    drawn = drawn_curves(view)
    there, shown = len(with_curve(view)), len(drawn)
    beyond = shown - len(within_scale(view, drawn))
    said = []
    if any(trial.value is None for trial in drawn):
        said.append("Dotted: trials that did not complete.")
    if shown < there:
        said.append(
            f"{shown} of {there} curves are drawn: the best, and others evenly over the run."
        )
    if beyond:
        verb = "runs" if beyond == 1 else "run"
        said.append(f"{count(beyond, 'curve')} of far worse trials {verb} along the edge.")
    return " ".join(said)


def _importances_note(view: StudyView, found: Importances) -> str:
    if found.missing:
        return found.missing
    scored = len(valued(view))
    basis = f"{found.trials} of {scored} completed" if found.trials < scored else f"{scored}"
    hint = " With so few trials, read them as a hint." if found.trials < 50 else ""
    return (
        "How much each parameter decides whether a trial is among the best tenth "
        f"(PED-ANOVA on {basis} trials, shares of 100%).{hint}"
    )


def _parallel_note(view: StudyView, names: Sequence[str]) -> str:
    scored, shown = len(valued(view)), len(drawn_lines(view))
    said = ["One line a trial; the stronger, the better. The thick one is the best."]
    if shown < scored:
        said.append(f"{shown} of {scored} trials are drawn: the best, and others by rank.")
    if len(names) > MOST_AXES:
        said.append(f"{MOST_AXES} of {len(names)} parameters are shown.")
    return " ".join(said)


def _slices_note(view: StudyView, names: Sequence[str]) -> str:
    scored = len(valued(view))
    said = ["Ringed: the best trial."]
    if scored > MOST_POINTS:
        said.append(f"{MOST_POINTS} of {scored} trials are drawn in each, evenly over the run.")
    if len(names) > MOST_CHARTS:
        said.append(f"{MOST_CHARTS} of {len(names)} parameters are shown.")
    return " ".join(said)
