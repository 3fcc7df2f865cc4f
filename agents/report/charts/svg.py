"""Writes SVG: a drawing is a list of elements, text and attributes escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from scheduler.plain import printable

if TYPE_CHECKING:
    from markupsafe import Markup

Point = tuple[float, float]


@dataclass
class Drawing:
    """One picture of `width` times `height` pixels. What is drawn later lies on top."""

    name: str
    """Unique on the page."""
    width: float
    height: float
    _parts: list[str] = field(default_factory=list)

    def line(self, start: Point, end: Point, kind: str) -> None:
        (x1, y1), (x2, y2) = start, end
        self._parts.append(
            f'<line class="{kind}" x1="{px(x1)}" y1="{px(y1)}" x2="{px(x2)}" y2="{px(y2)}"/>'
        )

    def path(self, route: str, kind: str, *, title: str = "", trial: int | None = None) -> None:
        """A path along `route` (see `polyline`, `steps`, `dots`); `title` shows on hovering."""
        mark = f' data-trial="{trial}"' if trial is not None else ""
        head = f'<path class="{kind}"{mark} d="{route}"'
        self._parts.append(f"{head}><title>{safe(title)}</title></path>" if title else f"{head}/>")

    def text(self, at: Point, words: str, kind: str, anchor: str = "start") -> None:
        """Words with their baseline at a point; `anchor` is start, middle or end."""
        self._parts.append(
            f'<text class="{kind}" x="{px(at[0])}" y="{px(at[1])}" text-anchor="{anchor}">'
            f"{safe(words)}</text>"
        )

    def rectangle(self, corner: Point, width: float, height: float, kind: str) -> None:
        x, y = corner
        self._parts.append(
            f'<rect class="{kind}" x="{px(x)}" y="{px(y)}" '
            f'width="{px(width)}" height="{px(height)}"/>'
        )

    def to_svg(self, title: str, description: str) -> Markup:
        """The whole drawing as one ``svg`` element, named and described for those who cannot see it."""
        from markupsafe import Markup

        head = (
            f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" role="img" '
            f'viewBox="0 0 {px(self.width)} {px(self.height)}" '
            f'aria-labelledby="{self.name}-title {self.name}-about">'
            f'<title id="{self.name}-title">{safe(title)}</title>'
            f'<desc id="{self.name}-about">{safe(description)}</desc>'
        )
        return Markup(head + "\n".join(self._parts) + "</svg>")  # every part was escaped above


def safe(text: str) -> str:
    """Text as XML takes it."""
    return escape(printable(text))


def px(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def polyline(points: Iterable[Point]) -> str:
    """A route straight from point to point."""
    return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points)


def pieces(points: Sequence[Point | None]) -> str:
    """A route like `polyline` that is lifted where a point is missing."""
    route, drawing = [], False
    for point in points:
        if point is not None:
            route.append(f"{'L' if drawing else 'M'}{px(point[0])} {px(point[1])}")
        drawing = point is not None
    return "".join(route)


def steps(points: Sequence[Point], end: float) -> str:
    """A staircase: level from each point to the next one's x, and on to `end`."""
    first_x, first_y = points[0]
    risers = "".join(f"H{px(x)}V{px(y)}" for x, y in points[1:])
    return f"M{px(first_x)} {px(first_y)}{risers}H{px(end)}"


def dots(points: Iterable[Point]) -> str:
    """Dots, drawn by the style's round line caps: the shortest way to write many."""
    return "".join(f"M{px(x)} {px(y)}h0" for x, y in points)


def bar(start: Point, end: float, thickness: float) -> str:
    """A horizontal bar around the line from a point to `end`; never thinner than a pixel's half."""
    x, y = start
    width = max(0.5, end - x)
    return f"M{px(x)} {px(y - thickness / 2)}h{px(width)}v{px(thickness)}h{px(-width)}z"


def marker(shape: str, at: Point, size: float) -> str:
    """The outline of a marker around a point: circle, diamond, square, triangle or cross."""
    x, y = at
    s = size
    if shape == "diamond":
        s *= 1.25
        return f"M{px(x)} {px(y - s)}l{px(s)} {px(s)}l{px(-s)} {px(s)}l{px(-s)} {px(-s)}z"
    if shape == "square":
        s *= 0.9
        return f"M{px(x - s)} {px(y - s)}h{px(2 * s)}v{px(2 * s)}h{px(-2 * s)}z"
    if shape == "triangle":
        s *= 1.15
        return f"M{px(x)} {px(y - s)}L{px(x + s)} {px(y + s)}L{px(x - s)} {px(y + s)}z"
    if shape == "cross":
        return (
            f"M{px(x - s)} {px(y - s)}L{px(x + s)} {px(y + s)}"
            f"M{px(x - s)} {px(y + s)}L{px(x + s)} {px(y - s)}"
        )
    return (
        f"M{px(x - s)} {px(y)}a{px(s)} {px(s)} 0 1 0 {px(2 * s)} 0"
        f"a{px(s)} {px(s)} 0 1 0 {px(-2 * s)} 0z"
    )
