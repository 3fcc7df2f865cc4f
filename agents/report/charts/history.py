"""Optimization history: every trial's objective over its number, and the best so far. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.report.charts.frame import WIDE, Frame, draw_bottom, draw_levels, label_room
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import LinearScale
from agents.report.charts.svg import Drawing, marker, steps
from agents.report.numbers import measure
from agents.report.study import is_better, valued
from agents.report.words import SHAPES, origin_name
from agents.thinning import spread
from agents.trial import StudyView, Trial, TrialState
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_POINTS = 800
"""Points drawn. All that improved on the best are among them."""

_ROW, _GAP = 18, 10
_BOLD = 7.6
"""Width of a letter of the best trial's label in pixels."""
_STRIPS = (TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING)


def history_chart(view: StudyView, name: str, width: int) -> Markup:
    """The history as SVG. States without a value stand in strips of their own below the points."""
    scored = valued(view)
    strips = [state for state in _STRIPS if any(t.state is state for t in view.trials)]
    plot_height = (300 if width >= WIDE else 240) if scored else 0
    scale = objective_scale(view)
    top = 26 if scored else 0
    left = max(label_room(scale.ticks(5)), 62 if strips else 0)
    below = _GAP + _ROW * len(strips) if strips else 0
    x = LinearScale(-0.5, max(len(view.trials), 2) - 0.5, whole=True)
    frame = Frame(x, scale, left, top, width - left - 14, plot_height + below)
    values = Frame(x, scale, left, top, frame.width, plot_height)
    drawing = Drawing(name, width, frame.bottom + 42)
    draw_bottom(drawing, frame, "trial")
    for row, state in enumerate(strips):
        _draw_strip(drawing, values, row, state, view.trials)
    if scored:
        drawing.text((0, 12), view.metric, "axis-title")
        draw_levels(drawing, values)
        _draw_points(drawing, values, view)
        _draw_best(drawing, values, view)
    return drawing.to_svg("Optimization history", _about(view, len(scored)))


def improvements(view: StudyView) -> list[tuple[Trial, float]]:
    """The completed trials that were the best when they came, in the order of their numbers."""
    found: list[tuple[Trial, float]] = []
    for trial, value in valued(view):
        if not found or is_better(value, found[-1][1], view):
            found.append((trial, value))
    return found


def drawn_points(view: StudyView) -> list[tuple[Trial, float]]:
    """The completed trials that the chart shows: all, or `MOST_POINTS` with every improvement."""
    kept = {trial.number for trial, _ in improvements(view)[-MOST_POINTS // 2 :]}
    rest = [pair for pair in valued(view) if pair[0].number not in kept]
    kept |= {trial.number for trial, _ in spread(rest, MOST_POINTS - len(kept))}
    return [pair for pair in valued(view) if pair[0].number in kept]


def _draw_strip(
    drawing: Drawing, frame: Frame, row: int, state: TrialState, trials: Sequence[Trial]
) -> None:
    y = frame.bottom + _GAP + _ROW * (row + 0.4)
    drawing.text((frame.left - 8, y + 4), state.value, "tick", "end")
    shown = spread([trial for trial in trials if trial.state is state], MOST_POINTS // 2)
    shape, kind = (
        ("cross", "mark failed") if state is TrialState.FAILED else ("circle", "mark open")
    )
    for trial in shown:
        x = frame.left + (frame.x.place(trial.number) or 0) * frame.width
        cause = f": {trial.failure.cause.value}" if trial.failure else ""
        title = f"trial {trial.number} {state.value}{cause}"
        drawing.path(marker(shape, (x, y), 3.5), kind, title=title, trial=trial.number)


def _draw_points(drawing: Drawing, frame: Frame, view: StudyView) -> None:
    size = 4 if len(view.trials) <= 100 else 3
    for trial, value in drawn_points(view):
        at = frame.at(trial.number, value)
        if at is None:
            continue
        title = f"trial {trial.number}: {measure(value)}, {origin_name(trial.origin)}"
        outline = marker(SHAPES[trial.origin], at, size)
        drawing.path(outline, f"mark {trial.origin}", title=title, trial=trial.number)


def _draw_best(drawing: Drawing, frame: Frame, view: StudyView) -> None:
    points = [frame.at(trial.number, value) for trial, value in improvements(view)]
    corners = [point for point in points if point is not None]
    drawing.path(steps(corners, frame.right), "best-line")
    best = view.best
    if best is None or best.value is None:
        return
    x, y = corners[-1]
    drawing.path(marker("circle", (x, y), 7), "ring", trial=best.number)
    label = f"{measure(best.value)}, trial {best.number}"
    right = x + len(label) * _BOLD < frame.right + 10
    above = view.direction == "maximize"
    drawing.text((x, y - 12 if above else y + 20), label, "label", "start" if right else "end")


def _about(view: StudyView, scored: int) -> str:
    best = view.best
    if best is None:
        return f"{count(len(view.trials), 'trial')}, none with a result yet."
    moved = "rises" if view.direction == "maximize" else "falls"
    return (
        f"{view.metric} of {scored} completed trials out of {len(view.trials)}, by trial number. "
        f"The best so far {moved} in {count(len(improvements(view)), 'step')} to "
        f"{measure(best.value)} in trial {best.number}."
    )
