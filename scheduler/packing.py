"""Several trials in one job: sites limit jobs, not trials, and hand out whole nodes.

The job is an ordinary one, whose command starts the trials side by side. Each trial's directory
lies in the job's, with a script of its own: lock, traps, time limit and exit code are the trial's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.job import JobRequest, JobScript, Resources
from scheduler.script import Dialect, render, rendered_text
from scheduler.settings import PackSettings

LAUNCHER = "pack.sh"
TRIAL_SCRIPT = "trial.sh"

MARGIN_SECONDS = 120
"""By which a packed job's walltime is longer than its trials': for them to end by themselves."""


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

    They ask for the same resources, which the job gets; its walltime is theirs and a margin.
    """
    files: dict[str, bytes] = {}
    scripts = []
    for member in members:
        inside = posixpath.relpath(member.directory, directory)
        for file, content in member.files.items():
            files[posixpath.join(inside, file)] = content
        script = posixpath.join(inside, TRIAL_SCRIPT)
        files[script] = render(member, _Inside(batch), root, template).encode()
        scripts.append(script)
    launcher = rendered_text(
        "templates/pack.sh.j2", members=scripts, pin=settings.pin, launch=settings.launch
    )
    files[LAUNCHER] = launcher.encode()
    resources = _with_margin(members[0].resources)
    return JobRequest(name, directory, JobScript(["sh", LAUNCHER]), resources, files)


def _with_margin(asked: Resources) -> Resources:
    if asked.walltime_seconds is None:
        return asked
    return replace(asked, walltime_seconds=asked.walltime_seconds + MARGIN_SECONDS)


@dataclass(frozen=True)
class _Inside:
    """How a trial's script is written inside a job: nobody reads directives or ends it in time."""

    outside: Dialect
    enforces_walltime: bool = False

    @property
    def job_id_variable(self) -> str:
        return self.outside.job_id_variable

    @property
    def close_descriptors(self) -> str:
        return self.outside.close_descriptors

    def directives(self, name: str, resources: Resources) -> list[str]:
        return []
