"""Files to a machine and back through `Transport.run`: the same way for all transports.

Small files travel together as tar archives, large ones in slices. What a machine sends is not
trusted: names, links and kinds of files are checked before anything is written here.
"""

from __future__ import annotations

import abc
import hashlib
import io
import os
import posixpath
import stat
import tarfile
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.errors import ConnectionLost, SchedulerError
from scheduler.shell import quote
from scheduler.transport import Completed, Copied
from scheduler.transports import slices
from scheduler.transports.slices import FarFile, Run, cannot_write, fetch_file, send_file, time_left
from scheduler.transports.unpacking import NotAskedFor, safe_member, unpack

# Unpacked beside the destination and moved there in one rename, so that a cut leaves nothing half
# done under the real name. An existing directory is added to.
_UNPACK = """
umask 022
mkdir -p PARENT && cd PARENT && mkdir -p NEW && tar -xf - -C NEW || { rm -rf NEW; exit 94; }
"""

_MOVE = """
cd PARENT || exit 94
trap 'rm -rf NEW' EXIT
if [ -d NEW/it ] && [ -d ./NAME ]; then
  cp -R NEW/it/. ./NAME/ || exit 94
elif [ -d ./NAME ]; then
  echo "it is a directory" >&2
  exit 93
else
  mv -f NEW/it ./NAME || exit 94
fi
"""

# First the large files (size, time and name, closed by NUL; an empty record ends the list), then an
# archive of everything else for each source. Links are sent as links.
_PACK = """
ph_limit=LIMIT
set --
while IFS= read -r ph_parent && IFS= read -r ph_name; do
  if [ -e "$ph_parent/$ph_name" ] || [ -L "$ph_parent/$ph_name" ]; then
    set -- "$@" "$ph_parent" "$ph_name"
  fi
done
ph_large() {
  find "./$1" -type f -size "+$((ph_limit - 1))c" ONLY -exec sh -c '
    for f; do printf "%s %s\\\\0" "$(stat -c "%s %Y" "$f")" "${f#./}"; done' sh {} +
}
ph_small() {
  find "./$1" \\( KINDS -type f -size "-${ph_limit}c" \\) ONLY -print0 |
    tar -cf - --no-recursion --null -T -
}
ph_each() {
  ph_do=$1; shift
  while [ "$#" -gt 0 ]; do
    (cd "$1" && "$ph_do" "$2") || ph_failed=1
    shift 2
  done
}
ph_each ph_large "$@"
printf '\\0'
ph_each ph_small "$@"
exit "${ph_failed:-0}"
"""


class CopiesFiles(abc.ABC):
    """The half of a transport that needs no more than its `run`."""

    name: str

    @abc.abstractmethod
    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        """See `Transport.run`."""

    def put(self, source: Path, destination: str, *, timeout: float) -> None:
        """See `Transport.put`."""
        put(self._run, self.name, source, destination, timeout)

    def get(
        self,
        sources: Sequence[str],
        destination: Path,
        *,
        timeout: float,
        largest: int | None = None,
        only: Sequence[str] = (),
    ) -> Copied:
        """See `Transport.get`."""
        return get(self._run, self.name, sources, destination, timeout, largest, only)

    def _run(self, script: str, stdin: bytes, timeout: float) -> Completed:
        return self.run(script, stdin=stdin, timeout=timeout)


def put(run: Run, where: str, source: Path, destination: str, timeout: float) -> None:
    """Copy `source` (a file or a tree) to `destination` on the machine that `run` reaches.

    A copy that broke off goes on where it was when it is repeated. Raises StorageFull where it
    cannot be written there, SchedulerError where `source` cannot be read.
    """
    end = time.monotonic() + timeout
    parent, name = posixpath.split(destination.rstrip("/"))
    parent = parent or "/"
    if not name or name in (".", ".."):
        raise SchedulerError(f"cannot copy {source} to {destination!r}: give it a name there")
    try:
        contents = _contents(source)
        new = f".incoming.{_digest(contents)}"
        archives = _archives([each for each in contents if not each.large])
        large = [each for each in contents if each.large]
        words = {"PARENT": parent, "NEW": new, "NAME": name}
        for number, archive in enumerate(archives):
            last = number == len(archives) - 1 and not large
            script = slices.fill(_UNPACK + (_MOVE if last else ""), **words)
            done = run(script, archive, time_left(end, where))
            if done.code != 0:
                raise cannot_write(where, destination, done)
        for each in large:
            send_file(run, where, each.path, f"{parent}/{new}/{each.name}", end)
        if large:
            done = run(slices.fill(_MOVE, **words), b"", time_left(end, where))
            if done.code != 0:
                raise cannot_write(where, destination, done)
    except OSError as error:
        raise SchedulerError(f"cannot read {error.filename or source}: {error.strerror}") from error


@dataclass(frozen=True)
class _Content:
    """One file or directory to send; its name at the far side begins with ``it``."""

    path: Path
    name: str
    size: int
    changed: int
    large: bool


def _contents(source: Path) -> list[_Content]:
    """`source` and everything below it, links not followed (but for `source` itself)."""
    found = [_content(source.resolve(strict=True), "it")]
    if found[0].path.is_dir():
        found += [
            _content(Path(root, name), posixpath.join("it", os.path.relpath(root, source), name))
            for root, directories, files in os.walk(source)
            for name in sorted((*directories, *files))
        ]
    return [replace(each, name=posixpath.normpath(each.name)) for each in found]


def _content(path: Path, name: str) -> _Content:
    status = path.lstat()
    large = stat.S_ISREG(status.st_mode) and status.st_size >= slices.SLICE_BYTES
    return _Content(path, name, status.st_size, status.st_mtime_ns, large)


def _digest(contents: Sequence[_Content]) -> str:
    text = repr([(each.name, each.size, each.changed) for each in contents])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _archives(contents: Sequence[_Content]) -> list[bytes]:
    """Tar archives of about a slice each; one at least."""
    groups: list[list[_Content]] = [[]]
    size = 0
    for each in contents:
        if size + each.size > slices.SLICE_BYTES and groups[-1]:
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += each.size
    return [_archive(group) for group in groups]


def _archive(contents: Sequence[_Content]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in contents:
            archive.add(each.path, arcname=each.name, recursive=False, filter=_anonymous)
    return stream.getvalue()


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def get(
    run: Run,
    where: str,
    sources: Sequence[str],
    destination: Path,
    timeout: float,
    largest: int | None = None,
    only: Sequence[str] = (),
) -> Copied:
    """Copy `sources` from the machine into the directory `destination`.

    Files larger than `largest` bytes are left out, and so are special files, links that lead
    outside, and what no pattern of `only` matches. Raises SchedulerError where the machine sends what was not asked for, or nothing can
    be read or written.
    """
    end = time.monotonic() + timeout
    parts = [posixpath.split(source.rstrip("/")) for source in sources]
    names = [name for _, name in parts]
    parents = {name: parent for parent, name in parts}
    if len(set(names)) != len(names) or any("\n" in source for source in sources):
        raise ValueError(f"sources of one copy need different last names, no newlines: {names}")
    rows = "".join(f"{parent or '/'}\n{name}\n" for parent, name in parts)
    limit = slices.SLICE_BYTES if largest is None else min(slices.SLICE_BYTES, largest + 1)
    done = run(_search(only, limit), rows.encode("utf-8", "surrogateescape"), time_left(end, where))
    large, packed = _split(done.stdout, where)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        if packed:
            with tarfile.open(fileobj=io.BytesIO(packed), ignore_zeros=True) as archive:
                unpack(archive, _wanted(archive, set(names), destination), destination)
        failed: SchedulerError | None = None
        for each in large:
            if largest is None or each.size <= largest:
                _check_name(each.path, set(names), destination)
                parent = parents[each.path.split("/")[0]]
                far = replace(each, path=f"{parent}/{each.path}")
                try:
                    fetch_file(run, where, far, destination / each.path, end)
                except SchedulerError as error:  # that is no reason to lose the rest
                    failed = failed or error
        if failed is not None:
            raise failed
    except NotAskedFor as error:
        raise SchedulerError(f"refused a file from {where}: {error}") from error
    except tarfile.ReadError as error:
        raise ConnectionLost(f"the copy from {where} is damaged: {error}") from error
    except OSError as error:
        raise SchedulerError(
            f"cannot write {error.filename or destination}: {error.strerror}"
        ) from error
    if done.code != 0 and not any((destination / name).exists() for name in names):
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise SchedulerError(f"cannot read {', '.join(names)} on {where}: {said}")
    made = [destination / name for name in names if (destination / name).exists()]
    return Copied(made, [e.path for e in large if largest is not None and e.size > largest])


def _search(only: Sequence[str], limit: int) -> str:
    """The script that finds and packs; a choice of files comes without links and directories."""
    script = slices.fill(_PACK, LIMIT=limit)
    if not only:
        return script.replace("KINDS", "-type d -o -type l -o").replace("ONLY", "")
    patterns = " -o ".join(f'-path "./$1/"{quote(pattern)}' for pattern in only)
    return script.replace("KINDS", "").replace("ONLY", rf"\( {patterns} \)")


def _split(output: bytes, where: str) -> tuple[list[FarFile], bytes]:
    """The list of large files, and what follows it."""
    head, end, packed = (b"\0" + output).partition(b"\0\0")
    if not end:
        raise ConnectionLost(f"the copy from {where} is damaged: no list of files")
    records = [record.decode("utf-8", "surrogateescape") for record in head.split(b"\0") if record]
    found = [record.split(" ", 2) for record in records]
    return [FarFile(name, int(size), changed) for size, changed, name in found], packed


def _check_name(name: str, names: Set[str], destination: Path) -> None:
    """Raises NotAskedFor where `name` is not below one of `names`, links here considered."""
    parts = name.split("/")
    parent = (destination / name).parent.resolve()
    if parts[0] not in names or ".." in parts or not parent.is_relative_to(destination.resolve()):
        raise NotAskedFor(f"{name!r} was not asked for")


def _wanted(
    archive: tarfile.TarFile, names: Set[str], destination: Path
) -> Iterator[tarfile.TarInfo]:
    for info in archive:
        _check_name(posixpath.normpath(info.name), names, destination)
        safe = safe_member(info, destination)
        if safe is not None:  # Jobs do link to scratch directories: no reason to lose the rest.
            yield safe
