"""Whether a failed job is run again, and with what. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scheduler.job import Cause, Resources
from scheduler.settings import RetrySettings


@dataclass(frozen=True)
class Attempt:
    """One attempt at a trial: what its job had, and why it failed."""

    resources: Resources
    cause: Cause


def decide(attempts: Sequence[Attempt], policy: RetrySettings) -> Resources | None:
    """What to ask for in the next attempt, or None where there is to be none.

    `attempts` are all so far, oldest first; the last has just failed. Failures of the machine are
    run again as they are; those of a request that was too small with a larger one, as long as it
    can still grow; those of the trial itself (its program, its configuration, its training) never.
    """
    if not attempts:
        raise ValueError("nothing has failed yet")
    last = attempts[-1]
    earlier = sum(attempt.cause is last.cause for attempt in attempts[:-1])
    if earlier >= _allowed(last.cause, policy):
        return None
    if last.cause is Cause.OUT_OF_MEMORY:
        more = policy.out_of_memory
        memory = _grown(last.resources.memory_mb, more.factor, more.maximum)
        return None if memory is None else replace(last.resources, memory_mb=memory)
    if last.cause is Cause.WALLTIME:
        more_time = policy.walltime
        seconds = _grown(last.resources.walltime_seconds, more_time.factor, more_time.maximum)
        return None if seconds is None else replace(last.resources, walltime_seconds=seconds)
    return last.resources


def _allowed(cause: Cause, policy: RetrySettings) -> int:
    """How often a failure of this cause is run again."""
    return {
        Cause.NODE_FAILURE: policy.node_failure,
        Cause.PREEMPTED: policy.preempted,
        Cause.LOST: policy.lost,
        # Submitting it again waits until the directory there can be written.
        Cause.NO_ROOM: policy.lost,
        Cause.OUT_OF_MEMORY: policy.out_of_memory.times,
        Cause.WALLTIME: policy.walltime.times,
    }.get(cause, 0)


def _grown(had: int | None, factor: float, maximum: float | None) -> int | None:
    """`had` times `factor`, at most `maximum`; None where that is no more than before.

    What was never asked for (the site's default) cannot be multiplied.
    """
    if had is None:
        return None
    wanted = had * factor if maximum is None else min(had * factor, maximum)
    grown = int(wanted)
    return grown if grown > had else None
