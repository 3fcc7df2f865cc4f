"""Which rules would stop a search where it stands, with the settings that it has or would have. Pure."""

from __future__ import annotations

from collections.abc import Collection

from agents.config.model import Settings
from agents.convergence import StopReason, reserve_for, stop_reasons
from agents.schedule import complete_iterations, confirming
from agents.trial import StudyView


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
