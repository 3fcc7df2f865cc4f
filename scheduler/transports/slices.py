"""Large files in slices: little memory, and after a break the copy goes on where it stopped.

What has arrived lies beside the destination under a name that holds size and time of the source,
so that a changed source starts anew; size and SHA-256 are checked before the rename.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import ConnectionLost, SchedulerError, StorageFull
from scheduler.shell import home_path
from scheduler.transport import Completed

SLICE_BYTES = 16 * 1024 * 1024
"""Of one round trip; smaller files travel together."""

Run = Callable[[str, bytes, float], Completed]
"""``run(script, stdin, timeout)`` of a transport."""

_HAVE = """
mkdir -p PARENT && cd PARENT || exit 94
[ -f PART ] || : > PART || exit 94
echo "$(($(wc -c < PART)))"
"""

# Appended only where exactly what we believe is there is there: a slice whose answer was lost is
# not appended twice.
_APPEND = """
cd PARENT || exit 94
[ "$(($(wc -c < PART)))" -ne OFFSET ] || cat >> PART || exit 94
echo "$(($(wc -c < PART)))"
"""

_FINISH = """
cd PARENT || exit 94
ph_sum=SUM
command -v sha256sum > /dev/null 2>&1 && ph_sum=$(sha256sum < PART)
if [ "$(($(wc -c < PART)))" -ne SIZE ] || [ "${ph_sum%% *}" != SUM ]; then
  rm -f PART
  exit 92
fi
[ ! -d ./NAME ] || { echo "it is a directory" >&2; exit 93; }
chmod MODE PART && mv -f PART ./NAME || exit 94
"""

_READ = """
cd PARENT || exit 91
tail -c +FROM ./NAME | head -c COUNT
"""


@dataclass(frozen=True)
class FarFile:
    """A file on the machine: path, bytes, and its time of change (s, as text)."""

    path: str
    size: int
    changed: str


def time_left(end: float, where: str) -> float:
    """Seconds until `end` (monotonic). Raises ConnectionLost where there is none."""
    left = end - time.monotonic()
    if left <= 0:
        raise ConnectionLost(f"a copy to or from {where} took too long; it goes on when repeated")
    return left


def send_file(run: Run, where: str, source: Path, destination: str, end: float) -> None:
    """Copy the file `source` to `destination`, before `end` (monotonic seconds).

    Raises StorageFull where it cannot be written there, ConnectionLost where something else than
    was sent arrived: asking again sends it anew.
    """
    found = source.stat()
    parent, name = posixpath.split(destination)
    part = f".{name}.{found.st_size}-{found.st_mtime_ns}.part"
    mode = oct(found.st_mode & 0o777)[2:]

    def there(script: str, content: bytes = b"", **values: object) -> Completed:
        text = fill(script, PARENT=parent, PART=part, NAME=name, SIZE=found.st_size, **values)
        done = run(text, content, time_left(end, where))
        if done.code == 92:
            raise ConnectionLost(f"{destination} on {where} is not what was sent: it is sent anew")
        if done.code != 0:
            raise cannot_write(where, destination, done)
        return done

    have = int(there(_HAVE).stdout)
    with source.open("rb") as stream:
        while have < found.st_size:
            stream.seek(have)
            have = int(there(_APPEND, stream.read(SLICE_BYTES), OFFSET=have).stdout)
        stream.seek(0)
        there(_FINISH, MODE=mode, SUM=hashlib.file_digest(stream, "sha256").hexdigest())


def fetch_file(run: Run, where: str, source: FarFile, destination: Path, end: float) -> None:
    """Copy `source` to the local file `destination`, before `end` (monotonic seconds).

    Raises SchedulerError where it shrank meanwhile or cannot be read there.
    """
    parent, name = posixpath.split(source.path)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f".{destination.name}.{source.size}-{source.changed}.part")
    with part.open("ab") as stream:
        while (have := stream.tell()) < source.size:
            count = min(SLICE_BYTES, source.size - have)
            script = fill(_READ, PARENT=parent, NAME=name, FROM=have + 1, COUNT=count)
            done = run(script, b"", time_left(end, where))
            if len(done.stdout) != count:
                part.unlink()
                said = done.stderr.decode(errors="replace").strip()[-300:]
                raise SchedulerError(
                    f"{source.path} on {where} gave {len(done.stdout)} of {count} bytes; "
                    f"it changes or cannot be read{said and ': '}{said}"
                )
            stream.write(done.stdout)
    os.replace(part, destination)


def cannot_write(where: str, destination: str, done: Completed) -> StorageFull:
    """The error of a script that could not write `destination`."""
    said = done.stderr.decode(errors="replace").strip()[-500:]
    return StorageFull(
        f"cannot write {destination} on {where}: {said}",
        remedy=f"make room for, or access to, {posixpath.dirname(destination)} on {where}",
    )


def fill(script: str, **values: object) -> str:
    """`script` with its words in capitals replaced: numbers as they are, text quoted."""
    words = {
        name: str(value) if isinstance(value, int) else home_path(str(value))
        for name, value in values.items()
    }
    return re.sub(r"\b[A-Z]+\b", lambda found: words.get(found[0], found[0]), script)
