"""A learning curve in a few telling words, for a prompt. Pure."""

from __future__ import annotations

from agents.report.numbers import number
from training.contract import Curve

TAIL = 0.2
"""Share of the steps, at the end, that the last slope is taken over."""
FLAT = 0.002
"""A change over the tail below this share of the curve's span counts as flat."""
DROP = 0.1
"""A fall from the best by more than this share of the best is worth a word."""


def condensed(curve: Curve) -> str:
    """Such as ``0.21 -> 0.64 -> 0.71 in 10 steps, highest 0.72 at step 8, flat at the end``.

    Start, middle and end; the highest and where (of a loss that is not the best); how fast the end still
    rises, or how far it fell. Empty for no points.
    """
    points = [(s, a) for s, a in zip(curve.step, curve.accuracy, strict=True) if a is not None]
    if not points:
        return ""
    lost = len(curve.step) - len(points)
    missing = f", {lost} steps without a number" if lost else ""
    if len(points) == 1:
        return f"{number(points[0][1], 3)} at its only step{missing}"
    steps, values = zip(*points, strict=True)
    marks = [values[0], values[len(values) // 2], values[-1]] if len(values) > 2 else values
    shape = " -> ".join(number(value, 3) for value in marks)
    top = max(range(len(values)), key=lambda index: values[index])
    text = (
        f"{shape} in {len(values)} steps, highest {number(values[top], 3)} at step {steps[top]:g}"
    )
    return f"{text}, {_ending(list(steps), list(values))}{missing}"


def _ending(steps: list[float], values: list[float]) -> str:
    best, last = max(values), values[-1]
    if best > 0 and last < (1 - DROP) * best:
        return f"fell from its highest by {number(best - last, 2)}"
    tail = max(1, round(TAIL * (len(values) - 1)))
    change = last - values[-1 - tail]
    if change > FLAT * (max(values) - min(values)) * tail and change > 0:
        slope = change / (steps[-1] - steps[-1 - tail]) if steps[-1] > steps[-1 - tail] else change
        return f"still rising at the end by {number(slope, 2)} a step"
    return "flat at the end"
