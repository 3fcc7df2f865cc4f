"""What PBS has: qstat -Q, pbsnodes, qstat in one round trip, and reading them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from agents.doctor.heard import Heard
from agents.doctor.words import one_line
from agents.inventory import Gpus, Inventory, Queue, QueuedJob, counted, plain
from agents.inventory.times import seconds
from scheduler.batch.pbs import BRIEF
from scheduler.batch.pbs_listing import fields_of, why_it_waits

_KEEP = (
    "Job_Name Job_Owner euser job_state Hold_Types queue comment stime etime estimated.start_time "
    "Resource_List.nodect Resource_List.ncpus Resource_List.ngpus Resource_List.walltime"
)

LOOK = f"""{BRIEF}
ph_keep='{_KEEP}'
ph_hear clock date +%s
ph_hear me id -un
ph_hear server qstat -B -f -F dsv
ph_hear queues qstat -Q -f -F dsv
ph_hear nodes pbsnodes -a -F dsv
ph_out=$(ph_timed env TZ=UTC0 qstat -f -F dsv 2>&1 < /dev/null)
ph_code=$?
case $ph_code in
  0) ph_out=$(printf '%s\\n' "$ph_out" | ph_brief) ;;
  *) ph_out=$(printf '%s\\n' "$ph_out" | grep -v '^Job Id: ' | tail -n 5) ;;
esac
ph_text jobs "$ph_code" "$ph_out"
ph_past=-x
ph_own=$(ph_timed qselect -x -u "$(id -un)" 2> /dev/null < /dev/null)
if [ -z "$ph_own" ]; then
  ph_past=
  ph_own=$(ph_timed qselect -u "$(id -un)" 2> /dev/null < /dev/null)
fi
ph_own=$(printf '%s\\n' "$ph_own" | tail -n 20)
if [ -n "$ph_own" ]; then
  ph_keep=Account_Name
  ph_text accounts 0 "$(ph_timed qstat $ph_past -f -F dsv $ph_own 2> /dev/null < /dev/null | ph_brief)"
fi
"""
"""Asks for everything; after ``ph_hear`` is defined. qstat writes times by its own clock, without a zone: the
cluster may have another one than this machine, and its hours may come twice in a year."""

_DOWN = ("down", "offline", "unknown", "stale", "maintenance", "sleep", "provision", "wait")
Row = Mapping[str, str]


def read(seen: Heard) -> Inventory:
    """The inventory that the answers hold."""
    me = _text(seen, "me")
    jobs = tuple(_jobs(_text(seen, "jobs"), me))
    nodes = list(_rows(_text(seen, "nodes"), "Name"))
    server = next(_rows(_text(seen, "server"), "Server"), {})
    rows = list(_rows(_text(seen, "queues"), "Queue"))
    queues = tuple(
        counted(_queue(row, nodes, server.get("default_queue", "")), jobs) for row in rows
    )
    limits = list(_limits("server", server))
    for row in rows:
        limits += _limits(f"queue {row['Queue']}", row)
    return Inventory("pbs", queues, jobs, _accounts(seen), tuple(limits), tuple(_missing(seen)))


def _limits(whose: str, row: Row) -> Iterator[str]:
    for key, value in row.items():
        if _LIMIT.fullmatch(key):
            yield f"{whose}: {key} {value}"


_LIMIT = re.compile(r"max_(run|queued)(_res\.\w+)?|queued_jobs_threshold(_res\.\w+)?")
"""Hard limits on jobs, of a server or a queue."""


def _text(seen: Heard, name: str) -> str:
    word = seen.get(name)
    return word.text if word is not None and word.code == 0 else ""


def _accounts(seen: Heard) -> tuple[str, ...]:
    """Those that paid for my last jobs, the newest first: PBS has no list of whose I may use."""
    rows = list(_rows(_text(seen, "accounts"), "Job Id"))
    newest_first = [row["Account_Name"] for row in reversed(rows) if row.get("Account_Name")]
    return tuple(dict.fromkeys(newest_first))


def _missing(seen: Heard) -> Iterator[str]:
    for name, command in (("queues", "qstat -Q"), ("nodes", "pbsnodes"), ("jobs", "qstat")):
        word = seen.get(name)
        if word is None or word.code != 0:
            why = "no answer" if word is None else "it hung" if word.hung else one_line(word.text)
            yield f"{command}: {why}"


def _rows(text: str, key: str) -> Iterator[Row]:
    """Rows of ``-F dsv``; the first field names the thing (``Queue: workq``, ``Name=n1``)."""
    # qstat writes a line break in a value as backslash and n; those that only Python knows break no line.
    for line in text.split("\n"):
        head, *rest = fields_of(line)
        match = re.fullmatch(rf"{key}\s*[:=]\s*(\S+)", head)
        if match:
            yield {
                key: match[1],
                **dict(part.partition("=")[::2] for part in rest if "=" in part),
            }


def _queue(row: Row, nodes: Sequence[Row], default: str) -> Queue:
    is_route = row.get("queue_type") == "Route"
    own = [] if is_route else _nodes_of(row, nodes)
    states = [_node_state(node) for node in own]
    return Queue(
        name=row["Queue"],
        is_open=row.get("enabled") == "True" and row.get("started") == "True",
        by_route_only=row.get("from_route_only") == "True",
        leads_to=destinations(row) if is_route else None,
        is_default=row["Queue"] == default,
        longest_seconds=seconds(row.get("resources_max.walltime", "")),
        fewest_nodes=_number(row, "resources_min.nodect") or None,
        most_nodes=_number(row, "resources_max.nodect") or None,
        nodes=len(own),
        free=states.count("free"),
        partly=states.count("partly"),
        down=states.count("down"),
        cpus=max((_number(node, "resources_available.ncpus") for node in own), default=0),
        memory_mb=max((_memory(node) for node in own), default=0),
        gpus=tuple(_gpus(own)),
    )


def destinations(queue: Row) -> tuple[str, ...]:
    """Where a route leads to; on another server (``queue@server``) too."""
    told = queue.get("route_destinations", "").split(",")
    return tuple(name for one in told if (name := one.partition("@")[0].strip()))


def _nodes_of(queue: Row, nodes: Sequence[Row]) -> list[Row]:
    """The nodes that jobs of the queue may run on: its own, or those that none has for itself, and of
    these the ones with what each chunk of its jobs asks for (``default_chunk.debug=True``)."""
    free_for_it = [node for node in nodes if node.get("queue", queue["Queue"]) == queue["Queue"]]
    wanted = [
        (f"resources_available.{key.removeprefix('default_chunk.')}", value)
        for key, value in queue.items()
        if key.startswith("default_chunk.") and not _AMOUNT.fullmatch(value)
    ]
    # What no node has is no property of nodes (a file system, a licence): it chooses none.
    wanted = [(key, value) for key, value in wanted if any(key in node for node in nodes)]
    return [
        node
        for node in free_for_it
        if all(value in re.split(r'[,"]', node.get(key, "")) for key, value in wanted)
    ]


_AMOUNT = re.compile(r"\d+(\.\d+)?([kmgtp]?[bw])?", re.IGNORECASE)
"""Of cores, memory: what a job takes of a node, not what the node is."""


def _node_state(node: Row) -> str:
    state = node.get("state", "")
    if any(word in state for word in _DOWN):
        return "down"
    if "free" not in state:
        return "busy"
    return "partly" if _number(node, "resources_assigned.ncpus") else "free"


def _gpus(nodes: Sequence[Row]) -> Iterator[Gpus]:
    kinds: dict[str, list[int]] = {}
    for node in nodes:
        total = _number(node, "resources_available.ngpus")
        if total:
            kind = node.get(
                "resources_available.gputype", node.get("resources_available.gpu_type", "")
            )
            down = total if _node_state(node) == "down" else 0
            used = 0 if down else _number(node, "resources_assigned.ngpus")
            sums = kinds.setdefault(kind, [0, 0, 0])
            kinds[kind] = [sums[0] + total, sums[1] + used, sums[2] + down]
    for kind, (total, used, down) in kinds.items():
        yield Gpus(kind, total, used, down)


def _jobs(text: str, me: str) -> Iterator[QueuedJob]:
    for row in _rows(text, "Job Id"):
        user = row.get("euser") or row.get("Job_Owner", "").partition("@")[0]
        gpus = _number(row, "Resource_List.ngpus")
        running = row.get("job_state") in ("R", "E")
        yield QueuedJob(
            job_id=row["Job Id"],
            name=plain(row.get("Job_Name", "")),
            user=plain(user),
            state=row.get("job_state", ""),
            queue=row.get("queue", ""),
            nodes=_number(row, "Resource_List.nodect"),
            cpus=_number(row, "Resource_List.ncpus"),
            gpus=f"gpu x {gpus}" if gpus else "",
            walltime_seconds=seconds(row.get("Resource_List.walltime", "")),
            starts_at=_moment(row.get("stime" if running else "estimated.start_time", "")),
            reason="" if running else plain(why_it_waits(row.get("job_state", ""), row)),
            mine=user == me,
            waited_seconds=_waited(row) if running else None,
        )


def _waited(row: Row) -> float | None:
    began, eligible = (_moment(row.get(name, "")) for name in ("stime", "etime"))
    return None if began is None or eligible is None else max(0.0, began - eligible)


def _number(row: Row, key: str) -> int:
    digits = re.match(r"\d+", row.get(key, ""))
    return int(digits[0]) if digits else 0


def _memory(node: Row) -> int:
    match = re.fullmatch(r"(\d+)(kb|mb|gb|tb)", node.get("resources_available.mem", ""))
    if match is None:
        return 0
    return int(int(match[1]) * {"kb": 1 / 1024, "mb": 1, "gb": 1024, "tb": 1024 * 1024}[match[2]])


def _moment(text: str) -> float | None:
    """Unix time of a number or of ``Tue Nov 24 02:55:26 2026`` (UTC)."""
    if text.isdigit():
        return float(text)
    try:
        moment = datetime.strptime(text, "%a %b %d %H:%M:%S %Y")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()
