"""What a cluster has and who waits for it: queues, nodes, GPUs, jobs. Data only."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agents.report.numbers import duration


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
    is_default: bool = False
    longest_seconds: int | None = None
    """Of one job's walltime; None: no limit, or not told."""
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
    def busy(self) -> int:
        return max(0, self.nodes - self.free - self.partly - self.down)


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs."""

    job_id: str
    name: str
    user: str
    state: str
    """In the scheduler's word: PENDING, RUNNING, Q, R, H …"""
    queue: str
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
    own = [job for job in jobs if job.queue == queue.name]
    waiting = sum(job.waits for job in own)
    return replace(queue, queued=waiting, running=len(own) - waiting)


def guessed(queue: Queue, jobs: Sequence[QueuedJob], walltime: int | None, now: float) -> Start:
    """When a job might start in `queue`: at once where a node is free and nobody waits, else after
    the median of what those that run now have waited; not told where nobody runs, where it is closed
    or takes no job of that length."""
    if not queue.is_open:
        return Start(queue.name, walltime, None)
    longest = queue.longest_seconds
    if longest and walltime and walltime > longest:
        return Start(queue.name, walltime, None, words=f"it allows {duration(longest)}")
    if queue.free and not queue.queued:
        return Start(queue.name, walltime, now, guess=True)
    waits = [
        job.waited_seconds
        for job in jobs
        if job.queue == queue.name and job.waited_seconds is not None
    ]
    if not waits:
        return Start(queue.name, walltime, None)
    return Start(queue.name, walltime, now + statistics.median(waits), guess=True)
