"""Which iteration a trial belongs to, how many are wanted, which iterations are complete. Pure.

In schedule ``batch`` an iteration ends before the next is proposed. In ``steady`` a free slot gets
a new trial at once, and an iteration is a group of trials in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.config.model import LoopSettings
from agents.trial import Trial


def wanted(trials: Sequence[Trial], iteration: int, loop: LoopSettings) -> int:
    """How many trials to propose now, in (or from) `iteration`."""
    if loop.schedule == "batch":
        count = loop.jobs_per_iteration - sum(t.iteration == iteration for t in trials)
    else:
        running = sum(not trial.state.is_finished for trial in trials)
        count = min(loop.jobs_per_iteration - running, quota(loop) - len(trials))
    if loop.max_trials is not None:
        count = min(count, loop.max_trials - len(trials))
    return max(0, count)


def quota(loop: LoopSettings) -> int:
    """How many trials the whole search may have."""
    most = loop.max_iterations * loop.jobs_per_iteration
    return most if loop.max_trials is None else min(most, loop.max_trials)


def iteration_of(number: int, iteration: int, loop: LoopSettings) -> int:
    """The iteration of a new trial, whose number will be `number`, while the loop is at `iteration`."""
    return iteration if loop.schedule == "batch" else number // loop.jobs_per_iteration + 1


def complete_iterations(
    trials: Sequence[Trial], loop: LoopSettings, *, stopping: bool = False
) -> list[int]:
    """Iterations that are full and whose trials have all ended, in their order."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.iteration, []).append(trial)
    last = stopping or len(trials) >= quota(loop) or loop.schedule == "batch"
    return [
        iteration
        for iteration, group in sorted(groups.items())
        if all(trial.state.is_finished for trial in group)
        and (last or len(group) >= loop.jobs_per_iteration)
    ]


def next_iteration(trials: Sequence[Trial], loop: LoopSettings) -> int:
    """The iteration that the next trial will be in, once those that run have ended."""
    if loop.schedule == "steady":
        return iteration_of(len(trials), 0, loop)
    return max((trial.iteration for trial in trials), default=0) + 1


def current_iteration(trials: Sequence[Trial], loop: LoopSettings) -> int:
    """The loop's iteration as the ledger alone tells it (where there is no checkpoint)."""
    return max((trial.iteration for trial in trials), default=1)
