"""What a PBS queue says of the jobs that it takes, in its own words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from agents.doctor.words import listed
from agents.inventory.pbs import destinations
from scheduler.job import Resources
from scheduler.units import parse_duration

Entry = Mapping[str, str]


class Hindrance(NamedTuple):
    """Why a queue does not take the job, and what to do."""

    seen: str
    remedy: str


def is_route(queue: Entry) -> bool:
    """Whether it passes its jobs on."""
    return queue.get("queue_type") == "Route"


def is_offered(queue: Entry) -> bool:
    """Whether a person can send jobs there, and they start."""
    return _enabled(queue) and _starts(queue) and queue.get("from_route_only") != "True"


def open_queues(queues: Mapping[str, Entry]) -> str:
    """Those to choose from."""
    names = [name for name, queue in queues.items() if is_offered(queue)]
    return listed(names) or "(`qstat -Q` lists them)"


def hindrance(name: str, queues: Mapping[str, Entry], asked: Resources) -> Hindrance | None:
    """Why the queue `name` would refuse the job, which is sent to it by name."""
    queue = queues[name]
    if queue.get("from_route_only") == "True":
        ways = [each for each, entry in queues.items() if name in destinations(entry)]
        return Hindrance(
            f"the queue {name} takes jobs from a route alone (from_route_only = True)",
            f"set cluster.resources.queue to one of: {listed(ways) or open_queues(queues)}",
        )
    if not _enabled(queue):
        return Hindrance(
            f"the queue {name} takes no jobs (enabled = False)",
            f"set cluster.resources.queue to one of: {open_queues(queues)}",
        )
    return _beyond(name, queue, asked) or (
        _astray(name, queues, asked) if is_route(queue) else None
    )


def idle(name: str, queues: Mapping[str, Entry], asked: Resources) -> list[str]:
    """The queues in which the job would wait, where none of them starts jobs. One not listed may."""
    if not _starts(queues[name]):
        return [name]
    takers = [
        way
        for way in _places(name, queues)
        if way not in queues or (_enabled(queues[way]) and not _beyond(way, queues[way], asked))
    ]
    return [] if any(_starts(queues.get(way, {})) for way in takers) else takers


def _starts(queue: Entry) -> bool:
    return queue.get("started", "True") == "True"


def _enabled(queue: Entry) -> bool:
    return queue.get("enabled", "True") == "True"


def _beyond(name: str, queue: Entry, asked: Resources) -> Hindrance | None:
    """A limit of the queue that the job does not keep."""
    most, least = (_seconds(queue.get(f"resources_{end}.walltime")) for end in ("max", "min"))
    wanted = asked.walltime_seconds
    if wanted is not None and most is not None and wanted > most:
        return Hindrance(
            f"the queue {name} allows {queue['resources_max.walltime']}, and the job asks for more",
            "lower cluster.resources.walltime, or choose another queue",
        )
    if wanted is not None and least is not None and wanted < least:
        return Hindrance(
            f"the queue {name} wants at least {queue['resources_min.walltime']}",
            "raise cluster.resources.walltime, or choose another queue",
        )
    fewest, largest = (queue.get(f"resources_{end}.nodect", "") for end in ("min", "max"))
    if fewest.isdigit() and asked.nodes < int(fewest):
        return Hindrance(
            f"the queue {name} wants at least {fewest} nodes, and the job asks for {asked.nodes}",
            "raise cluster.resources.nodes (with several trials in a job: cluster.pack), or choose "
            "another queue",
        )
    if largest.isdigit() and asked.nodes > int(largest):
        return Hindrance(
            f"the queue {name} allows {largest} nodes, and the job asks for {asked.nodes}",
            "lower cluster.resources.nodes, or choose another queue",
        )
    return None


def _astray(name: str, queues: Mapping[str, Entry], asked: Resources) -> Hindrance | None:
    """Where none of the queues that a route leads to takes the job. One not listed may."""
    ways = _places(name, queues)
    found = [
        _beyond(way, queues[way], asked) for way in ways if way in queues and _enabled(queues[way])
    ]
    whys = [why for why in found if why is not None]
    if not found or len(whys) < len(found) or any(way not in queues for way in ways):
        return None
    return Hindrance(
        f"none of the queues that {name} leads to takes the job: "
        f"{'; '.join(why.seen for why in whys)}",
        f"{whys[0].remedy}: {open_queues({n: q for n, q in queues.items() if n != name})}",
    )


def _places(name: str, queues: Mapping[str, Entry]) -> list[str]:
    """The queues in which jobs of the route end up."""
    known = [name]
    for each in known:  # grows: a route may lead to a route
        known += [way for way in destinations(queues.get(each, {})) if way not in known]
    return [each for each in known if not is_route(queues.get(each, {}))]


def _seconds(walltime: str | None) -> float | None:
    if walltime is None:
        return None
    try:
        return cast(float, parse_duration(walltime))
    except ValueError:
        return None
