"""Several runs' best so far in one chart. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from agents.report.charts.frame import WIDE, Frame, draw_bottom, draw_levels, label_room
from agents.report.charts.scales import LinearScale, fitted
from agents.report.charts.svg import Drawing, Point, marker, steps
from agents.report.numbers import measure
from agents.report.progression import Progression, Step
from agents.trial import StudyView
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

COLOURS = 8
"""Of the style sheet; lines of one colour differ in their dashes."""
_DASHES = 4
_APART = 15
_UNITS = ((24.0, "days"), (1.0, "hours"), (1 / 60, "minutes"), (1 / 3600, "seconds"))

Over = Literal["trials", "node_hours", "time"]


def comparison_chart(
    lines: Sequence[Progression], over: str, view: StudyView, name: str, width: int
) -> Markup | None:
    """Best so far over ``trials``, ``node_hours`` or ``time``; None where nobody has a value."""
    values = [value for line in lines for value in _late(line)]
    most = max((getattr(line, over) for line in lines), default=0.0)
    if not values or not most > 0:
        return None
    unit, title = _unit(over, most)
    y = fitted(values)
    left = label_room(y.ticks(5))
    room = 76 if width >= WIDE else 16
    height = 260 if width >= WIDE else 220
    x = LinearScale(0, most / unit, whole=over == "trials")
    frame = Frame(x, y, left, 26, width - left - room, height)
    drawing = Drawing(name, width, frame.bottom + 42)
    drawing.text((0, 12), f"best {view.metric} so far", "axis-title")
    draw_levels(drawing, frame)
    draw_bottom(drawing, frame, title)
    ends = [
        (place, at)
        for place, line in enumerate(lines)
        if (at := _draw_line(drawing, frame, place, line, over, unit)) is not None
    ]
    if width >= WIDE:
        _draw_names(drawing, frame, lines, ends)
    return drawing.to_svg(f"Best so far over {title}", _about(lines, view))


def line_sample(place: int) -> Markup:
    """A short piece of the line of the run in this place, for keys."""
    from markupsafe import Markup

    return Markup(
        '<svg class="marker" viewBox="0 0 26 12" width="26" height="12" aria-hidden="true">'
        f'<path class="{_kind(place)}" d="M0 6h26"/></svg>'
    )  # no text of others is in it


def _kind(place: int) -> str:
    return f"run run{place % COLOURS} dash{(place + place // COLOURS) % _DASHES}"


def _late(line: Progression) -> list[float]:
    """The values that the scale is made for: a bad first trial must not press all others flat."""
    values = [step.value for step in line.steps]
    return values[-max(1, (2 * len(values) + 2) // 3) :]


def _unit(over: str, most: float) -> tuple[float, str]:
    if over == "time":
        return next((unit for unit in _UNITS if most >= 2 * unit[0]), _UNITS[-1])
    return 1.0, "trials that ended" if over == "trials" else "node-hours"


def _draw_line(
    drawing: Drawing, frame: Frame, place: int, line: Progression, over: str, unit: float
) -> Point | None:
    """The staircase of one run. Returns where it ends."""
    corners: list[tuple[Step, Point]] = []
    for step in line.steps:
        at = frame.at(getattr(step, over) / unit, step.value)
        if at is not None:
            corners.append((step, at))
    if not corners:
        return None
    end = frame.left + (frame.x.place(getattr(line, over) / unit) or 0.0) * frame.width
    end = max(end, corners[-1][1][0])
    drawing.path(steps([at for _, at in corners], end), _kind(place), title=f"run {line.name}")
    for step, at in corners:
        title = f"run {line.name}, trial {step.trial}: {measure(step.value)}"
        drawing.path(marker("circle", at, 3), f"spot run{place % COLOURS}", title=title)
    return end, corners[-1][1][1]


def _draw_names(
    drawing: Drawing,
    frame: Frame,
    lines: Sequence[Progression],
    ends: Sequence[tuple[int, Point]],
) -> None:
    """The names of the runs at the right, none on another."""
    lowest = float("-inf")
    for place, (_, y) in sorted(ends, key=lambda end: end[1][1]):
        lowest = max(y, lowest + _APART)
        words = f"{lines[place].name} {measure(lines[place].steps[-1].value)}"
        drawing.text((frame.right + 10, lowest + 4), words, "name")


def _about(lines: Sequence[Progression], view: StudyView) -> str:
    ends = [
        f"Run {line.name}: {measure(line.steps[-1].value)} after {count(len(line.steps), 'step')}"
        for line in lines
        if line.steps
    ]
    return f"Best {view.metric} so far. " + "; ".join(ends) + "."
