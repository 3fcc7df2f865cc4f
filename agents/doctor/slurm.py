"""Slurm, examined: whether the controller answers, and whether it would take the job."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.doctor.check import Check, failed, ok, skipped, warning
from agents.doctor.heard import Heard, Word
from agents.doctor.prober import REQUEST, SCHEDULER
from agents.doctor.words import listed, one_line
from agents.inventory import names_of
from agents.inventory.times import seconds
from scheduler.batch.slurm import SlurmBatch
from scheduler.job import Resources
from scheduler.settings import SlurmBatchSettings

# Accounts are asked for only where there is accounting; without it every account is as good.
_LOOK = """
if ph_hear squeue squeue -h ${ph_clusters:+-M "$ph_clusters"} -u "$ph_me" -o '%i|%T'; then
  ph_hear version squeue --version
  ph_hear partitions sinfo -h ${ph_clusters:+-M "$ph_clusters"} -o '%R|%a|%l'
  ph_hear accounts sacctmgr -nP show assoc where user="$(id -un)" format=Account,Partition,QOS
fi
"""
_REHEARSE = 'ph_hear %s sbatch --test-only ${ph_clusters:+-M "$ph_clusters"} %s\n'

_CULPRITS = (
    (re.compile(r"partition", re.IGNORECASE), "queue"),
    (re.compile(r"account", re.IGNORECASE), "account"),
    (re.compile(r"time limit|TimeLimit", re.IGNORECASE), "walltime"),
    (re.compile(r"QOS|qos"), "qos"),
    (re.compile(r"node configuration|node count|processors|gres|memory|CPU", re.I), "size"),
)


class SlurmProber:
    """Implements `agents.doctor.prober.Prober`."""

    def __init__(self, settings: SlurmBatchSettings) -> None:
        self._batch = SlurmBatch(settings)

    def prelude(self) -> str:
        return self._batch.submit_shell()

    def look(self) -> str:
        return _LOOK

    def scheduler(self, seen: Heard) -> Check:
        said = seen.get("squeue")
        if said is None:
            return skipped(SCHEDULER, "not reached")
        if said.code == 127:
            return failed(
                SCHEDULER,
                "squeue was not found there",
                "set cluster.batch_system.bin_directory to the directory of Slurm's commands "
                "(`which squeue` in a login shell there)",
            )
        if said.hung:
            return failed(
                SCHEDULER, "squeue hung and was ended", "wait, and see the site's status page"
            )
        if said.code != 0:
            return failed(
                SCHEDULER,
                f"squeue failed: {one_line(said.text)}",
                "see the site's status page; a search waits until it answers",
            )
        mine = sum("|" in line for line in said.text.splitlines())
        version = seen["version"].text if "version" in seen else "Slurm"
        return ok(SCHEDULER, f"{one_line(version, 60)} answers; jobs of yours: {mine}")

    def rehearse(self, script: str, question: str) -> str:
        return _REHEARSE % (question, script)

    def request(self, seen: Heard, said: Word | None, asked: Resources) -> Check:
        if said is None or "squeue" not in seen or seen["squeue"].code != 0:
            return skipped(REQUEST, "not reached")
        words = one_line(said.text)
        if said.code == 0:
            return _taken(said.text, seen, asked)
        if said.hung:
            return warning(REQUEST, "`sbatch --test-only` hung", "the scheduler is slow; try again")
        return failed(REQUEST, f"sbatch --test-only: {words}", _remedy(words, seen, asked))


def _taken(text: str, seen: Heard, asked: Resources) -> Check:
    """A job that sbatch would take may still wait for ever: sbatch compares no limits by itself
    (EnforcePartLimits=NO is the default)."""
    found = re.search(r"to start at (\S+)(?: using .*)? in partition (\S+)", text)
    start = f", in {found[2]} at {found[1].replace('T', ' ')} (estimated)" if found else ""
    queue = asked.queue or (found[2] if found else None)
    names = names_of(queue or "")
    rows = [row for row in _rows(seen) if row[0] in names]
    if {row[0] for row in rows} != {*names}:  # sinfo does not show one of them, sbatch knows it
        return ok(REQUEST, f"Slurm would take the job{start}")
    up = [row for row in rows if row[1] == "up"]
    if rows and not up:
        return warning(
            REQUEST,
            f"the partition {queue} is {rows[0][1]}: jobs wait until it is up",
            f"set cluster.resources.queue to one of: {_partitions(seen)}",
        )
    # Of several partitions one that takes the job is enough.
    limits = [seconds(row[2]) for row in up]
    if up and all(limit is not None and (asked.walltime_seconds or 0) > limit for limit in limits):
        return failed(
            REQUEST,
            f"the partition {queue} allows {', '.join(dict.fromkeys(row[2] for row in up))}: "
            "a longer job would wait for ever",
            "lower cluster.resources.walltime to the partition's limit, or choose another: "
            f"{_partitions(seen, limits=True)}",
        )
    return ok(REQUEST, f"Slurm would take the job{start}")


def _remedy(words: str, seen: Heard, asked: Resources) -> str:
    culprits = [culprit for pattern, culprit in _CULPRITS if pattern.search(words)]
    # "Invalid account or account/partition combination" is about the account.
    culprit = "account" if "account" in culprits else next(iter(culprits), None)
    match culprit:
        case "queue":
            return f"set cluster.resources.queue to one of: {_partitions(seen)}"
        case "account":
            known = _accounts(seen)
            mine = f"one of yours: {known}" if known else "one of yours (ask the site)"
            also = f", and see whether it may use {asked.queue}" if asked.queue else ""
            return f"set cluster.resources.account to {mine}{also}"
        case "walltime":
            return (
                "lower cluster.resources.walltime to the partition's limit: "
                f"{_partitions(seen, limits=True)}"
            )
        case "qos":
            return "mend qos in cluster.resources.directives (`sacctmgr show assoc` lists yours)"
        case "size":
            return (
                "no node of the partition has that much: lower nodes, cpus, memory, gpus of "
                "cluster.resources, or mend gpu_type"
            )
        case _:
            return "mend cluster.resources, or ask the site with these words"


def _partitions(seen: Heard, *, limits: bool = False) -> str:
    rows = dict.fromkeys(
        f"{name} ({limit})" if limits else name
        for name, state, limit in _rows(seen)
        if state == "up"
    )
    return listed(list(rows)) or "(`sinfo` lists them)"


def _rows(seen: Heard) -> Iterator[tuple[str, str, str]]:
    if "partitions" not in seen or seen["partitions"].code != 0:
        return
    for line in seen["partitions"].text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 3:
            yield fields[0], fields[1], fields[2]


def _accounts(seen: Heard) -> str:
    if "accounts" not in seen or seen["accounts"].code != 0:
        return ""
    rows = (line.split("|")[0].strip() for line in seen["accounts"].text.splitlines())
    return listed(list(dict.fromkeys(name for name in rows if name)))
