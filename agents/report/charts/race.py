"""Who is ahead: the best so far of the LLM and of the sampler. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agents.proposers.standing import SOURCES
from agents.report.ahead import are_compared, bests, leads, told
from agents.report.charts.frame import WIDE, Frame, draw_bottom, draw_levels, label_room
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import LinearScale, fitted
from agents.report.charts.svg import Drawing, bar, marker, steps
from agents.report.numbers import measure
from agents.report.words import SHAPES, origin_name
from agents.trial import Origin, StudyView

if TYPE_CHECKING:
    from markupsafe import Markup

_STRIP = 12
_APART = 15
"""Pixels between two labels at the end of the lines."""


def race_chart(view: StudyView, name: str, width: int) -> Markup | None:
    """Both lines as SVG, and who leads in a strip below; None until both have a result."""
    if not are_compared(view):
        return None
    scale = objective_scale(view)
    within = [v for origin in SOURCES for _, v in bests(view, origin) if scale.holds(v)]
    y = fitted(within) if within else scale
    left = label_room(y.ticks(4))
    room = 126 if width >= WIDE else 16
    x = LinearScale(-0.5, max(len(view.trials), 2) - 0.5, whole=True)
    height = 200 if width >= WIDE else 180
    plot = Frame(x, y, left, 26, width - left - room, height)
    whole = Frame(x, y, left, 26, plot.width, height + _STRIP + 12)
    drawing = Drawing(name, width, whole.bottom + 42)
    drawing.text((0, 12), f"best {view.metric} so far", "axis-title")
    draw_levels(drawing, plot, 4)
    draw_bottom(drawing, whole, "trial")
    _draw_lines(drawing, plot, view, width)
    _draw_strip(drawing, whole, view)
    return drawing.to_svg("Who is ahead", told(view))


def _draw_lines(drawing: Drawing, frame: Frame, view: StudyView, width: int) -> None:
    ends: dict[Origin, tuple[float, str]] = {}
    for origin in SOURCES:
        found = bests(view, origin)
        corners = [at for trial, v in found if (at := frame.at(trial.number, v)) is not None]
        drawing.path(steps(corners, frame.right), f"race {origin}")
        for (trial, value), at in zip(found, corners, strict=True):
            title = f"trial {trial.number}: {measure(value)}, {origin_name(origin)}"
            outline = marker(SHAPES[origin], at, 4)
            drawing.path(outline, f"mark {origin}", title=title, trial=trial.number)
        ends[origin] = (corners[-1][1], f"{origin_name(origin)} {measure(found[-1][1])}")
    _draw_names(drawing, frame, ends, beside=width >= WIDE)


def _draw_names(
    drawing: Drawing, frame: Frame, ends: Mapping[Origin, tuple[float, str]], *, beside: bool
) -> None:
    (upper, (y1, words1)), (lower, (y2, words2)) = sorted(ends.items(), key=lambda e: e[1][0])
    if not beside:
        drawing.text((frame.right, y1 - 7), words1, f"name halo {upper}", "end")
        drawing.text((frame.right, y2 + 17), words2, f"name halo {lower}", "end")
        return
    if y2 - y1 < _APART:
        middle = (y1 + y2) / 2
        y1, y2 = middle - _APART / 2, middle + _APART / 2
    drawing.text((frame.right + 8, y1 + 4), words1, f"name {upper}")
    drawing.text((frame.right + 8, y2 + 4), words2, f"name {lower}")


def _draw_strip(drawing: Drawing, frame: Frame, view: StudyView) -> None:
    """Who leads, from trial to trial."""
    found = leads(view)
    y = frame.bottom - _STRIP
    for one, after in zip(found, [*found[1:], None], strict=True):
        left = frame.left + (frame.x.place(one.trial.number) or 0.0) * frame.width
        place = frame.x.place(after.trial.number) if after is not None else 1.0
        right = frame.left + (place or 0.0) * frame.width
        drawing.path(
            bar((left, y), right, 7),
            f"ran {one.origin}",
            title=f"{origin_name(one.origin)} ahead from trial {one.trial.number}",
        )
