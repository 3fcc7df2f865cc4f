"""What can only be said of the cluster's part of a configuration as a whole. Pure but for looking
whether a named file exists."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from agents.config.model import Settings
from scheduler.batch import build_batch_system
from scheduler.errors import SchedulerError
from scheduler.resources import resources_for
from scheduler.script import VARIABLE_NAME
from scheduler.settings import BatchSettings, ClusterSettings, LocalBatchSettings

Problem = tuple[str, str]
"""The key at fault, and a sentence that begins with it."""


def cluster_problems(settings: Settings) -> Iterator[Problem]:
    """Parts of the cluster's section that contradict each other, and files that are not there."""
    cluster = settings.cluster
    if cluster.transport.kind != "local" and cluster.remote_base is None:
        yield (
            "cluster.transport",
            f"cluster.remote_base is missing: with the transport {cluster.transport.kind}, name a "
            "directory on the cluster for the runs",
        )
    if cluster.remote_base is not None and not re.match(r"/|~(?:/|\Z)", cluster.remote_base):
        key = "cluster.remote_base"
        yield key, f"{key} must begin with / or ~/, and it is {cluster.remote_base!r}"
    if cluster.template is not None and not os.path.isfile(cluster.template):
        key = "cluster.template"
        yield key, f"{key}: there is no file {cluster.template}"
    for name in cluster.environment:
        if not VARIABLE_NAME.fullmatch(name):
            key = f"cluster.environment.{name}"
            yield key, f"{key}: this is no name for an environment variable"
    walltime = cluster.resources.walltime
    if walltime is not None and walltime < 1:
        key = "cluster.resources.walltime"
        yield key, f"{key} must be at least 1s, and it is {walltime:g}s"
    warn = cluster.resources.warn_before
    if walltime is not None and warn is not None and warn > walltime / 2:
        key = "cluster.resources.warn_before"
        yield (
            key,
            f"{key} must be at most half of the walltime ({walltime:g}s), and it is {warn:g}s",
        )
    yield from _slot_problems(cluster.batch_system)
    yield from _pack_problems(cluster)
    yield from _request_problems(cluster)
    poll = cluster.poll
    if poll.floor > poll.ceiling:
        key = "cluster.poll.floor"
        yield key, f"{key} ({poll.floor:g}s) is more than cluster.poll.ceiling ({poll.ceiling:g}s)"


LONGEST_PATH = 511
"""What SQLite takes for the name of a file, in bytes."""
_LONGEST_NAME = "study.db.1234567.new-journal"
"""Of what a ledger has beside it while it is made."""


def place_problems(settings: Settings) -> Iterator[Problem]:
    """A place for runs that job scripts or databases cannot name: before anything is made there."""
    key = "directories.local_base"
    base = str(settings.directories.local_base.expanduser().absolute())
    for name, path in ((key, base), ("cluster.remote_base", settings.cluster.remote_base or "")):
        if "\n" in path or "\r" in path:
            yield (
                name,
                f"{name} is {path!r}: a line break in a path is more than job scripts can name",
            )
    run = settings.directories.run_pattern.format(
        timestamp="20261231_235959", experiment=settings.experiment.id
    )
    size = len(os.fsencode(os.path.join(os.path.realpath(base), run, _LONGEST_NAME)))
    if size > LONGEST_PATH:
        yield (
            key,
            f"{key} is longer than the ledger's database can name, by {size - LONGEST_PATH} bytes (links "
            "in it are followed): choose a shorter one",
        )


def path_problems(settings: Settings) -> Iterator[Problem]:
    """Paths in which a colon or a comma would be taken for the end, or that qsub refuses."""
    cluster = settings.cluster
    if cluster.remote_base is not None:
        paths = {"cluster.remote_base": cluster.remote_base}
    else:
        base = settings.directories.local_base.expanduser().absolute()
        paths = {"directories.local_base": str(base)}
    if cluster.container is not None:
        reader = f"{cluster.container.runtime} --bind"
        if settings.training.directory is not None:
            paths["training.directory"] = str(settings.training.directory)
    elif cluster.batch_system.kind == "pbs":
        reader = "qsub -o"
    else:
        return
    for key, path in paths.items():
        if re.search("[:,]", path):
            yield (
                key,
                f"{key} is {path!r}, and {reader} takes a colon or a comma for the end of a path: "
                "choose one without",
            )
        elif reader == "qsub -o" and not (path.isascii() and path.isprintable()):
            yield (
                key,
                f"{key} is {path!r}, and {reader} takes ASCII characters alone: choose a path of such",
            )


def _request_problems(cluster: ClusterSettings) -> Iterator[Problem]:
    """What the batch system cannot be asked for, in every case that a rule makes: in the middle of a
    search it would be too late."""
    batch = build_batch_system(cluster.batch_system)
    cases: dict[str, dict[str, object]] = {"cluster.resources": {}}
    for position, override in enumerate(cluster.overrides):
        cases[f"cluster.overrides[{position}]"] = {
            name: wanted[0] if isinstance(wanted, list) else wanted
            for name, wanted in override.when.items()
        }
    said = set()
    for key, parameters in cases.items():
        try:
            batch.directives("job", resources_for(cluster, parameters))
        except SchedulerError as error:
            if str(error) not in said:
                yield key, f"{key}: {error}"
            said.add(str(error))


def _slot_problems(batch: BatchSettings) -> Iterator[Problem]:
    if not isinstance(batch, LocalBatchSettings):
        return
    if batch.per_node is None and any("{node}" in word for word in batch.launch):
        key = "cluster.batch_system.per_node"
        yield key, f"{key} is missing: launch names {{node}}, so say how many slots a node has"


def _pack_problems(cluster: ClusterSettings) -> Iterator[Problem]:
    pack, nodes = cluster.pack, cluster.resources.nodes
    if pack is None:
        return
    if pack.per_node is not None and pack.trials > pack.per_node * nodes:
        yield (
            "cluster.pack.trials",
            f"cluster.pack.trials is {pack.trials}, and {nodes} node(s) (cluster.resources.nodes) "
            f"take {pack.per_node * nodes} at {pack.per_node} a node (cluster.pack.per_node)",
        )
    if nodes > 1 and not pack.launch:
        yield (
            "cluster.pack",
            f"cluster.pack.launch is missing: without it all trials start on the first of {nodes} "
            "nodes; give per_node and launch, such as [mpiexec, -n, '1', --hosts, '{node}'], or "
            "[srun, ...]",
        )
    batch = cluster.batch_system
    if pack.pin is not None and isinstance(batch, LocalBatchSettings) and batch.pin == pack.pin:
        yield (
            "cluster.pack.pin",
            f"cluster.pack.pin and cluster.batch_system.pin are both {pack.pin}: a slot has one "
            "device, and all trials of its pack would get it; leave out cluster.pack.pin to share it, or "
            "cluster.pack, which saves no queue here",
        )
