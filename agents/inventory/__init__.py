"""What a cluster has and who waits for it: queues, nodes, GPUs, jobs. Data only."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agents.report.numbers import duration
from agents.words import count
from scheduler.plain import printable


@dataclass(frozen=True)
class Gpus:
    """GPUs of one kind in one queue."""

    kind: str
    """As the scheduler names it; empty where it does not."""
    total: int
    used: int
    down: int = 0
    """On nodes that are down."""

    @property
    def free(self) -> int:
        return max(0, self.total - self.used - self.down)


@dataclass(frozen=True)
class Queue:
    """A Slurm partition or a PBS queue."""

    name: str
    is_open: bool = True
    """Takes jobs and starts them."""
    is_hidden: bool = False
    """The scheduler shows it only to those who ask for all: hidden, or for groups that are not mine."""
    by_route_only: bool = False
    """Takes jobs that a route passes on, and no others (PBS)."""
    leads_to: Sequence[str] | None = None
    """Of a route (PBS), which has no nodes: the queues that it passes jobs on to, as far as is told.
    None: no route."""
    is_default: bool = False
    longest_seconds: int | None = None
    """Of one job's walltime; None: no limit, or not told."""
    fewest_nodes: int | None = None
    """Of one job; None: not limited, or not told."""
    most_nodes: int | None = None
    nodes: int = 0
    free: int = 0
    """Nodes with nothing on them."""
    partly: int = 0
    """Nodes with room left beside what runs on them."""
    down: int = 0
    cpus: int = 0
    """Of the largest node."""
    memory_mb: int = 0
    """Of the largest node."""
    gpus: Sequence[Gpus] = ()
    queued: int = 0
    running: int = 0

    @property
    def is_offered(self) -> bool:
        """Whether to name it to a person who looks for one."""
        return self.is_open and not self.is_hidden and not self.by_route_only

    @property
    def is_route(self) -> bool:
        return self.leads_to is not None

    def takes_nodes(self, number: int) -> bool:
        """Whether it takes a job on so many nodes."""
        return (self.fewest_nodes or 0) <= number <= (self.most_nodes or number)

    @property
    def bounds(self) -> str:
        """How many nodes a job of it may have; empty where that is not limited."""
        least, most = self.fewest_nodes, self.most_nodes
        if least and most:
            return count(most, "node") if least == most else f"{least} to {count(most, 'node')}"
        if least:
            return f"{count(least, 'node')} at least"
        return f"{count(most, 'node')} at most" if most else ""

    @property
    def busy(self) -> int:
        return max(0, self.nodes - self.free - self.partly - self.down)


def plain(text: str) -> str:
    """What others wrote, such as a job's name, fit for one line of a terminal."""
    return re.sub(r"[\n\t]", " ", printable(text))


def names_of(text: str) -> tuple[str, ...]:
    """The queues that a request names: Slurm takes several, with commas between."""
    return tuple(dict.fromkeys(name for name in text.split(",") if name))


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs."""

    job_id: str
    name: str
    user: str
    state: str
    """In the scheduler's word: PENDING, RUNNING, Q, R, H …"""
    queue: str
    """Of a job that waits for whichever is free first: all of them, with commas between."""
    nodes: int
    cpus: int
    gpus: str
    """As it was asked for; empty for none."""
    walltime_seconds: int | None
    starts_at: float | None
    """Unix time; of a waiting job the scheduler's estimate, None where it has none."""
    reason: str = ""
    mine: bool = False
    waited_seconds: float | None = None
    """Of a job that runs: how long it could have run and did not. None: not told."""

    @property
    def queues(self) -> tuple[str, ...]:
        return names_of(self.queue)

    @property
    def waits(self) -> bool:
        return self.state in ("PENDING", "Q", "H", "W", "S")


@dataclass(frozen=True)
class Inventory:
    """One look at a cluster."""

    batch: str
    """``slurm`` or ``pbs``."""
    queues: Sequence[Queue] = ()
    jobs: Sequence[QueuedJob] = ()
    accounts: Sequence[str] = ()
    """That I may use, as far as the scheduler tells."""
    limits: Sequence[str] = ()
    """Limits on my jobs, in words."""
    missing: Sequence[str] = ()
    """What could not be had, and why."""
    starts: Sequence[Start] = field(default_factory=tuple)

    @property
    def silence(self) -> str | None:
        """Why nothing is known at all, where the scheduler does not answer."""
        return self.missing[0] if self.missing and not self.queues and not self.jobs else None

    def queue(self, name: str) -> Queue | None:
        """The queue of that name."""
        return next((queue for queue in self.queues if queue.name == name), None)

    @property
    def offered(self) -> list[str]:
        """Names of the queues to choose from; all where none is offered."""
        names = [queue.name for queue in self.queues if queue.is_offered]
        return names or [queue.name for queue in self.queues]

    def named(self, names: Sequence[str]) -> list[Queue]:
        """Those of that name that there are."""
        return [queue for queue in map(self.queue, names) if queue is not None]

    def routes_to(self, name: str) -> list[str]:
        """Routes that lead to the queue."""
        return [queue.name for queue in self.queues if name in (queue.leads_to or ())]

    def places(self, names: Sequence[str]) -> list[Queue]:
        """Those in which jobs for `names` run: of a route the queues that it leads to."""
        found: dict[str, Queue] = {}
        for queue in self.named(names):
            found[queue.name] = queue
        for _ in self.queues:  # a route may lead to a route, and in circles
            for queue in [queue for queue in found.values() if queue.leads_to]:
                found |= {each.name: each for each in self.named(queue.leads_to or ())}
        return [queue for queue in found.values() if not queue.is_route]


@dataclass(frozen=True)
class Start:
    """When a request of ours might start in a queue."""

    queue: str
    walltime_seconds: int | None
    starts_at: float | None
    """Unix time; None: not told."""
    guess: bool = False
    """From what others waited, not from the scheduler's own plan."""
    words: str = ""
    """Why it cannot start, in the scheduler's words."""


def counted(queue: Queue, jobs: Sequence[QueuedJob]) -> Queue:
    """The queue with its numbers of jobs."""
    own = [job for job in jobs if queue.name in job.queues]
    waiting = sum(job.waits for job in own)
    return replace(queue, queued=waiting, running=len(own) - waiting)


def guessed(
    queue: Queue, jobs: Sequence[QueuedJob], walltime: int | None, now: float, nodes: int = 1
) -> Start:
    """When a job might start in `queue`: at once where nodes are free and nobody waits for them, else
    after the median of what those that run now have waited; not told where nobody runs, where it is closed,
    has no node that is up, or takes no job of that size or length."""
    if not queue.is_open:
        return Start(queue.name, walltime, None, words="it is closed")
    if not queue.takes_nodes(nodes):
        return Start(queue.name, walltime, None, words=f"it takes {queue.bounds}")
    longest = queue.longest_seconds
    if longest and walltime and walltime > longest:
        return Start(queue.name, walltime, None, words=f"it allows {duration(longest)}")
    if queue.nodes and queue.down == queue.nodes:
        return Start(queue.name, walltime, None, words="none of its nodes is up")
    own = [job for job in jobs if queue.name in job.queues]
    held = sum(job.state == "H" for job in own)
    if queue.free >= max(1, nodes) and queue.queued <= held:
        return Start(queue.name, walltime, now, guess=True)
    waits = [job.waited_seconds for job in own if job.waited_seconds is not None]
    if not waits:
        return Start(queue.name, walltime, None)
    return Start(queue.name, walltime, now + statistics.median(waits), guess=True)
