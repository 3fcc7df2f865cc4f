"""The objective's axis, the same in every chart. Pure."""

from __future__ import annotations

import math

from agents.report.charts.scales import LinearScale, fitted
from agents.report.study import best_first, is_better, valued
from agents.trial import StudyView

_REACH = 4
"""The scale ends this many times as far from the best as the worst quarter begins."""
_FEW = 8
"""With fewer values than this nothing is an outlier."""


def objective_scale(view: StudyView) -> LinearScale:
    """A scale for the objective. Bad outliers may lie beyond it and are drawn on its edge.

    A few hopeless trials must not press all others into a line.
    """
    ranked = [value for _, value in best_first(view)]
    if not ranked:
        return LinearScale(0, 1)
    best, quarter, worst = ranked[0], ranked[len(ranked) * 3 // 4], ranked[-1]
    limit = best + _REACH * (quarter - best)
    outliers = limit != best and math.isfinite(limit) and is_better(limit, worst, view)
    if len(ranked) < _FEW or not outliers:
        return fitted(ranked)
    return fitted([best, limit])


def pinned(view: StudyView) -> int:
    """How many completed trials lie beyond the scale."""
    scale = objective_scale(view)
    return sum(not scale.holds(value) for _, value in valued(view))
