"""Learning curves of all trials, the best one on top. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.metrics import as_float
from agents.report.charts.frame import WIDE, Frame, draw_bottom, draw_levels, label_room
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import LinearScale, fitted
from agents.report.charts.svg import Drawing, Point, pieces
from agents.report.numbers import measure
from agents.report.study import best_first, valued
from agents.thinning import spread
from agents.trial import StudyView, Trial, TrialState
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_CURVES = 200
"""Curves drawn: a third of them the best trials', the others evenly from the rest."""
MOST_STEPS = 80
"""Points of one curve drawn, evenly."""
_MANY = 50
"""More curves than this are drawn fainter."""


def curves_chart(view: StudyView, name: str, width: int) -> Markup | None:
    """The curves as SVG; None where no trial has a point."""
    shown = drawn_curves(view)
    if not shown:
        return None
    best = view.best
    points = _reached(shown)
    steps = [step for step, _ in points]
    y = fitted([value for _, value in _reached(within_scale(view, shown))])
    left = label_room(y.ticks(5))
    frame = Frame(
        LinearScale(min(steps), max(steps), all(step == int(step) for step in steps)),
        y,
        left,
        26,
        width - left - (126 if width >= WIDE else 16),
        300 if width >= WIDE else 240,
    )
    drawing = Drawing(name, width, frame.bottom + 42)
    drawing.text((0, 12), "accuracy", "axis-title")
    draw_levels(drawing, frame)
    draw_bottom(drawing, frame, "epoch")
    faint = " faint" if len(shown) > _MANY else ""
    for trial in shown:
        if best is None or trial.number != best.number:
            _draw(drawing, frame, trial, f"curve {_kind(trial)}{faint}")
    if best is not None and any(trial.number == best.number for trial in shown):
        _draw_best(drawing, frame, best, width)
    about = f"Accuracy over epochs of {count(len(shown), 'trial')}."
    return drawing.to_svg("Learning curves", about)


def with_curve(view: StudyView) -> list[Trial]:
    """The trials that have at least one point."""
    return [trial for trial in view.trials if any(point is not None for point in _points(trial))]


def drawn_curves(view: StudyView) -> list[Trial]:
    """The trials whose curves are drawn, in the order of their numbers."""
    trials = with_curve(view)
    if len(trials) <= MOST_CURVES:
        return trials
    ranked = [trial for trial, _ in best_first(view)]
    kept = {trial.number for trial in ranked[: MOST_CURVES // 3]}
    rest = [trial for trial in trials if trial.number not in kept]
    kept |= {trial.number for trial in spread(rest, MOST_CURVES - len(kept))}
    return [trial for trial in trials if trial.number in kept]


def within_scale(view: StudyView, shown: Sequence[Trial]) -> list[Trial]:
    """The trials that the vertical scale is made for: hopeless ones run along its edge.

    They are those whose objective lies beyond the objective's own scale.
    """
    objective = objective_scale(view)
    beyond = {t.number for t, value in valued(view) if not objective.holds(value)}
    return [trial for trial in shown if trial.number not in beyond] or list(shown)


def _reached(trials: Sequence[Trial]) -> list[Point]:
    return [point for trial in trials for point in _points(trial) if point is not None]


def _points(trial: Trial) -> list[Point | None]:
    pairs = zip(trial.curve.step, trial.curve.accuracy, strict=False)
    checked = ((as_float(step), as_float(accuracy)) for step, accuracy in pairs)
    return [None if step is None or value is None else (step, value) for step, value in checked]


def _kind(trial: Trial) -> str:
    return "plain" if trial.state is TrialState.COMPLETED else "unfinished"


def _route(frame: Frame, points: Sequence[Point | None]) -> str:
    if len(points) == 1:
        points = [points[0], points[0]]
    return pieces([frame.at(*point) if point else None for point in spread(points, MOST_STEPS)])


def _draw(drawing: Drawing, frame: Frame, trial: Trial, kind: str) -> None:
    value = f": {measure(trial.value)}" if trial.value is not None else f", {trial.state.value}"
    title = f"trial {trial.number}{value}"
    drawing.path(_route(frame, _points(trial)), kind, title=title, trial=trial.number)


def _draw_best(drawing: Drawing, frame: Frame, best: Trial, width: int) -> None:
    _draw(drawing, frame, best, "curve best")
    last = [point for point in _points(best) if point is not None][-1]
    end = frame.at(*last)
    if end is None:
        return
    words = f"trial {best.number}, best"
    room = width - end[0] > len(words) * 7.2 + 10
    at = (end[0] + 8, end[1] + 4) if room else (end[0], end[1] - 10)
    drawing.text(at, words, "label", "start" if room else "end")
