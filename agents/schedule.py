"""Which iteration a trial belongs to, how many are wanted, which iterations are complete. Pure.

In schedule ``batch`` an iteration ends before the next is proposed. In ``steady`` a free slot gets
a new trial at once, and an iteration is a group of trials in the order of their numbers. Trials that
confirm others have iterations of their own, beside those that the search may have.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.config.model import LoopSettings
from agents.trial import Trial


def wanted(trials: Sequence[Trial], iteration: int, loop: LoopSettings) -> int:
    """How many trials to propose now, in (or from) `iteration`."""
    searched = len(_searched(trials))
    if loop.schedule == "batch":
        count = loop.jobs_per_iteration - sum(t.iteration == iteration for t in trials)
        if iteration in confirming(trials):
            return 0
    else:
        running = sum(not trial.state.is_finished for trial in trials)
        count = min(loop.jobs_per_iteration - running, quota(loop) - searched)
    if loop.max_trials is not None:
        count = min(count, loop.max_trials - searched)
    return max(0, count)


def quota(loop: LoopSettings) -> int:
    """How many trials the whole search may have."""
    most = loop.max_iterations * loop.jobs_per_iteration
    return most if loop.max_trials is None else min(most, loop.max_trials)


def iteration_of(trials: Sequence[Trial], iteration: int, loop: LoopSettings) -> int:
    """The iteration of the trial that comes after `trials`, while the loop is at `iteration`."""
    return iteration if loop.schedule == "batch" else _next_group(trials, loop)


def _next_group(trials: Sequence[Trial], loop: LoopSettings) -> int:
    if not trials:
        return 1
    last = trials[-1].iteration
    is_full = sum(trial.iteration == last for trial in trials) >= loop.jobs_per_iteration
    return last + 1 if is_full or trials[-1].confirms is not None else last


def complete_iterations(
    trials: Sequence[Trial], loop: LoopSettings, *, stopping: bool = False
) -> list[int]:
    """Iterations that are full and whose trials have all ended, in their order."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.iteration, []).append(trial)
    last = stopping or len(_searched(trials)) >= quota(loop) or loop.schedule == "batch"
    return [
        iteration
        for iteration, group in sorted(groups.items())
        if all(trial.state.is_finished for trial in group)
        and (last or len(group) >= loop.jobs_per_iteration)
    ]


def confirming(trials: Sequence[Trial]) -> set[int]:
    """The iterations in which trials run again to be confirmed."""
    return {trial.iteration for trial in trials if trial.confirms is not None}


def next_iteration(trials: Sequence[Trial], loop: LoopSettings) -> int:
    """The iteration that the next trial will be in, once those that run have ended."""
    if loop.schedule == "steady":
        return _next_group(trials, loop)
    return last_iteration(trials) + 1


def last_iteration(trials: Sequence[Trial]) -> int:
    """The highest iteration so far; 0 where there is none."""
    return max((trial.iteration for trial in trials), default=0)


def current_iteration(trials: Sequence[Trial], loop: LoopSettings) -> int:
    """The loop's iteration as the ledger alone tells it (where there is no checkpoint)."""
    return max(1, last_iteration(trials))


def _searched(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.confirms is None]
