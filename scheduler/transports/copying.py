"""Files to a machine and back as tar archives through `Transport.run`: one way for all transports."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scheduler.errors import ConnectionLost, SchedulerError, StorageFull
from scheduler.shell import home_path
from scheduler.transport import Completed

Run = Callable[[str, bytes, float], Completed]
"""``run(script, stdin, timeout)`` of a transport."""

# Unpacked beside the destination and moved there in one rename, so that a cut leaves nothing half
# done under the real name. An existing directory is added to.
_PUT = """
umask 022
ph_parent=PARENT
ph_target=TARGET
mkdir -p "$ph_parent" && cd "$ph_parent" || exit 94
ph_new=.incoming.$$
trap 'rm -rf "$ph_new"' EXIT
mkdir "$ph_new" && tar -xf - -C "$ph_new" || exit 94
if [ -d "$ph_new/it" ] && [ -d "./$ph_target" ]; then
  cp -R "$ph_new/it/." "./$ph_target/" || exit 94
elif [ -d "./$ph_target" ]; then
  echo "it is a directory" >&2
  exit 93
else
  mv -f "$ph_new/it" "./$ph_target" || exit 94
fi
"""

_GET = """
set --
while IFS= read -r ph_parent && IFS= read -r ph_name; do
  if [ -e "$ph_parent/$ph_name" ] || [ -L "$ph_parent/$ph_name" ]; then
    set -- "$@" -C "$ph_parent" "./$ph_name"
  fi
done
[ "$#" -eq 0 ] || tar -cf - "$@"
"""


def put(run: Run, where: str, source: Path, destination: str, timeout: float) -> None:
    """Copy `source` (a file or a tree) to `destination` on the machine that `run` reaches.

    Raises StorageFull where it cannot be written, SchedulerError where `source` cannot be read.
    """
    parent, name = posixpath.split(destination.rstrip("/"))
    if not name or name in (".", ".."):
        raise SchedulerError(f"cannot copy {source} to {destination!r}: give it a name there")
    stream = io.BytesIO()
    try:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(source, arcname="it", filter=_anonymous)
    except OSError as error:
        raise SchedulerError(f"cannot read {source}: {error.strerror}") from error
    script = _PUT.replace("PARENT", home_path(parent or "/")).replace("TARGET", home_path(name))
    done = run(script, stream.getvalue(), timeout)
    if done.code != 0:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise StorageFull(
            f"cannot write {destination} on {where}: {said}",
            remedy=f"make room for, or access to, {parent} on {where}",
        )


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def get(
    run: Run, where: str, sources: Sequence[str], destination: Path, timeout: float
) -> list[Path]:
    """Copy `sources` from the machine into the directory `destination`; the paths made.

    Only regular files, directories and links that stay inside are taken: what a machine sends
    cannot write elsewhere.
    """
    parts = [posixpath.split(source.rstrip("/")) for source in sources]
    names = [name for _, name in parts]
    if len(set(names)) != len(names) or any("\n" in source for source in sources):
        raise ValueError(
            f"sources of one copy need different last names, without newlines: {names}"
        )
    rows = "".join(f"{parent or '/'}\n{name}\n" for parent, name in parts)
    done = run(_GET, rows.encode("utf-8", "surrogateescape"), timeout)
    if not done.stdout:
        if done.code:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise SchedulerError(f"cannot read {', '.join(names)} on {where}: {said}")
        return []
    destination.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(destination, members=_wanted(archive, set(names)), filter="data")
    except tarfile.FilterError as error:
        raise SchedulerError(f"refused a file from {where}: {error}") from error
    except tarfile.ReadError as error:
        raise ConnectionLost(f"the copy from {where} is damaged: {error}") from error
    return [destination / name for name in names if (destination / name).exists()]


def _wanted(archive: tarfile.TarFile, names: set[str]) -> Iterator[tarfile.TarInfo]:
    for info in archive:
        parts = posixpath.normpath(info.name).split("/")
        if parts[0] not in names:
            raise tarfile.FilterError(f"{info.name!r} was not asked for")
        if info.isreg() or info.isdir() or info.issym() or info.islnk():
            yield info
