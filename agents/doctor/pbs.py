"""PBS, examined: whether the server answers, and the queue. It has no dry submission."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agents.doctor.check import Check, failed, ok, skipped, warning
from agents.doctor.heard import Heard, Word
from agents.doctor.pbs_limits import hindrance, idle, is_route, open_queues
from agents.doctor.prober import REQUEST, SCHEDULER
from agents.doctor.words import listed, one_line
from scheduler.batch.pbs import PbsBatch
from scheduler.job import Resources
from scheduler.settings import PbsBatchSettings

_LOOK = """
if ph_hear server qstat -B -f; then
  ph_hear queues qstat -Q -f
fi
"""


class PbsProber:
    """Implements `agents.doctor.prober.Prober`."""

    def __init__(self, settings: PbsBatchSettings) -> None:
        self._batch = PbsBatch(settings)

    def prelude(self) -> str:
        return self._batch.submit_shell()

    def look(self) -> str:
        return _LOOK

    def scheduler(self, seen: Heard) -> Check:
        said = seen.get("server")
        if said is None:
            return skipped(SCHEDULER, "not reached")
        if said.code == 127:
            return failed(
                SCHEDULER,
                "qstat was not found there",
                "set cluster.batch_system.bin_directory to the directory of PBS's commands "
                "(`which qstat` in a login shell there)",
            )
        if said.hung:
            return failed(
                SCHEDULER, "qstat hung and was ended", "wait, and see the site's status page"
            )
        if said.code != 0:
            return failed(
                SCHEDULER,
                f"qstat failed: {one_line(said.text)}",
                "see the site's status page; a search waits until it answers",
            )
        server = sections(said.text, "Server")
        states = [entry.get("server_state", "Active") for entry in server.values()]
        if states and states[0] not in ("Active", "Scheduling"):
            return warning(
                SCHEDULER,
                f"the PBS server {next(iter(server))} answers and is {states[0]}",
                "jobs wait until an administrator starts scheduling",
            )
        return ok(SCHEDULER, f"the PBS server {next(iter(server), '')} answers".replace("  ", " "))

    def rehearse(self, script: str, question: str) -> str:
        return ""

    def request(self, seen: Heard, said: Word | None, asked: Resources) -> Check:
        if "queues" not in seen or seen["queues"].code != 0:
            return skipped(REQUEST, "not reached")
        queues = sections(seen["queues"].text, "Queue")
        name = asked.queue or _default_queue(seen)
        if name is None:
            return failed(
                REQUEST,
                "no queue is asked for, and the server has no default",
                f"set cluster.resources.queue to one of: {open_queues(queues)}",
            )
        name = name.partition("@")[0]
        if name not in queues:
            return failed(
                REQUEST,
                f"there is no queue {name}",
                f"set cluster.resources.queue to one of: {open_queues(queues)}",
            )
        return _queue_check(name, queues, asked)


def _queue_check(name: str, queues: Mapping[str, Mapping[str, str]], asked: Resources) -> Check:
    queue = queues[name]
    why = hindrance(name, queues, asked)
    if why is not None:
        return failed(REQUEST, why.seen, why.remedy)
    if waits := idle(name, queues, asked):
        leads = "" if waits == [name] else f", which leads to {listed(waits)},"
        others = {each: entry for each, entry in queues.items() if each != name}
        return warning(
            REQUEST,
            f"the queue {name}{leads} takes jobs and starts none (started = False)",
            f"jobs wait until it is started; other queues: {open_queues(others)}",
        )
    does = "passes jobs on" if is_route(queue) else "takes and starts jobs"
    account = (
        f"; the account {asked.account} is seen by the first job alone" if asked.account else ""
    )
    return ok(REQUEST, f"the queue {name} {does}{account}")


def sections(text: str, kind: str) -> dict[str, dict[str, str]]:
    """What ``qstat -Q -f`` (kind ``Queue``) or ``qstat -B -f`` (``Server``) prints, by name.

    Lines that go on begin with a tab (qstat(1B)).
    """
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in re.sub(r"\n\t", "", text).splitlines():
        if line.startswith(f"{kind}: "):
            current = found.setdefault(line.removeprefix(f"{kind}: ").strip(), {})
        elif " = " in line:
            key, _, value = line.strip().partition(" = ")
            current[key] = value
    return found


def _default_queue(seen: Heard) -> str | None:
    for server in sections(seen["server"].text, "Server").values():
        if "default_queue" in server:
            return server["default_queue"]
    return None
