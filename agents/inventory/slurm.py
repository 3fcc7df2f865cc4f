"""What Slurm has: sinfo, scontrol, squeue, sacctmgr in one round trip, and reading them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from agents.doctor.heard import Heard
from agents.doctor.words import one_line
from agents.inventory import Gpus, Inventory, Queue, QueuedJob, counted, plain
from agents.inventory.times import moment, seconds

# Columns of a fixed width: values may hold spaces, and 22.05 has no separator for -O.
_WIDTHS = (64, 64, 32, 32, 16, 192, 192)
_COLUMNS = "NodeHost:64,PartitionName:64,StateLong:32,CPUsState:32,Memory:16,Gres:192,GresUsed:192"
_SQUEUE = "%i|%u|%T|%P|%D|%C|%l|%S|%r|%b|%V|%j"

LOOK = f"""
ph_hear clock date +%s
ph_hear me id -un
ph_hear nodes sinfo -h -a -N -O {_COLUMNS}
ph_hear queues scontrol -a -o show partition
ph_hear visible sinfo -h -o %R
ph_out=$(ph_timed env SLURM_TIME_FORMAT=%s squeue -h -a -o "$ph_nonce|{_SQUEUE}" 2>&1 < /dev/null)
ph_code=$?
[ "$ph_code" != 0 ] || ph_out=$(printf '%s\\n' "$ph_out" | sed -n "s/^$ph_nonce|//p")
ph_text jobs "$ph_code" "$ph_out"
ph_hear accounts sacctmgr -nP show assoc where user="$(id -un)" \\
  format=Account,Partition,QOS,MaxJobs,MaxSubmitJobs
"""
"""Asks for everything; after ``ph_hear`` is defined. What others wrote may hold line breaks (a job's name):
a row is what begins with the mark of this script, which they cannot know."""

_GONE = ("down", "drain", "fail", "maint", "unk", "power", "reboot", "planned", "inval", "resv")


def read(seen: Heard) -> Inventory:
    """The inventory that the answers hold."""
    me = seen["me"].text if "me" in seen else ""
    jobs = tuple(_jobs(_text(seen, "jobs"), me))
    limits = dict(_partitions(_text(seen, "queues")))
    shown = _text(seen, "visible").split()
    queues = tuple(
        replace(counted(queue, jobs), is_hidden=_is_hidden(queue, limits, shown))
        for queue in _queues(_text(seen, "nodes"), limits)
    )
    accounts, rules = _accounts(_text(seen, "accounts"))
    return Inventory("slurm", queues, jobs, accounts, rules, tuple(_missing(seen)))


def _text(seen: Heard, name: str) -> str:
    word = seen.get(name)
    return word.text if word is not None and word.code == 0 else ""


_COMMANDS = {
    "nodes": "sinfo",
    "queues": "scontrol",
    "jobs": "squeue",
    "accounts": "sacctmgr",
}


_NO_ACCOUNTING = re.compile(r"accounting.storage (plugin|is disabled)", re.IGNORECASE)
"""Not a failure: there is nothing to know."""


def _missing(seen: Heard) -> Iterator[str]:
    for name, command in _COMMANDS.items():
        word = seen.get(name)
        if word is not None and name == "accounts" and _NO_ACCOUNTING.search(word.text):
            continue
        if word is None or word.code != 0:
            why = "no answer" if word is None else "it hung" if word.hung else one_line(word.text)
            yield f"{command}: {why}"


def _partitions(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for line in text.splitlines():
        fields = dict(part.partition("=")[::2] for part in line.split() if "=" in part)
        if "PartitionName" in fields:
            yield fields["PartitionName"], fields


def _is_hidden(queue: Queue, limits: Mapping[str, Mapping[str, str]], shown: Sequence[str]) -> bool:
    """Operators are shown all: to them the partition's own word counts."""
    is_secret = limits.get(queue.name, {}).get("Hidden") == "YES"
    return is_secret or (bool(shown) and queue.name not in shown)


def _queues(text: str, limits: Mapping[str, Mapping[str, str]]) -> Iterator[Queue]:
    # A fixed width in bytes; a shorter last row has lost its blanks.
    rows = [_cut(line) for line in text.splitlines() if line.strip()]
    by_name = groupby(sorted(rows, key=lambda row: row[1]), key=lambda row: row[1])
    found = {name: list(own) for name, own in by_name}
    # Where sinfo failed, scontrol still names the partitions; of their nodes nothing is known.
    for name in dict.fromkeys([*found, *limits]):
        own, known = found.get(name, []), limits.get(name, {})
        states = [_node_state(row[2]) for row in own]
        yield Queue(
            name=name,
            # One that scontrol leaves out is none to count on; where it failed, all may be open.
            is_open=known.get("State", "" if limits else "UP") == "UP",
            is_default=known.get("Default") == "YES",
            longest_seconds=seconds(known.get("MaxTime", "")),
            nodes=len(own),
            free=states.count("free"),
            partly=states.count("partly"),
            down=states.count("down"),
            cpus=max((_number(row[3].split("/")[-1]) for row in own), default=0),
            memory_mb=max((_number(row[4]) for row in own), default=0),
            gpus=tuple(_gpus(own)),
        )


def _cut(line: str) -> list[str]:
    cells, at = [], 0
    for width in _WIDTHS:
        cells.append(line[at : at + width].strip())
        at += width
    return cells


def _node_state(word: str) -> str:
    """``free``, ``partly``, ``busy`` or ``down``; a trailing mark (``idle*``) is no answer."""
    plain = word.lower()
    if "*" in plain or any(gone in plain for gone in _GONE):
        return "down"
    return {"idle": "free", "mixed": "partly"}.get(plain.rstrip("~#!%$@^-+"), "busy")


def _gpus(rows: Sequence[Sequence[str]]) -> Iterator[Gpus]:
    total: dict[str, int] = {}
    used: dict[str, int] = {}
    down: dict[str, int] = {}
    for row in rows:
        own = list(gres(row[5]))
        for kind, count in own:
            total[kind] = total.get(kind, 0) + count
            if _node_state(row[2]) == "down":
                down[kind] = down.get(kind, 0) + count
        if _node_state(row[2]) != "down":
            for kind, count in gres(row[6]):
                known = _known(kind, [name for name, _ in own])
                used[known] = used.get(known, 0) + count
    for kind, count in total.items():
        yield Gpus(kind, count, used.get(kind, 0), down.get(kind, 0))


def _known(kind: str, kinds: Sequence[str]) -> str:
    """The kind as the node's own GRES names it: one of the two may leave the type out."""
    return kind if kind in kinds or not kinds else kinds[0]


# A type may begin with a digit (2080ti, a MIG's 1g.5gb), or be `(null)` where devices have indices and
# no type; a number that no other follows is the count.
_GRES = re.compile(r"\bgpu(?::(?:\(null\)|([^:,()=\s]+))(?=[:=]\d))?[:=](\d+)")


def gres(text: str) -> Iterator[tuple[str, int]]:
    """Kind and number of the GPUs in a text such as ``gpu:a100:4(S:0-1),gpu:2``."""
    for match in _GRES.finditer(text):
        yield match[1] or "", int(match[2])


def _jobs(text: str, me: str) -> Iterator[QueuedJob]:
    # Python knows more line breaks than squeue: in a name they break nothing.
    for line in text.split("\n"):
        cells = line.split("|", 11)
        if len(cells) != 12:
            continue
        job_id, user, state, queue, nodes, cpus, limit, start, reason, asked, submitted, name = (
            cells
        )
        yield QueuedJob(
            job_id=job_id,
            name=plain(name),
            user=plain(user),
            state=state,
            queue=queue,
            nodes=_number(nodes),
            cpus=_number(cpus),
            gpus=", ".join(f"{kind or 'gpu'} x {count}" for kind, count in gres(asked)),
            walltime_seconds=seconds(limit),
            starts_at=moment(start),
            reason="" if reason == "None" else plain(reason),
            mine=user == me,
            waited_seconds=_waited(state, submitted, start),
        )


def _waited(state: str, submitted: str, start: str) -> float | None:
    began, since = moment(start), moment(submitted)
    if state == "PENDING" or began is None or since is None:
        return None
    return max(0.0, began - since)


def _accounts(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names, limits = [], []
    for line in text.splitlines():
        cells = [*line.split("|"), "", "", "", ""][:5]
        if not cells[0]:
            continue
        names.append(cells[0])
        for what, value in (("jobs at a time", cells[3]), ("jobs submitted", cells[4])):
            if value.isdigit():
                limits.append(f"account {cells[0]}: {value} {what}")
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(limits))


def _number(text: str) -> int:
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else 0
