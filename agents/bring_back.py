"""Logs, metrics and chosen checkpoints of ended jobs come back to the run directory on this side."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path

from agents.trial import Job
from scheduler.cluster import Cluster
from scheduler.job import Observation
from scheduler.settings import BringBackSettings
from training.contract import RESULTS_FILE, write_atomically

COPY_SECONDS = 1800.0
"""Time limit of one attempt to copy; the next goes on where it broke off."""
MEBIBYTE = 1024 * 1024


def keep_files(job: Job, seen: Observation, directory: Path) -> None:
    """Write what a poll brought of a job that ended below the run's `directory` on this side."""
    place = directory / job.directory
    place.mkdir(parents=True, exist_ok=True)
    if seen.result is not None:
        write_atomically(place / RESULTS_FILE, seen.result)
    if seen.stderr_tail:
        write_atomically(place / "job.err", seen.stderr_tail.encode())


def bring_back(
    cluster: Cluster, settings: BringBackSettings, jobs: Sequence[Job], directory: Path
) -> list[str]:
    """Copy what `settings` choose of the `jobs` below `directory`, at the same places as there.

    One round trip, and one for each slice of a large file; jobs that share one allocation lie in a
    directory of their own and take one more. Returns the names of files that were too large.
    Raises scheduler.errors.Away where the connection fails, SchedulerError where files cannot be
    read there or written here.
    """
    left: list[str] = []
    if not settings.files:
        return left
    parents: dict[str, list[str]] = {}
    for job in jobs:
        parents.setdefault(posixpath.dirname(job.directory), []).append(job.directory)
    for parent, places in parents.items():
        copied = cluster.transport.get(
            [f"{cluster.root}/{place}" for place in places],
            directory / parent,
            timeout=COPY_SECONDS,
            largest=settings.largest * MEBIBYTE,
            only=settings.files,
        )
        left += [posixpath.join(parent, name) for name in copied.too_large]
    return left
