"""A plot's frame: where data goes, its axes, and room for both. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agents.report.charts.scales import Scale, Tick
from agents.report.charts.svg import Drawing, Point
from agents.report.cut import shortened

WIDE, NARROW = 880, 360
"""Widths of a chart in pixels: for screens and paper, and for phones."""

LETTER = 6.6
"""Width of an average letter of an axis label in pixels."""


@dataclass(frozen=True)
class Frame:
    """The rectangle that data is drawn in, between two scales."""

    x: Scale
    y: Scale
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def at(self, x: object, y: object) -> Point | None:
        """The pixel of a pair of values; None where one has no place."""
        across, up = self.x.place(x), self.y.place(y)
        if across is None or up is None:
            return None
        return self.left + across * self.width, self.bottom - up * self.height


def label_room(ticks: list[Tick], most: float = 110) -> float:
    """How wide a column for these labels must be."""
    return min(most, max((len(tick.label) for tick in ticks), default=1) * LETTER + 10)


def draw_levels(drawing: Drawing, frame: Frame, wanted: int = 5) -> None:
    """Thin level lines with their values at the left."""
    for tick in frame.y.ticks(wanted):
        y = frame.bottom - tick.place * frame.height
        drawing.line((frame.left, y), (frame.right, y), "grid")
        drawing.text((frame.left - 8, y + 4), shortened(tick.label, 16), "tick", "end")


def draw_bottom(drawing: Drawing, frame: Frame, title: str) -> None:
    """The x axis: a line, ticks that do not run into each other, and its title under them."""
    drawing.line((frame.left, frame.bottom), (frame.right, frame.bottom), "axis")
    free_from = float("-inf")
    for tick in frame.x.ticks(max(2, int(frame.width / 90))):
        label = shortened(tick.label, 14)
        x = frame.left + tick.place * frame.width
        half = len(label) * LETTER / 2
        drawing.line((x, frame.bottom), (x, frame.bottom + 4), "axis")
        if x - half < free_from:
            continue
        drawing.text((x, frame.bottom + 17), label, "tick", "middle")
        free_from = x + half + 6
    if title:
        drawing.text((frame.right, frame.bottom + 34), title, "axis-title", "end")
