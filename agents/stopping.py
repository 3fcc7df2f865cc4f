"""Which rules would stop a search where it stands, with the settings that it has or would have. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any

from agents.config.model import Settings
from agents.convergence import StopReason, reserve_for, stop_reasons
from agents.schedule import complete_iterations, confirming
from agents.trial import StudyView

BOUNDS: Mapping[str, tuple[str, str]] = {
    "target": ("stop.target", "value"),
    "failures_in_a_row": ("stop.failures_in_a_row", "failed"),
    "max_iterations": ("loop.max_iterations", "iterations"),
    "max_trials": ("loop.max_trials", "trials"),
    "patience": ("stop.patience", "iterations"),
    "wall_clock": ("stop.wall_clock", "wall_clock"),
    "node_hours": ("stop.node_hours", "node_hours"),
}
"""The key that a rule goes by, and which of its numbers stands against it."""


def reasons_now(
    view: StudyView, settings: Settings, elapsed: float, cancelled: Collection[int]
) -> list[StopReason]:
    """All rules that hold, the first of which stops the search."""
    loop = settings.loop
    searched = set(complete_iterations(view.trials, loop)) - confirming(view.trials)
    return stop_reasons(
        view,
        len(searched),
        elapsed,
        loop,
        settings.stop,
        reserve=reserve_for(view, settings.confirm, loop),
        cancelled=cancelled,
    )


def bound(reason: StopReason) -> float:
    """What the rule went by when it stopped the search."""
    return reason.numbers["target" if reason.rule == "target" else "limit"]


def is_outdated(reason: StopReason, settings: Settings) -> bool:
    """Whether the rule that stopped the search goes by another bound now, which only a resume can
    give it."""
    if reason.rule not in BOUNDS:
        return False
    now: Any = reduce(getattr, BOUNDS[reason.rule][0].split("."), settings)
    return bool(now != bound(reason))
