"""Mean regret over trials as an SVG, drawn here: no plotting library is needed for eight lines."""

import numpy as np

from benchmarks.hybrid.report import Runs

COLOURS = {
    "random": "#999999",
    "optuna-tpe": "#1f77b4",
    "cma-es": "#8c564b",
    "nevergrad": "#e377c2",
    "sampler": "#d62728",
    "llm:rules": "#bcbd22",
    "hybrid:placebo": "#9467bd",
    "hybrid:wrong": "#ff7f0e",
    "hybrid:rules": "#2ca02c",
}
WIDTH, HEIGHT, LEFT, TOP = 640, 400, 50, 20
PLOT = (430, 330)
"""Width and height of the frame; the legend stands at its right."""


def svg(records, batch):
    runs = Runs(records, batch)
    arms = [arm for arm in COLOURS if arm in runs.arms]
    curves = {arm: np.mean([r["regret"] for r in runs.of[arm]], axis=0) for arm in arms}
    top = max(float(curve.max()) for curve in curves.values())
    trials = len(next(iter(curves.values())))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        height = TOP + PLOT[1] * (1 - share)
        parts.append(
            f'<path d="M{LEFT} {height:.1f}h{PLOT[0]}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{share * top:.2f}</text>'
        )
    for tick in range(10, trials + 1, 10):
        where = LEFT + PLOT[0] * (tick - 1) / (trials - 1)
        parts.append(
            f'<text x="{where:.1f}" y="{TOP + PLOT[1] + 16}" text-anchor="middle">{tick}</text>'
        )
    for row, arm in enumerate(arms):
        points = " ".join(
            f"{LEFT + PLOT[0] * n / (trials - 1):.1f},{TOP + PLOT[1] * (1 - value / top):.1f}"
            for n, value in enumerate(curves[arm])
        )
        wide = 2.5 if arm in ("sampler", "hybrid:rules") else 1.3
        height = TOP + 10 + 18 * row
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[arm]}" '
            f'stroke-width="{wide}"/>'
            f'<path d="M{LEFT + PLOT[0] + 12} {height}h20" stroke="{COLOURS[arm]}" '
            f'stroke-width="{wide}"/>'
            f'<text x="{LEFT + PLOT[0] + 38}" y="{height + 4}">{arm}</text>'
        )
    name = "one at a time" if batch == 1 else f"in batches of {batch}"
    parts.append(
        f'<text x="{LEFT + PLOT[0] / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
        f"trials, {name}; mean regret of {len(runs.keys)} searches</text></svg>"
    )
    return "\n".join(parts) + "\n"
