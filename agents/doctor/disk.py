"""The orchestrator's own disk: where run directories, ledgers and reports are written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from agents.doctor.check import Check, failed, ok, warning
from agents.proposers.endpoint import within
from agents.words import size_text

LOW_BYTES = 1024**3
"""Less free space than this is worth a warning: a long run writes some hundred megabytes."""
SECONDS = 20.0
"""A network file system that answers no sooner counts as hung."""

_NAME = "local disk"


def local_disk(base: Path) -> Check:
    """Whether runs can be written below `base` (absolute), locked, and for how long there is room."""
    try:
        return within(SECONDS, lambda: _examined(base))
    except TimeoutError:
        return failed(
            _NAME,
            f"{base} did not answer within {SECONDS:g} s",
            "see whether its file system is mounted, or set directories.local_base to another one",
        )


def _examined(base: Path) -> Check:
    near = next(path for path in (base, *base.parents) if os.path.lexists(path))
    try:
        _try_out(near)
        free = shutil.disk_usage(near).free
    except OSError as error:
        return failed(
            _NAME,
            f"cannot write to {near}: {error.strerror}",
            "set directories.local_base to a directory that you can write",
        )
    seen = f"{base}: writable, {size_text(free)} free"
    if free < LOW_BYTES:
        return warning(_NAME, seen, "make room, or set directories.local_base to another disk")
    return ok(_NAME, seen)


def _try_out(directory: Path) -> None:
    """Write, rename and lock a file, as a run does. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix=".pilothouse-doctor.", dir=directory) as name:
        path = Path(name) / "try"
        with path.open("w") as stream:
            stream.write("x")
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_UN)
        path.rename(path.with_name("renamed"))
