"""Slices: the objective over each parameter, one small chart each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agents.config.model import Parameter
from agents.report.charts.frame import Frame, draw_bottom, draw_levels, label_room
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import CategoryScale, parameter_scale
from agents.report.charts.svg import Drawing, Point, dots, marker
from agents.report.cut import shortened
from agents.report.numbers import measure, parameter_text
from agents.report.study import valued
from agents.report.words import ORIGINS
from agents.thinning import spread
from agents.trial import StudyView, Trial
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_POINTS = 600
"""Points of one chart, evenly over the run."""
MOST_CHARTS = 12
_FEW = 50
"""So many points or fewer are drawn larger."""

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 290, 215, 30, 26


def slice_charts(
    view: StudyView, parameters: Mapping[str, Parameter], names: Sequence[str]
) -> list[Markup]:
    """One SVG for each of the named parameters; none while no trial has a value."""
    scored = valued(view)
    if not scored:
        return []
    shown = spread(scored, MOST_POINTS)
    charts = enumerate(names[:MOST_CHARTS])
    return [_slice(view, shown, name, parameters[name], f"slice-{i}") for i, name in charts]


def _slice(
    view: StudyView,
    scored: Sequence[tuple[Trial, float]],
    name: str,
    parameter: Parameter,
    identity: str,
) -> Markup:
    y = objective_scale(view)
    left = label_room(y.ticks(4))
    frame = Frame(
        parameter_scale(parameter), y, left, _TOP, _WIDTH - left - 12, _HEIGHT - _TOP - _BOTTOM
    )
    drawing = Drawing(identity, _WIDTH, _HEIGHT)
    drawing.text((0, 13), shortened(name, 34), "panel-title")
    draw_levels(drawing, frame, 4)
    draw_bottom(drawing, frame, "")
    active = [(trial, value) for trial, value in scored if name in trial.parameters]
    few = " few" if len(scored) <= _FEW else ""
    for origin in ORIGINS:
        own = [(trial, value) for trial, value in active if trial.origin == origin]
        points = [_point(frame, name, trial, value) for trial, value in own]
        there = [point for point in points if point is not None]
        if there:
            drawing.path(dots(there), f"dots {origin}{few}")
    _ring_best(drawing, frame, name, view.best)
    about = f"{view.metric} over {name}, {count(len(active), 'trial')} in which it is active."
    return drawing.to_svg(f"{view.metric} over {name}", about)


def _point(frame: Frame, name: str, trial: Trial, value: float) -> Point | None:
    at = frame.at(trial.parameters[name], value)
    if at is None or not isinstance(frame.x, CategoryScale):
        return at
    # Spread the points of one category over its band; the golden ratio fills it evenly.
    offset = (trial.number * 0.618034) % 1 - 0.5
    return at[0] + offset * 0.6 * frame.width / len(frame.x.choices), at[1]


def _ring_best(drawing: Drawing, frame: Frame, name: str, best: Trial | None) -> None:
    if best is None or best.value is None or name not in best.parameters:
        return
    at = _point(frame, name, best, best.value)
    if at is None:
        return
    value = parameter_text(best.parameters[name])
    title = f"trial {best.number}, best: {name} {value}, {measure(best.value)}"
    drawing.path(marker("circle", at, 6), "ring", title=title, trial=best.number)
