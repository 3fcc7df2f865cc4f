"""Where a failed trial failed: the stage, by which failures are sorted and mended. Pure.

The cause says what happened; the stage, which part of the whole a person has to look at.
"""

from __future__ import annotations

import enum
import re

from scheduler.job import Cause, Failure


class Stage(enum.Enum):
    """A part of the whole that can fail."""

    ENVIRONMENT = "environment"
    DATA = "data"
    FILE_SYSTEM = "file system"
    RESOURCE = "resource"
    CONFIGURATION = "configuration"
    TRAINING = "training"
    NETWORK = "network"
    UNKNOWN = "unknown"


_BY_CAUSE = {
    Cause.OUT_OF_MEMORY: Stage.RESOURCE,
    Cause.OUT_OF_DEVICE_MEMORY: Stage.RESOURCE,
    Cause.WALLTIME: Stage.RESOURCE,
    Cause.NO_ROOM: Stage.FILE_SYSTEM,
    Cause.NODE_FAILURE: Stage.RESOURCE,
    Cause.PREEMPTED: Stage.RESOURCE,
    Cause.DIVERGED: Stage.TRAINING,
    Cause.BAD_CONFIGURATION: Stage.CONFIGURATION,
    Cause.REFUSED: Stage.CONFIGURATION,
    Cause.CANNOT_START: Stage.ENVIRONMENT,
    Cause.CANCELLED: Stage.UNKNOWN,
    Cause.LOST: Stage.UNKNOWN,
}
"""What its cause alone tells. Of the others their words do."""

_BY_WORDS = (
    (
        Stage.FILE_SYSTEM,
        re.compile(
            r"No space left on device|Disk quota exceeded|Read-only file system|Stale file handle"
            r"|Input/output error|PermissionError|Permission denied|Too many open files",
            re.IGNORECASE,
        ),
    ),
    (
        Stage.NETWORK,
        re.compile(
            r"Connection(?:Refused|Reset|Aborted)?Error|Connection (?:refused|reset|timed out)|URLError"
            r"|HTTPError|Name or service not known|Temporary failure in name resolution"
            r"|Network is unreachable|Max retries exceeded|DistNetworkError",
            re.IGNORECASE,
        ),
    ),
    (
        Stage.ENVIRONMENT,
        re.compile(
            r"No CUDA GPUs are available|CUDA driver|no kernel image is available|GLIBC(?:XX)?_"
            r"|cannot open shared object|error while loading shared libraries|command not found",
            re.IGNORECASE,
        ),
    ),
    (
        Stage.DATA,
        re.compile(
            r"FileNotFoundError|No such file or directory|UnpicklingError|BadZipFile|BadGzipFile"
            r"|UnicodeDecodeError|JSONDecodeError|EOFError|checksum|data ?set",
            re.IGNORECASE,
        ),
    ),
)
_LAST_LINES = 3
"""Of stderr: further up stand warnings and banners."""


def stage_of(failure: Failure) -> Stage:
    """Where it failed: by its cause, else by the program's last words, else in training."""
    known = _BY_CAUSE.get(failure.cause)
    if known is not None:
        return known
    last = [line for line in failure.stderr_tail.splitlines() if line.strip()][-_LAST_LINES:]
    words = "\n".join([failure.message, *last])
    return next((stage for stage, said in _BY_WORDS if said.search(words)), Stage.TRAINING)
