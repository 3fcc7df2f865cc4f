"""Several trials in one job: sites limit jobs, not trials, and hand out whole nodes.

The job is an ordinary one, whose command starts the trials side by side. Each trial's directory
lies in the job's, with a script of its own: lock, traps, time limit and exit code are the trial's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.job import JobRequest, JobScript, Resources
from scheduler.resources import warning
from scheduler.script import Dialect, data_text, polite_signal, render, rendered_text
from scheduler.settings import PackSettings
from scheduler.shell import quote

LAUNCHER = "pack.sh"
TRIAL_SCRIPT = "trial.sh"

MARGIN_SECONDS = 120
"""Before the job's end its trials are asked to end, at least: at most a tenth of its walltime. Taken from
their time: the job's may be all that its queue allows."""


def packed(
    members: Sequence[JobRequest],
    name: str,
    directory: str,
    settings: PackSettings,
    batch: Dialect,
    root: str,
    template: Path | None = None,
) -> JobRequest:
    """One job, in `directory`, that runs `members`, whose directories lie in it.

    They ask for the same resources, which the job gets; of its walltime a margin is left.
    """
    files: dict[str, bytes] = {}
    starts = []
    asked = members[0].resources
    inside_asked = _inside(asked, batch)
    for slot, member in enumerate(members):
        inside = posixpath.relpath(member.directory, directory)
        for file, content in member.files.items():
            files[posixpath.join(inside, file)] = content
        script = posixpath.join(inside, TRIAL_SCRIPT)
        limited = replace(member, resources=inside_asked)
        files[script] = render(limited, _Inside(batch), root, template).encode()
        starts.append(_start(slot, script, settings))
    launcher = rendered_text(
        "templates/pack.sh.j2",
        starts=starts,
        pin=settings.pin,
        placement=data_text("templates/placement.sh"),
        polite_signal=polite_signal(settings.launch),
    )
    files[LAUNCHER] = launcher.encode()
    asked = replace(asked, warn_seconds=0)  # The trials' own limits are enough.
    if not batch.enforces_walltime:
        asked = replace(asked, walltime_seconds=None)
    return JobRequest(name, directory, JobScript(["sh", LAUNCHER]), asked, files)


def _inside(asked: Resources, batch: Dialect) -> Resources:
    """What each trial has: it is asked to end before the job does, and ends for certain before it."""
    limit = asked.walltime_seconds
    if limit is None or not batch.enforces_walltime:
        return asked
    margin = min(MARGIN_SECONDS, limit // 10)
    rest = margin // 4
    warn = max(margin, warning(asked))
    return replace(asked, walltime_seconds=limit - rest, warn_seconds=warn - rest)


@dataclass(frozen=True)
class Start:
    """How the launcher starts one trial."""

    device: int
    """Its place on its node."""
    node: int
    """Its node's place in the job."""
    words: str
    """The command line, as shell text."""


def _start(slot: int, script: str, settings: PackSettings) -> Start:
    node, device = divmod(slot, settings.per_node) if settings.per_node else (0, slot)
    words = [
        w.replace("{slot}", str(slot)).replace("{device}", str(device)) for w in settings.launch
    ]
    launch = launch_text(words)
    return Start(device, node, f"{launch} sh {quote(script)}".lstrip())


def launch_text(words: Sequence[str]) -> str:
    """The words of a launch as shell text. What is known where it runs only is a variable: ``{node}``
    is ``$node``, and ``{slot}`` and ``{device}`` likewise."""
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    text = ""
    for place, part in enumerate(re.split(r"\{(node|slot|device)\}", word)):
        if place % 2:
            text += f'"${part}"'
        elif part:
            text += quote(part)
    return text or "''"


@dataclass(frozen=True)
class _Inside:
    """How a trial's script is written inside a job: nobody reads directives or ends it in time."""

    outside: Dialect
    enforces_walltime: bool = False
    inside_a_job: bool = True

    @property
    def job_id_variable(self) -> str:
        return self.outside.job_id_variable

    @property
    def close_descriptors(self) -> str:
        return self.outside.close_descriptors

    def directives(self, name: str, resources: Resources) -> list[str]:
        return []
