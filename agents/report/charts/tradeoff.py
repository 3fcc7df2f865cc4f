"""Trade-off: the objective over a second metric, and the Pareto front. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.report.charts.frame import WIDE, Frame, draw_bottom, draw_levels, label_room
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import LinearScale, LogScale, Scale, fitted
from agents.report.charts.svg import Drawing, marker, steps
from agents.report.facts import RunFacts
from agents.report.numbers import measure, number
from agents.report.words import SHAPES
from agents.thinning import spread
from agents.tradeoff import SECONDS, Point, front, points
from agents.trial import StudyView
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_POINTS = 300
"""Points drawn, the whole front among them."""
_WIDE_RATIO = 20
"""From this ratio of the largest to the smallest on, the second metric is drawn on a log scale."""


def tradeoff_chart(view: StudyView, facts: RunFacts, name: str, width: int) -> Markup | None:
    """The trade-off as SVG; None with fewer than two different values of the second metric."""
    found = points(view, facts.second)
    if len({point.second for point in found}) < 2:
        return None
    best = front(found, view.direction, facts.second.direction)
    y = objective_scale(view)
    left = label_room(y.ticks(5))
    height = 280 if width >= WIDE else 240
    scale = _second_scale([point.second for point in found])
    frame = Frame(scale, y, left, 26, width - left - 14, height)
    drawing = Drawing(name, width, frame.bottom + 42)
    drawing.text((0, 12), view.metric, "axis-title")
    draw_levels(drawing, frame)
    draw_bottom(drawing, frame, second_name(facts))
    _draw_front(drawing, frame, best, facts)
    _draw_points(drawing, frame, drawn(found, best), {p.trial.number for p in best}, facts)
    about = (
        f"{view.metric} over {second_name(facts)} of {count(len(found), 'trial')}; "
        f"{count(len(best), 'trial')} on the Pareto front."
    )
    return drawing.to_svg(f"{view.metric} against {second_name(facts)}", about)


def second_name(facts: RunFacts) -> str:
    """The second metric as an axis names it."""
    return "training seconds" if facts.second.metric == SECONDS else facts.second.metric


def drawn(found: Sequence[Point], best: Sequence[Point]) -> list[Point]:
    """The points that the chart shows."""
    kept = {point.trial.number for point in best[-MOST_POINTS // 2 :]}
    rest = [point for point in found if point.trial.number not in kept]
    kept |= {point.trial.number for point in spread(rest, MOST_POINTS - len(kept))}
    return [point for point in found if point.trial.number in kept]


def _second_scale(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    if low > 0 and high / low >= _WIDE_RATIO:
        return LogScale(low / 1.1, min(high * 1.1, 1e300))
    scale = fitted(values)
    # What cannot be negative has no room to the left of zero.
    return LinearScale(max(0.0, scale.low), scale.high) if low >= 0 else scale


def _draw_front(drawing: Drawing, frame: Frame, best: Sequence[Point], facts: RunFacts) -> None:
    """A staircase through the front, on to the worse end of the second metric."""
    corners = [at for p in best if (at := frame.at(p.second, p.value)) is not None]
    end = frame.right if facts.second.direction == "minimize" else frame.left
    drawing.path(steps(corners, end), "best-line")


def _draw_points(
    drawing: Drawing, frame: Frame, found: Sequence[Point], best: set[int], facts: RunFacts
) -> None:
    size = 4 if len(found) <= 100 else 3
    for point in sorted(found, key=lambda p: p.trial.number in best):
        at = frame.at(point.second, point.value)
        if at is None:
            continue
        trial = point.trial
        title = (
            f"trial {trial.number}: {measure(point.value)}, {second_name(facts)} "
            f"{number(point.second)}"
        )
        outline = marker(SHAPES[trial.origin], at, size)
        drawing.path(outline, f"mark {trial.origin}", title=title, trial=trial.number)
        if trial.number in best:
            drawing.path(marker("circle", at, 6.5), "ring", trial=trial.number)
