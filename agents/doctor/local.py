"""The local batch system, examined: the few programs that it needs."""

from __future__ import annotations

from agents.doctor.check import Check, failed, ok, skipped, warning
from agents.doctor.heard import Heard, Word
from agents.doctor.prober import REQUEST, SCHEDULER
from agents.doctor.words import gpus_listed
from scheduler.job import Resources
from scheduler.settings import LocalBatchSettings

_PROGRAMS = ("flock", "setsid", "timeout")


class LocalProber:
    """Implements `agents.doctor.prober.Prober`."""

    def __init__(self, settings: LocalBatchSettings) -> None:
        self._slots = settings.slots
        self._is_pinned = settings.pin is not None or bool(settings.launch)

    def prelude(self) -> str:
        return ""

    def look(self) -> str:
        needed = "".join(f"ph_hear {name} sh -c 'command -v {name}'\n" for name in _PROGRAMS)
        return f"{needed}ph_hear gpus nvidia-smi -L\n"

    def scheduler(self, seen: Heard) -> Check:
        missing = [name for name in _PROGRAMS if name not in seen or seen[name].code != 0]
        if missing:
            return failed(
                SCHEDULER,
                f"the local batch system needs {', '.join(missing)}, which the machine lacks",
                "install util-linux and coreutils there",
            )
        here = f"none: child processes, {self._slots} at a time"
        gpus = gpus_listed(seen["gpus"].text) if "gpus" in seen else 0
        if gpus > 1 and not self._is_pinned:
            return warning(
                SCHEDULER,
                f"{here}; each sees all of the {gpus} GPUs, and most programs take the first",
                f"set cluster.batch_system.pin to CUDA_VISIBLE_DEVICES, and slots to {gpus}",
            )
        return ok(SCHEDULER, here)

    def rehearse(self, script: str, question: str) -> str:
        return ""

    def request(self, seen: Heard, said: Word | None, asked: Resources) -> Check:
        return skipped(REQUEST, "the local batch system has neither")
