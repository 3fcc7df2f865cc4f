"""Parallel coordinates: one line a trial across all parameters, the best on top. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.config.model import Parameter
from agents.report.charts.frame import LETTER, WIDE
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import CategoryScale, Scale, parameter_scale
from agents.report.charts.svg import Drawing, Point, polyline
from agents.report.cut import shortened
from agents.report.numbers import measure
from agents.report.study import best_first
from agents.thinning import spread
from agents.trial import StudyView, Trial
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_LINES = 200
"""Lines drawn: a quarter of them the best trials', the others evenly from best to worst."""
MOST_AXES = 8
"""Parameters shown, besides the objective."""
RANKS = 5
"""Classes of colour, by rank."""

_ABSENT = -0.11
"""Where the line of a trial passes an axis whose parameter it does not have."""


@dataclass(frozen=True)
class _Axis:
    name: str
    scale: Scale

    def place(self, value: object, trial: int) -> float:
        place = self.scale.place(value)
        if place is None:
            return _ABSENT
        if not isinstance(self.scale, CategoryScale):
            return place
        offset = (trial * 0.618034) % 1 - 0.5  # keeps the lines of one category apart
        return place + offset * 0.5 / len(self.scale.choices)


@dataclass(frozen=True)
class _Layout:
    """Turns (axis, place on it) into pixels: axes upright side by side, or level in rows."""

    upright: bool
    axes: int
    width: float
    height: float
    left: float
    top: float

    def at(self, axis: int, place: float) -> Point:
        along = axis / max(1, self.axes - 1)
        if self.upright:
            return self.left + along * self.width, self.top + (1 - place) * self.height
        return self.left + place * self.width, self.top + along * self.height


def parallel_chart(
    view: StudyView,
    parameters: Mapping[str, Parameter],
    names: Sequence[str],
    name: str,
    width: int,
) -> Markup | None:
    """The chart as SVG; None with a single result or parameter."""
    ranked = drawn_lines(view)
    if len(ranked) < 2 or len(names) < 2:
        return None
    axes = [_Axis(n, parameter_scale(parameters[n])) for n in names[:MOST_AXES]]
    goal = _Axis(view.metric, objective_scale(view))
    gaps = any(n not in trial.parameters for _, trial, _ in ranked for n in names[:MOST_AXES])
    layout, height = _layout(len(axes) + 1, width, gaps)
    drawing = Drawing(name, width, height)
    best = view.best
    for rank, trial, value in reversed(ranked):
        points = [
            layout.at(index, axis.place(trial.parameters.get(axis.name, _Missing), trial.number))
            for index, axis in enumerate(axes)
        ]
        points.append(layout.at(len(axes), goal.place(value, trial.number)))
        kind = "thread best" if trial is best else f"thread rank{rank}"
        title = f"trial {trial.number}: {measure(value)}"
        drawing.path(polyline(points), kind, title=title, trial=trial.number)
    for index, axis in enumerate([*axes, goal]):
        _draw_axis(drawing, layout, index, axis)
    if gaps:
        _draw_absent(drawing, layout)
    about = (
        f"{count(len(ranked), 'trial')} as lines across {count(len(axes), 'parameter')} and "
        f"{view.metric}."
    )
    return drawing.to_svg("Parallel coordinates", about)


class _Missing:
    """The value of a parameter that a trial does not have; None is a value."""


def drawn_lines(view: StudyView) -> list[tuple[int, Trial, float]]:
    """The trials drawn from the best to the worst, each with its class of colour (0: the worst)."""
    ranked = best_first(view)
    classed = [
        (RANKS - 1 - index * RANKS // len(ranked), trial, value)
        for index, (trial, value) in enumerate(ranked)
    ]
    if len(classed) <= MOST_LINES:
        return classed
    top = MOST_LINES // 4
    return classed[:top] + spread(classed[top:], MOST_LINES - top)


def _layout(axes: int, width: int, gaps: bool) -> tuple[_Layout, float]:
    """The layout and the height of the whole drawing."""
    if width >= WIDE:
        height = 300.0
        below = -_ABSENT * height if gaps else 0
        return _Layout(True, axes, width - 120, height, 60, 34), 34 + height + below + 14
    height = 66.0 * (axes - 1)
    left = 16 - (_ABSENT * 270 if gaps else 0)
    return _Layout(False, axes, width - left - 30, height, left, 30), 30 + height + 26


def _draw_axis(drawing: Drawing, layout: _Layout, index: int, axis: _Axis) -> None:
    low, high = layout.at(index, 0), layout.at(index, 1)
    drawing.line(low, high, "axis")
    ticks = axis.scale.ticks(5 if layout.upright else 4)
    room = layout.width / max(1, layout.axes - 1)
    if layout.upright:
        title = shortened(axis.name, max(4, int(room / 7.4)))
        drawing.text((high[0], high[1] - 14), title, "panel-title", "middle")
        for tick in ticks:
            x, y = layout.at(index, tick.place)
            drawing.line((x - 4, y), (x, y), "axis")
            label = shortened(tick.label, max(4, int(room / LETTER) - 3))
            _on_a_plate(drawing, (x - 7, y + 4), label, "tick", "end")
        return
    _on_a_plate(drawing, (low[0], low[1] - 9), shortened(axis.name, 34), "panel-title")
    free_from = float("-inf")
    for tick in ticks:
        x, y = layout.at(index, tick.place)
        label = shortened(tick.label, 12)
        half = len(label) * LETTER / 2
        drawing.line((x, y), (x, y + 4), "axis")
        if x - half < free_from:
            continue
        _on_a_plate(drawing, (x, y + 16), label, "tick", "middle")
        free_from = x + half + 4


def _on_a_plate(drawing: Drawing, at: Point, words: str, kind: str, anchor: str = "start") -> None:
    """Words over a ground of their own: so many lines meet at an axis that a halo is too little."""
    width = len(words) * LETTER
    left = at[0] - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
    drawing.rectangle((left - 3, at[1] - 12), width + 6, 16, "plate")
    drawing.text(at, words, f"{kind} halo", anchor)


def _draw_absent(drawing: Drawing, layout: _Layout) -> None:
    start, end = layout.at(0, _ABSENT), layout.at(layout.axes - 2, _ABSENT)
    drawing.line(start, end, "grid dashed")
    at = (start[0] - 7, start[1] + 4) if layout.upright else (start[0], start[1] - 12)
    drawing.text(at, "inactive", "tick halo", "end" if layout.upright else "middle")
