"""Timeline: when each job waited and ran, a bar for each attempt. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agents.report.charts.frame import Frame, draw_bottom
from agents.report.charts.scales import LinearScale
from agents.report.charts.svg import Drawing, bar, marker
from agents.report.numbers import duration
from agents.report.words import ORIGINS, origin_name
from agents.spans import Span, lanes
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

FEW_TRIALS = 40
"""So many or fewer have a row each; more are packed into as few rows as there were jobs at once."""
FEW_SPANS = 250
"""So many or fewer can each be pointed at."""
MOST_ROWS = 100

_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_HEIGHT = 460
"""Rows get thinner rather than the chart higher than this."""


def timeline_chart(found: Sequence[Span], began: datetime, name: str, width: int) -> Markup | None:
    """The timeline as SVG; None where no job was submitted."""
    if not found:
        return None
    rows, labels = _rows(found)
    shown = [(span, row) for span, row in zip(found, rows, strict=True) if row < MOST_ROWS]
    height = max(5.0, min(20.0, _HEIGHT / (max(row for _, row in shown) + 1)))
    unit, word = _unit(found, began)
    last = max((span.ended - began).total_seconds() for span in found) / unit
    left = 38.0 if labels else 8.0
    total = height * (max(row for _, row in shown) + 1)
    frame = Frame(LinearScale(0, last or 1.0), LinearScale(0, 1), left, 8, width - left - 14, total)
    drawing = Drawing(name, width, frame.bottom + 42)
    for tick in frame.x.ticks(max(2, int(frame.width / 90))):
        x = frame.left + tick.place * frame.width
        drawing.line((x, frame.top), (x, frame.bottom), "grid")
    draw_bottom(drawing, frame, f"{word} since the start")
    for row, label in labels.items():
        drawing.text((left - 8, frame.top + (row + 0.5) * height + 4), label, "tick", "end")
    draw = _draw_each if len(shown) <= FEW_SPANS else _draw_together
    draw(drawing, frame, shown, began, unit, height)
    return drawing.to_svg("Timeline of jobs", _about(found))


def _rows(found: Sequence[Span]) -> tuple[list[int], dict[int, str]]:
    """A row for each span, and what stands before the rows."""
    trials = sorted({span.trial.number for span in found})
    if len(trials) > FEW_TRIALS:
        return lanes(found), {}
    place = {number: row for row, number in enumerate(trials)}
    return [place[span.trial.number] for span in found], {r: str(n) for n, r in place.items()}


def _unit(found: Sequence[Span], began: datetime) -> tuple[float, str]:
    seconds = max((span.ended - began).total_seconds() for span in found)
    return next((unit for unit in _UNITS if seconds >= 2 * unit[0]), _UNITS[-1])


class _Bars:
    """The outlines of one span's two bars: thin while it waits, thick while it runs."""

    def __init__(
        self, frame: Frame, span: Span, row: int, began: datetime, unit: float, height: float
    ) -> None:
        def x(moment: datetime) -> float:
            place = frame.x.place((moment - began).total_seconds() / unit) or 0.0
            return frame.left + place * frame.width

        middle = frame.top + (row + 0.5) * height
        thin, thick = max(1.5, height * 0.22), max(3.0, height * 0.66)
        ran_from = span.started or span.ended
        self.end = (x(span.ended), middle)
        self.waiting = bar((x(span.submitted), middle), x(ran_from), thin)
        self.flying = bar((x(span.submitted), middle), x(span.ended), thick)
        self.running = bar((x(ran_from), middle), x(span.ended), thick) if span.started else ""


def _draw_each(
    drawing: Drawing,
    frame: Frame,
    shown: Sequence[tuple[Span, int]],
    began: datetime,
    unit: float,
    height: float,
) -> None:
    for span, row in shown:
        bars, number = _Bars(frame, span, row, began, unit, height), span.trial.number
        title = _title(span)
        if span.in_flight:
            drawing.path(bars.flying, "flying", title=title, trial=number)
            continue
        if span.submitted != span.started:
            drawing.path(bars.waiting, "waited", title=title, trial=number)
        if bars.running:
            drawing.path(bars.running, _kind(span), title=title, trial=number)
        if span.cause:
            drawing.path(marker("cross", bars.end, min(4.0, height * 0.3)), "mark failed")


def _draw_together(
    drawing: Drawing,
    frame: Frame,
    shown: Sequence[tuple[Span, int]],
    began: datetime,
    unit: float,
    height: float,
) -> None:
    """All bars of a kind in one path: small, whatever their number."""
    routes: dict[str, list[str]] = {"waited": []}
    for origin in ORIGINS:
        routes[f"ran {origin}"] = []
    for span, row in shown:
        bars = _Bars(frame, span, row, began, unit, height)
        if span.in_flight:
            routes.setdefault("flying", []).append(bars.flying)
            continue
        routes["waited"].append(bars.waiting)
        routes.setdefault(_kind(span), []).append(bars.running)
    for kind, parts in routes.items():
        if any(parts):
            drawing.path("".join(parts), kind)


def _kind(span: Span) -> str:
    return f"ran {span.trial.origin}{' lost' if span.cause else ''}"


def _title(span: Span) -> str:
    attempt = f", attempt {span.job.attempt}" if span.job.attempt > 1 or span.trial.attempts else ""
    ran = f"ran {duration(span.ran)}" if span.started else "did not run"
    if span.in_flight:
        return (
            f"trial {span.trial.number}{attempt}, {origin_name(span.trial.origin)}: in flight for "
            f"{duration((span.ended - span.submitted).total_seconds())}"
        )
    end = f", {span.cause}" if span.cause else ""
    return (
        f"trial {span.trial.number}{attempt}, {origin_name(span.trial.origin)}: "
        f"waited {duration(span.queued)}, {ran}{end}"
    )


def _about(found: Sequence[Span]) -> str:
    waited = sum(span.queued for span in found if not span.in_flight)
    ran = sum(span.ran for span in found)
    again = sum(span.job.attempt > 1 for span in found)
    tried = f", {again} of them further attempts" if again else ""
    return (
        f"{count(len(found), 'job')}{tried}: {duration(waited)} in the queue and "
        f"{duration(ran)} running in all."
    )


def timeline_note(found: Sequence[Span]) -> str:
    """What has to be said about it."""
    rows, labels = _rows(found)
    said = ["Thin: in the queue. Thick: running, as far as polls can tell."]
    if any(span.cause for span in found):
        crossed = "Crossed" if len(found) <= FEW_SPANS else "Outlined"
        said.append(f"{crossed}: ended in a failure.")
    if labels:
        said.append("One row a trial, its attempts one after the other.")
    else:
        said.append(f"At most {count(max(rows) + 1, 'job')} at a time.")
    left_out = sum(row >= MOST_ROWS for row in rows)
    if left_out:
        said.append(f"{count(left_out, 'job')} beyond {MOST_ROWS} at a time are left out.")
    return " ".join(said)
