"""The local batch system, examined: the few programs that it needs."""

from __future__ import annotations

from agents.doctor.check import Check, failed, ok, skipped
from agents.doctor.heard import Heard, Word
from agents.doctor.prober import REQUEST, SCHEDULER
from scheduler.job import Resources
from scheduler.settings import LocalBatchSettings

_PROGRAMS = ("flock", "setsid", "timeout")


class LocalProber:
    """Implements `agents.doctor.prober.Prober`."""

    def __init__(self, settings: LocalBatchSettings) -> None:
        self._slots = settings.slots

    def prelude(self) -> str:
        return ""

    def look(self) -> str:
        return "".join(f"ph_hear {name} sh -c 'command -v {name}'\n" for name in _PROGRAMS)

    def scheduler(self, seen: Heard) -> Check:
        missing = [name for name in _PROGRAMS if name not in seen or seen[name].code != 0]
        if missing:
            return failed(
                SCHEDULER,
                f"the local batch system needs {', '.join(missing)}, which the machine lacks",
                "install util-linux and coreutils there",
            )
        return ok(SCHEDULER, f"none: child processes, {self._slots} at a time")

    def rehearse(self, script: str, question: str) -> str:
        return ""

    def request(self, seen: Heard, said: Word | None, asked: Resources) -> Check:
        return skipped(REQUEST, "the local batch system has neither")
