"""The whole run as one HTML page. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agents.report.charts.curves import curves_chart, drawn_curves, with_curve
from agents.report.charts.frame import NARROW, WIDE
from agents.report.charts.history import drawn_points, history_chart, pinned_count
from agents.report.facts import RunFacts
from agents.report.headline import headline
from agents.report.numbers import count, duration, moment
from agents.report.plain import printable
from agents.report.study import valued
from agents.report.tables import failures, notes, trial_table
from agents.report.templates import environment, text
from agents.trial import StudyView

if TYPE_CHECKING:
    from markupsafe import Markup

Chart = Callable[[StudyView, str, int], "Markup | None"]


def html_page(view: StudyView, facts: RunFacts) -> str:
    """The content of ``report.html``: self-contained, it opens from a file and asks no network."""
    style, script = text("report.css"), text("report.js")
    template = environment(finalize=_presentable).get_template("report.html.j2")
    return template.render(
        view=view,
        facts=facts,
        style=_verbatim(style),
        script=_verbatim(script),
        policy=_policy(style, script),
        started=moment(facts.started_at),
        updated=moment(facts.updated_at),
        elapsed=duration(facts.elapsed_seconds),
        head=headline(view, facts),
        figures=_figures(view),
        table=trial_table(view, facts.parameters),
        failures=failures(view),
        notes=notes(view, facts.notices),
    )


def _presentable(value: Any) -> Any:
    """Every text on its way into the page; markup that we made passes as it is."""
    return printable(value) if type(value) is str else value


def _verbatim(content: str) -> Markup:
    from markupsafe import Markup

    return Markup(content)  # our own file


def _policy(style: str, script: str) -> str:
    """A content security policy: our style and script by their digest, and nothing else at all."""
    return f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}"


def _digest(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _figures(view: StudyView) -> dict[str, Any]:
    return {
        "history": _both(history_chart, view, "history"),
        "history_note": _history_note(view),
        "curves": _both(curves_chart, view, "curves"),
        "curves_note": _curves_note(view),
        "origins": Counter(trial.origin for trial in view.trials),
    }


def _both(chart: Chart, view: StudyView, name: str) -> dict[str, Any] | None:
    wide = chart(view, f"{name}-wide", WIDE)
    if wide is None:
        return None
    return {"wide": wide, "narrow": chart(view, f"{name}-narrow", NARROW)}


def _history_note(view: StudyView) -> str:
    scored, shown, pinned = len(valued(view)), len(drawn_points(view)), pinned_count(view)
    said = []
    if shown < scored:
        said.append(f"{shown} of {scored} points are drawn, every improvement among them.")
    if pinned:
        said.append(f"{count(pinned, 'trial')} beyond the scale, drawn on its edge.")
    return " ".join(said)


def _curves_note(view: StudyView) -> str:
    there, shown = len(with_curve(view)), len(drawn_curves(view))
    if shown == there:
        return ""
    return f"{shown} of {there} curves are drawn: the best, and the others evenly over the run."
