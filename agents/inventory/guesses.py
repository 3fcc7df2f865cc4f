"""When a request might start where nobody can be asked: from how long others waited. Pure."""

from __future__ import annotations

from dataclasses import replace

from agents.inventory import Inventory, Queue, Start, guessed
from scheduler.job import Resources


def guesses(inventory: Inventory, asked: Resources, now: float) -> list[Start]:
    """One for each queue to choose from."""
    return [_guess(queue, inventory, asked, now) for queue in inventory.queues if queue.is_offered]


def _guess(queue: Queue, inventory: Inventory, asked: Resources, now: float) -> Start:
    """Of a route: the first of the queues that it leads to."""
    jobs, walltime, nodes = inventory.jobs, asked.walltime_seconds, asked.nodes
    own = guessed(queue, jobs, walltime, now, nodes)
    if not queue.is_route or own.words:
        return own
    places = inventory.places([queue.name])
    starts = [guessed(place, jobs, walltime, now, nodes) for place in places]
    told = [start for start in starts if start.starts_at is not None]
    if told:
        first = min(told, key=lambda start: start.starts_at or 0.0)
        return replace(first, queue=queue.name)
    words = [f"{start.queue}: {start.words or 'not known'}" for start in starts]
    return replace(own, words="; ".join(words) if any(start.words for start in starts) else "")
