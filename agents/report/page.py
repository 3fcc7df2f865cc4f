"""The whole run as one HTML page. Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from agents.report.charts.svg import marker
from agents.report.cost import cost_section
from agents.report.facts import RunFacts
from agents.report.figures import figures
from agents.report.headline import headline
from agents.report.numbers import duration, moment
from agents.report.reasoning import reasoning
from agents.report.reproduction import reproduction
from agents.report.steering import steering
from agents.report.tables import failures, notes, trial_table
from agents.report.templates import environment, text
from agents.report.words import SHAPES
from agents.trial import StudyView
from scheduler.plain import printable

if TYPE_CHECKING:
    from markupsafe import Markup


def html_page(view: StudyView, facts: RunFacts) -> str:
    """The content of ``report.html``: self-contained, it opens from a file and asks no network."""
    style, script = text("report.css"), text("report.js")
    template = environment(finalize=presentable).get_template("report.html.j2")
    return template.render(
        view=view,
        facts=facts,
        style=verbatim(style),
        script=verbatim(script),
        policy=policy(style, script),
        started=moment(facts.started_at),
        updated=moment(facts.updated_at),
        elapsed=duration(facts.elapsed_seconds),
        head=headline(view, facts),
        figures=figures(view, facts),
        reasoning=reasoning(view, facts.parameters),
        cost=cost_section(view, facts),
        steering=steering(facts),
        table=trial_table(view, facts.parameters),
        failures=failures(view),
        notes=notes(view, facts.notices),
        reproduction=reproduction(view, facts),
        markers={origin: marker(shape, (0, 0), 4) for origin, shape in SHAPES.items()},
    )


def presentable(value: Any) -> Any:
    """Every text on its way into the page; markup that we made passes as it is."""
    return printable(value) if type(value) is str else value


def verbatim(content: str) -> Markup:
    """A style sheet or script of ours, as it is."""
    from markupsafe import Markup

    return Markup(content)  # our own file


def policy(style: str, script: str | None) -> str:
    """A content security policy: our style and script by their digest, and nothing else at all."""
    scripts = f"; script-src {_digest(script)}" if script is not None else ""
    return f"default-src 'none'; style-src {_digest(style)}{scripts}"


def _digest(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
