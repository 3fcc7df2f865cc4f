"""Job scripts: a request and a template become the text that a batch system runs."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scheduler.container import contained
from scheduler.errors import SchedulerError
from scheduler.job import JobRequest, Resources
from scheduler.resources import warning

if TYPE_CHECKING:
    from jinja2 import Environment, Template

KILL_AFTER_SECONDS = 30
"""Between the polite and the final signal, where the job script itself enforces the walltime and there
was no warning before it."""

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Of an environment variable."""


class Dialect(Protocol):
    """What a job script depends on in a batch system (see `scheduler.batch_system.BatchSystem`)."""

    @property
    def job_id_variable(self) -> str: ...
    @property
    def close_descriptors(self) -> str: ...
    @property
    def enforces_walltime(self) -> bool: ...
    @property
    def inside_a_job(self) -> bool: ...
    def directives(self, name: str, resources: Resources) -> list[str]: ...


def render(request: JobRequest, batch: Dialect, root: str, template: Path | None = None) -> str:
    """The job script of `request`, whose directory lies below `root` (absolute, on the cluster).

    `template` replaces ``jobs/templates/job.sh.j2``. Raises SchedulerError where a person's
    template does not parse or uses an unknown name.
    """
    for name in request.script.environment:
        if not VARIABLE_NAME.fullmatch(name):
            raise SchedulerError(f"{name!r} is no name for an environment variable")
    directory = posixpath.join(root, request.directory)
    command = contained(request.script, directory)
    limit, warn = request.resources.walltime_seconds or 0, warning(request.resources)
    from jinja2 import TemplateError

    try:
        return _load(template).render(
            name=request.name,
            directory=directory,
            directives=batch.directives(request.name, request.resources),
            job_id_variable=batch.job_id_variable,
            modules=request.script.modules,
            setup=request.script.setup,
            environment=request.script.environment,
            working_directory=request.script.working_directory or directory,
            command=command,
            polite_signal=polite_signal(command),
            # `timeout 0` sets no limit and still gives the program a process group of its own.
            time_limit=None if batch.enforces_walltime and not warn else limit - warn,
            kill_after=warn or KILL_AFTER_SECONDS,
            inside_a_job=batch.inside_a_job,
            close_descriptors=batch.close_descriptors,
        )
    except TemplateError as error:
        where = template or "jobs/templates/job.sh.j2"
        raise SchedulerError(f"the job script template {where} cannot be used: {error}") from error


def polite_signal(command: Sequence[str]) -> str:
    """The signal that asks a command to end.

    `srun` answers SIGTERM by killing all its tasks; SIGUSR1 it hands on to them (seen with 22.05). Behind
    an adapter (a program that is followed by ``--`` and another) it is no less srun.
    """
    behind = command[command.index("--") + 1 :] if "--" in command else ()
    starts = (*command[:1], *behind[:1])
    return "USR1" if any(posixpath.basename(word) == "srun" for word in starts) else "TERM"


def rendered_text(name: str, **values: object) -> str:
    """A template below ``jobs/`` with its names filled in."""
    return _compiled(data_text(name)).render(**values)


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    return environment


def _load(path: Path | None) -> Template:
    if path is None:
        return _compiled(data_text("templates/job.sh.j2"))
    try:
        return _compiled(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchedulerError(
            f"cannot read the job script template {path}: {error.strerror}; "
            "mend cluster.template or leave it out"
        ) from error


@cache
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


@cache
def data_text(name: str) -> str:
    """The text of a data file below ``jobs/``, as it was when it was first read."""
    return resources.files("jobs").joinpath(name).read_text(encoding="utf-8")
