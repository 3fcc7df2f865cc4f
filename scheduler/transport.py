"""The seam between the orchestrator and another machine: three verbs and a state."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class TransportState(enum.Enum):
    READY = "ready"
    LOGIN_NEEDED = "login needed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Completed:
    """A remote script that ran to its end: its output and its own exit code."""

    code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Copied:
    """What a copy from the machine brought."""

    paths: Sequence[Path]
    """The local paths of the sources that exist there."""
    too_large: Sequence[str] = ()
    """Names of files that stayed there because of their size."""


class Transport(Protocol):
    """Runs POSIX sh scripts on a machine and moves files there and back.

    Every verb raises `ConnectionLost` where the outcome is unknown (cut, timed out) and
    `LoginNeeded` where only a person can open the connection. None of them ever prompts, and
    none outlives its time limit.
    """

    name: str
    """For messages: ``local``, ``ssh aurora`` …"""

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `script` by one remote ``sh``, `stdin` on the script's standard input.

        The script text never passes through a command line: it may be long and hold anything.
        `timeout` is in seconds. Returns whatever the script's exit code was.
        """
        ...

    def put(self, source: Path, destination: str, *, timeout: float) -> None:
        """Copy a file or a directory tree to `destination` (absolute, parents are made)."""
        ...

    def get(
        self,
        sources: Sequence[str],
        destination: Path,
        *,
        timeout: float,
        largest: int | None = None,
        only: Sequence[str] = (),
    ) -> Copied:
        """Copy the remote files or trees into the local directory `destination`.

        What does not exist is left out, and so are files larger than `largest` bytes and links
        that lead outside; where there are patterns in `only` (as of ``find -path``, below a
        source), all files but those that match one. A copy that broke off goes on where it was
        when it is asked for again.
        """
        ...

    def state(self) -> TransportState:
        """Whether the next verb can be expected to work, asked of the outside world."""
        ...

    def remedy(self) -> str:
        """The command a person types when `state` is not ready; empty when there is none."""
        ...

    def close(self) -> None:
        """Let go of what this object opened itself (never of a person's own master)."""
        ...
