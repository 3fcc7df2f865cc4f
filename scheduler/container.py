"""A training command becomes one that runs in a container. Pure."""

from __future__ import annotations

import re

from scheduler.errors import SchedulerError
from scheduler.job import Container, JobScript

# A person's lines are written for bash as a rule; the `sh` of an Ubuntu image is another shell.
_BASH_OR_SH = 'exec "$(command -v bash || echo sh)" -c "$@"'

_GPU_FLAGS = {"nvidia": "--nv", "amd": "--rocm"}


def contained(script: JobScript, directory: str) -> list[str]:
    """The command to run, as words: the script's own, or wrapped in its container.

    The job's directory and the working directory are there inside under their own names.
    """
    container = script.container
    command = list(script.command)
    if container is None:
        return command
    if container.before:
        lines = "\n".join([*container.before, 'exec "$@"'])
        command = ["/bin/sh", "-c", _BASH_OR_SH, "sh", lines, "sh", *command]
    return [container.runtime, "exec", *_options(container, script, directory), container.image,
            *command]  # fmt: skip


def _options(container: Container, script: JobScript, directory: str) -> list[str]:
    working = script.working_directory or directory
    for path in (directory, working):
        if re.search("[:,]", path):
            raise SchedulerError(
                f"{path!r} cannot be seen in the container: {container.runtime} takes a colon or a "
                "comma in a path for the end of it; choose a directory without"
            )
    binds = dict.fromkeys([directory, working, *container.binds])
    options = [_GPU_FLAGS[container.gpu]] if container.gpu else []
    for bind in binds:
        options += ["--bind", bind]
    for overlay in container.overlays:
        options += ["--overlay", overlay]
    return [*options, "--pwd", working, *container.options]
