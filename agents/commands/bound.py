"""What a search can cost at most: jobs, nodes, walltime. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

from agents.config.model import Settings
from agents.schedule import quota
from agents.screen import duration_text
from agents.words import count
from scheduler.settings import ClusterSettings, MoreTime, ParameterChoice, ResourceOverride


def cost_text(settings: Settings) -> str:
    """The bound in words, and what retries may add to it."""
    confirming = settings.confirm.trials * settings.confirm.seeds
    searched = quota(settings.loop)
    trials = searched + confirming
    jobs = _jobs(searched, settings) + _jobs(confirming, settings)
    cluster = settings.cluster
    nodes = _most_nodes(cluster)
    again = f", and {confirming} to confirm the best" if confirming else ""
    shared = f" in {count(jobs, 'job')}" if jobs != trials else ""
    most = "at most " if any(override.nodes for override in cluster.overrides) else ""
    lines = [
        f"The cost: at most {count(trials, 'trial')} ({count(settings.loop.max_iterations, 'iteration')}"
        f" of {settings.loop.jobs_per_iteration}{again}){shared}, {most}{count(nodes, 'node')} each"
    ]
    if shared and cluster.overrides:
        lines.append("  where cluster.overrides keep trials from sharing a job, one job a trial")
        jobs = trials
    return "\n".join([*lines, *_hours(cluster, jobs, trials)])


def _hours(cluster: ClusterSettings, jobs: int, trials: int) -> Iterator[str]:
    asked = [(nodes, seconds) for nodes, seconds in _requests(cluster) if seconds is not None]
    if len(asked) < len([*_requests(cluster)]):
        yield "  no walltime is set (cluster.resources.walltime): no bound can be given"
        return
    each = duration_text(max(seconds for _, seconds in asked))
    most = max(nodes * seconds for nodes, seconds in asked)
    yield f"  at most {each} each: {jobs * most / 3600:.2f} node-hours in all, without retries"
    more = max(nodes * _seconds_again(cluster, seconds) for nodes, seconds in asked)
    if more:
        hours = f"{trials * more / 3600:.2f}"
        yield f"  retries (cluster.retry) may add up to {hours}: were each trial to use up all of them"


def _jobs(trials: int, settings: Settings) -> int:
    """How many jobs so many trials take at most, where all ask for the same.

    Those of an iteration share jobs; in schedule steady each may go alone, as places become free.
    """
    loop, pack = settings.loop, settings.cluster.pack
    if pack is None or loop.schedule != "batch":
        return trials
    whole, rest = divmod(trials, loop.jobs_per_iteration)
    return whole * math.ceil(loop.jobs_per_iteration / pack.trials) + math.ceil(rest / pack.trials)


def _most_nodes(cluster: ClusterSettings) -> int:
    return max(nodes for nodes, _ in _requests(cluster))


def _requests(cluster: ClusterSettings) -> Iterator[tuple[int, float | None]]:
    """Nodes and walltime (s) of what a job may ask for, whatever its hyperparameters.

    Its nodes come from one override (or none) and its walltime from one (or none), both of which apply.
    """
    base = cluster.resources
    overrides: list[ResourceOverride | None] = [None, *cluster.overrides]
    for one, other in product(overrides, overrides):
        if _may_meet(one, other):
            nodes, walltime = one and one.nodes, other and other.walltime
            yield nodes or base.nodes, walltime or base.walltime


def _may_meet(one: ResourceOverride | None, other: ResourceOverride | None) -> bool:
    """Whether a trial's hyperparameters can be such that both apply."""
    if one is None or other is None:
        return True
    return all(
        not set(_choices(wanted)).isdisjoint(_choices(other.when[name]))
        for name, wanted in one.when.items()
        if name in other.when
    )


def _choices(
    wanted: ParameterChoice | list[ParameterChoice],
) -> Iterator[tuple[bool, ParameterChoice]]:
    """The values that a condition names; True is not 1 among them."""
    for choice in wanted if isinstance(wanted, list) else [wanted]:
        yield isinstance(choice, bool), choice


def _retries(cluster: ClusterSettings) -> int:
    """How often a trial may run again with the walltime that it has then."""
    policy = cluster.retry
    asked = [cluster.resources.memory, *(override.memory for override in cluster.overrides)]
    # Memory that nobody asked for cannot be multiplied.
    larger = policy.out_of_memory.times if any(asked) else 0
    return policy.node_failure + policy.preempted + policy.lost + larger


def _grown(policy: MoreTime, seconds: float) -> list[float]:
    """The walltimes after `seconds`, where a job reaches each of them."""
    found: list[float] = []
    for _ in range(policy.times):
        wanted = seconds * policy.factor
        grown = wanted if policy.maximum is None else min(wanted, policy.maximum)
        if grown <= seconds:
            break
        found.append(seconds := grown)
    return found


def _seconds_again(cluster: ClusterSettings, seconds: float) -> float:
    """What all retries of a trial take at most, the first job of which has `seconds`."""
    longer = _grown(cluster.retry.walltime, seconds)
    return sum(longer) + _retries(cluster) * (longer or [seconds])[-1]
