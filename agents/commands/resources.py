"""``resources`` and ``queue``: what the cluster has, when a job of ours would start, who waits."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.config import LoadedConfig
from agents.errors import ConfigurationError, LedgerError
from agents.inventory import Inventory, Queue, QueuedJob, Start
from agents.inventory.advice import advice, wait_text
from agents.report.numbers import duration
from agents.words import count
from scheduler.errors import Away
from scheduler.job import Resources
from training.contract import PilothouseError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from scheduler.transport import Transport

MOST_JOBS = 60
"""Rows of ``queue``; all of mine come first."""


class ClusterAway(PilothouseError):
    """The cluster did not answer. The message says what to type."""


@contextmanager
def reached(loaded: LoadedConfig) -> Iterator[Transport]:
    """The way to the configuration's cluster.

    Raises ConfigurationError where there is no scheduler to ask, ClusterAway.
    """
    from agents.search import connect_command
    from scheduler.transports import open_transport

    cluster = loaded.settings.cluster
    if cluster.batch_system.kind == "local":
        raise ConfigurationError(
            f"{loaded.path}: cluster.batch_system.kind is local: there is no scheduler to ask; name "
            "slurm or pbs, or see `nproc` and `free`"
        )
    transport = open_transport(cluster.transport, connect=connect_command(loaded))
    try:
        yield transport
    except Away as error:
        remedy = f"; to go on: {error.remedy}" if error.remedy else ""
        raise ClusterAway(f"{error}{remedy}") from error
    finally:
        transport.close()


def look(loaded: LoadedConfig, with_starts: bool) -> tuple[Inventory, Resources]:
    """One look at the configuration's cluster, and what a trial of it asks for.

    Raises ConfigurationError where there is no scheduler to ask, ClusterAway.
    """
    from agents.inventory.survey import survey
    from scheduler.resources import resources_for

    cluster = loaded.settings.cluster
    asked = resources_for(cluster, {})
    with reached(loaded) as transport:
        inventory = survey(transport, cluster.batch_system, asked if with_starts else None)
    if inventory.silence:
        raise ClusterAway(
            f"{inventory.batch} on {transport.name} does not answer: {inventory.silence}; see the "
            f"site's status page, or `python -m agents.run doctor --config {loaded.path}`"
        )
    return inventory, asked


def resources(loaded: LoadedConfig, as_json: bool) -> None:
    """Print what the cluster has, when this configuration's request would start, and advice."""
    inventory, asked = look(loaded, with_starts=True)
    now = time.time()
    said = advice(inventory, asked, _devices(loaded), now)
    if as_json:
        document = {**asdict(inventory), "request": asdict(asked), "advice": said}
        del document["jobs"]
        document["starts"] = [_document(start) for start in inventory.starts]
        document["my_jobs"] = [_document(job) for job in inventory.jobs if job.mine]
        print(json.dumps(document, indent=2))
        return
    console = _console()
    console.print(_queue_table(inventory, console.width))
    mine = [job for job in inventory.jobs if job.mine]
    waiting = sum(job.waits for job in mine)
    console.print(f"my jobs: {len(mine) - waiting} running, {waiting} waiting", markup=False)
    for line in inventory.limits:
        console.print(f"limit: {line}", markup=False)
    for start in inventory.starts:
        when = _start_text(start, now)
        length = duration(start.walltime_seconds) if start.walltime_seconds else "no limit"
        console.print(f"a job of {length} in {start.queue}: {when}", markup=False)
    for line in said:
        console.print(f"→ {line}", markup=False, style="bold")
    for line in inventory.missing:
        console.print(f"not known: {line}", markup=False, style="yellow")


def _document(one: QueuedJob | Start) -> dict[str, Any]:
    """For scripts; a time as all other documents write it."""
    at = one.starts_at
    text = None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return {**asdict(one), "starts_at": text}


def _start_text(start: Start, now: float) -> str:
    if start.starts_at is None and start.words:
        return start.words
    if not start.guess:
        return wait_text(start, now)
    why = f"; {start.words}" if start.words else ""
    return f"{wait_text(start, now)} (a guess{why})"


def queue(loaded: LoadedConfig, as_json: bool, everybody: bool) -> None:
    """Print the jobs that wait and run: what they need, when they may start."""
    inventory, _ = look(loaded, with_starts=False)
    jobs = sorted(
        (job for job in inventory.jobs if everybody or job.mine),
        key=lambda job: (not job.mine, not job.waits, job.starts_at or float("inf")),
    )
    if as_json:
        print(json.dumps([_document(job) for job in jobs], indent=2))
        return
    console = _console()
    if not jobs:
        console.print("no jobs" if everybody else "no jobs of mine; --all shows everybody's")
    else:
        console.print(_job_table(jobs[:MOST_JOBS], console.width))
    if len(jobs) > MOST_JOBS:
        console.print(f"and {len(jobs) - MOST_JOBS} more; --json lists all")
    for line in inventory.missing:
        console.print(f"not known: {line}", markup=False, style="yellow")


def _devices(loaded: LoadedConfig) -> list[str]:
    """Names of the devices that trials of this experiment have run on, newest run first found."""
    from agents.report.reading import read_run
    from agents.workspace import runs

    settings = loaded.settings
    own = [run for run in runs(Path(settings.directories.local_base)) if
           run.experiment == settings.experiment.id]  # fmt: skip
    for run in reversed(own):
        try:
            trials = read_run(run.directory).view.trials
        except (ConfigurationError, LedgerError):
            continue
        named = [
            str(t.environment["device_name"]) for t in trials if "device_name" in t.environment
        ]
        if named:
            return named
    return []


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _queue_table(inventory: Inventory, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table("queue", "longest", "nodes free / partly / busy / down", "GPUs free of",
                  "cores", "memory", "waiting", "running")  # fmt: skip
    for each in inventory.queues:
        table.add_row(
            _name(each),
            duration(each.longest_seconds) if each.longest_seconds else "-",
            *_room_cells(each),
            str(each.queued),
            str(each.running),
        )
    return table if _fits(table, width) else Text("\n".join(_queue_lines(inventory.queues)))


def _room_cells(queue: Queue) -> tuple[str, str, str, str]:
    if queue.is_route:
        return _way(queue), "-", "-", "-"
    nodes = f"{queue.free} / {queue.partly} / {queue.busy} / {queue.down}"
    memory = f"{queue.memory_mb / 1024:.0f} GiB"
    return nodes, _gpu_text(queue) or "-", str(queue.cpus), memory


def _way(queue: Queue) -> str:
    return f"leads to {', '.join(queue.leads_to or ()) or 'other queues'}"


def _fits(table: Table, width: int) -> bool:
    """Whether no word of it has to be broken or cut off; from then on none is."""
    from rich.cells import cell_len
    from rich.console import Console

    for column in table.columns:
        words = " ".join([str(column.header), *map(str, column.cells)]).split()
        column.min_width = max(map(len, words))
    drawn = io.StringIO()
    Console(width=width, file=drawn).print(table, crop=False)
    return all(cell_len(line) <= width for line in drawn.getvalue().splitlines())


def _queue_lines(queues: Sequence[Queue]) -> Iterator[str]:
    for each in queues:
        yield _name(each)
        yield from _room_lines(each)
        if each.gpus:
            yield f"  GPUs free: {_gpu_text(each)}"
        yield f"  jobs: {each.queued} waiting, {each.running} running"


def _room_lines(queue: Queue) -> Iterator[str]:
    if queue.is_route:
        yield f"  {_way(queue)}"
        return
    longest = duration(queue.longest_seconds) if queue.longest_seconds else "not limited"
    memory = f"{queue.memory_mb / 1024:.0f} GiB"
    yield f"  longest job: {longest}; a node: {count(queue.cpus, 'core')}, {memory}"
    yield f"  nodes: {queue.free} free, {queue.partly} partly, {queue.busy} busy, {queue.down} down"


def _name(queue: Queue) -> str:
    marks = ["default"] * queue.is_default + ["closed"] * (not queue.is_open)
    marks += ["hidden"] * queue.is_hidden + ["by a route alone"] * queue.by_route_only
    return f"{queue.name} ({', '.join(marks)})" if marks else queue.name


def _gpu_text(queue: Queue) -> str:
    return ", ".join(f"{gpus.free} of {gpus.total} {gpus.kind}".rstrip() for gpus in queue.gpus)


def _job_table(jobs: Sequence[QueuedJob], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table("job", "name", "user", "state", "queue", "needs", "walltime", "starts", "why")
    for job in jobs:
        cells = [
            f"{_mark(job)}{job.job_id}",
            job.name,
            job.user,
            job.state,
            job.queue,
            _needs(job),
            duration(job.walltime_seconds) if job.walltime_seconds else "-",
            _when(job),
            job.reason,
        ]
        table.add_row(*map(Text, cells), style="bold" if job.mine else None)
    if _fits(table, width):
        return table
    lines = Text()
    for job in jobs:
        lines.append("\n" if lines else "")
        lines.append("\n".join(job_lines(job)), style="bold" if job.mine else None)
    return lines


def job_lines(job: QueuedJob) -> Iterator[str]:
    """A job for a person, in lines of a narrow screen."""
    yield f"{_mark(job)}{job.job_id} {job.state} {job.name}"
    walltime = duration(job.walltime_seconds) if job.walltime_seconds else "no walltime"
    yield f"  {job.user} in {job.queue}"
    yield f"  needs: {_needs(job)}, {walltime}"
    when = _when(job)
    if when:
        yield f"  starts: {when}" if job.waits else f"  started: {when}"
    if job.reason:
        yield f"  why: {job.reason}"


def _needs(job: QueuedJob) -> str:
    needs = f"{count(job.nodes, 'node')}, {count(job.cpus, 'core')}"
    return f"{needs}, {job.gpus}" if job.gpus else needs


def _mark(job: QueuedJob) -> str:
    return "* " if job.mine else ""


def _when(job: QueuedJob) -> str:
    if job.starts_at is None:
        return "not known" if job.waits else ""
    return datetime.fromtimestamp(job.starts_at).strftime("%m-%d %H:%M")
