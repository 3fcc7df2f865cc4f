"""Where a search would start first, which walltime starts sooner, what to beware of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agents.inventory import Inventory, Queue, Start, names_of
from agents.report.numbers import duration
from scheduler.job import Resources

SOONER_SECONDS = 300.0
"""A start by less than this earlier is no reason to change anything."""

NOW_SECONDS = 60.0
"""A start within this is one at once."""


def advice(inventory: Inventory, asked: Resources, devices: Sequence[str], now: float) -> list[str]:
    """Sentences for a person; `devices` are those that earlier trials of the search ran on."""
    return [
        *_first(inventory, asked, now),
        *_shorter(inventory, asked, now),
        *_limits(inventory, asked),
        *_other_device(inventory, asked, devices),
    ]


def _told(starts: Sequence[Start]) -> list[Start]:
    return sorted(
        (start for start in starts if start.starts_at is not None),
        key=lambda start: start.starts_at or 0.0,
    )


def _own(inventory: Inventory, asked: Resources) -> tuple[str, ...]:
    """The queues that the request goes to: it starts in whichever is free first."""
    if asked.queue is not None:
        return names_of(asked.queue)
    return tuple(queue.name for queue in inventory.queues if queue.is_default)


def _first(inventory: Inventory, asked: Resources, now: float) -> Iterator[str]:
    """The queue in which the whole request starts first."""
    whole = [s for s in inventory.starts if s.walltime_seconds == asked.walltime_seconds]
    told = _told(whole)
    if not told:
        yield "nothing says when a job would start: no estimate from the scheduler, no history"
        return
    best, own = told[0], _own(inventory, asked)
    mine = next((start for start in told if start.queue in own), None)
    if mine is not None and (mine.starts_at or 0) - (best.starts_at or 0) < NOW_SECONDS:
        best = mine
    guess = " (a guess, from how long others waited)" if best.guess else ""
    when = wait_text(best, now)
    if mine is None and own:
        why = next((s.words for s in whole if s.queue in own and s.words), "no estimate")
        yield f"queue {', '.join(own)}: {why}; first start: {best.queue}, {when}{guess}"
    elif mine is not None and (mine.starts_at or 0) - (best.starts_at or 0) > SOONER_SECONDS:
        yield (
            f"first start: queue {best.queue}, {when}{guess}; in {mine.queue} {wait_text(mine, now)}: "
            f"set cluster.resources.queue to {best.queue} if its rules suit you"
        )
    else:
        yield f"first start: queue {best.queue}, {when}{guess}"


def wait_text(start: Start, now: float) -> str:
    """How long until a start."""
    if start.starts_at is None:
        return "unknown"
    wait = start.starts_at - now
    return "now" if wait < NOW_SECONDS else f"in {duration(wait)}"


def _shorter(inventory: Inventory, asked: Resources, now: float) -> Iterator[str]:
    """A walltime with which the same queue would start clearly sooner (backfill)."""
    own = _own(inventory, asked)
    told = [start for start in _told(inventory.starts) if start.queue in own]
    whole = next((s for s in told if s.walltime_seconds == asked.walltime_seconds), None)
    if whole is None:
        return
    sooner = [
        start
        for start in told
        if (whole.starts_at or 0) - (start.starts_at or 0) > SOONER_SECONDS
        and start.walltime_seconds
    ]
    if sooner:
        best = max(sooner, key=lambda start: start.walltime_seconds or 0)
        yield (
            f"a walltime of {duration(best.walltime_seconds or 0)} would be backfilled: it starts "
            f"{wait_text(best, now)}, the whole {wait_text(whole, now)}"
        )


def _limits(inventory: Inventory, asked: Resources) -> Iterator[str]:
    own = _own(inventory, asked)
    known = inventory.named(own)
    for name in own:
        if inventory.queues and inventory.queue(name) is None:
            names = ", ".join(inventory.offered)
            yield f"there is no queue {name}: set cluster.resources.queue to one of {names}"
    for queue in known:
        if queue.by_route_only:
            yield (
                f"queue {queue.name} takes jobs from a route alone: set cluster.resources.queue to "
                f"one of {', '.join(inventory.routes_to(queue.name) or inventory.offered)}"
            )
        if queue.is_route:
            yield from _hindrances(queue, asked)
    hindered = [list(_hindrances(queue, asked)) for queue in inventory.places(own)]
    if all(hindered):  # else one of them takes the job
        for said in hindered:
            yield from said


def _hindrances(queue: Queue, asked: Resources) -> Iterator[str]:
    """Why the queue does not take the request."""
    if not queue.is_open:
        yield f"queue {queue.name} is closed: jobs wait there until it opens"
    if not queue.takes_nodes(asked.nodes):
        yield f"queue {queue.name} takes {queue.bounds}: see cluster.resources.nodes ({asked.nodes})"
    longest = queue.longest_seconds
    if longest and asked.walltime_seconds and asked.walltime_seconds > longest:
        yield (
            f"queue {queue.name} allows {duration(longest)}: shorten cluster.resources.walltime "
            f"({duration(asked.walltime_seconds)})"
        )
    if queue.is_route:
        return
    kinds = [gpus.kind for gpus in queue.gpus]
    if asked.gpus and not kinds:
        yield f"queue {queue.name} has no GPUs, and {asked.gpus} are asked for"
    elif asked.gpu_type and kinds and asked.gpu_type not in kinds:
        yield f"queue {queue.name} has {', '.join(kinds)}, not {asked.gpu_type}"


def _other_device(inventory: Inventory, asked: Resources, devices: Sequence[str]) -> Iterator[str]:
    """Other hardware than that of earlier trials: times, and accuracies, do not compare."""
    own = _own(inventory, asked)
    there = [gpus.kind for queue in inventory.places(own) for gpus in queue.gpus]
    kinds = [kind for kind in dict.fromkeys([asked.gpu_type] if asked.gpu_type else there) if kind]
    if not devices or not kinds or not asked.gpus:
        return
    if not any(_is_kind(device, kind) for kind in kinds for device in devices):
        yield (
            f"earlier trials ran on {', '.join(sorted(set(devices)))}, new ones would run on "
            f"{' or '.join(kinds)}: times and even accuracies are not comparable"
        )


def _is_kind(device: str, kind: str) -> bool:
    """Whether a device's own name (``NVIDIA A100-SXM4-40GB``) is of the scheduler's kind, which
    sites write as ``a100``, ``nvidia_a100_80gb_pcie`` or ``tesla_a100``: the model's number tells."""
    models = _MODEL.findall(kind.lower())
    if not models:
        return kind.lower() in device.lower()
    squeezed = re.sub(r"\W", "", device.lower())  # Intel's "Max 1550" is max1550 to a scheduler
    return models[0] in _MODEL.findall(device.lower()) or squeezed.endswith(models[0])


_MODEL = re.compile(r"[a-z]*\d+[a-z]*")
