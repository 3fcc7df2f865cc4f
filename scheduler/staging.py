"""The training code on the cluster: a snapshot for each content, made of pieces sent once.

Below the destination lie ``pieces/`` (file contents by their SHA-256, read-only) and one directory
for each snapshot, named after the digest of all its names, modes and contents. A snapshot appears
by one rename, complete, and never changes: jobs of an old experiment keep the code they began with.
Its files are hard links to the pieces where the file system has them. A site that purges its scratch
deletes files below it: whoever stages the same code again puts them back, each by one rename, while
others use it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import SchedulerError, StorageFull
from scheduler.shell import home_path
from scheduler.transport import Completed, Transport
from scheduler.transports.slices import SLICE_BYTES, send_file, time_left

IGNORED = frozenset({".git", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
"""Left out where git does not say what belongs to the code."""


@dataclass(frozen=True)
class Staged:
    """A snapshot on the cluster."""

    path: str
    """Absolute, there."""
    digest: str
    files: int
    sent: int
    """Bytes of content that had to be sent for it."""


@dataclass(frozen=True)
class Entry:
    """One file or symbolic link of a snapshot."""

    name: str
    """Below the snapshot's directory."""
    kind: str
    """``file``, ``tool`` (executable) or ``link``."""
    content: str
    """SHA-256 of the content; of a link, where it points."""
    size: int
    source: Path

    @property
    def piece(self) -> str:
        """The name of its content among the pieces; the mode belongs to the content there."""
        return f"{self.content}.{self.kind}"


# Names hold no newline. A row is piece, size, name; of a link the words are "link", and its target
# follows as `ls` shows it. One `ls` of all files compares names and sizes without opening any.
_MISSING = """
[ -d ROOT ] || mkdir -p ROOT/pieces || exit 94
LC_ALL=C; export LC_ALL
unset QUOTING_STYLE BLOCK_SIZE LS_BLOCK_SIZE
ph_rows=$(cat)
ph_lacks() {
  {
    (cd DIGEST && find . '(' -type f -o -type l ')' -exec ls -ldn {} +) 2> /dev/null
    printf '@\\n%s\\n' "$ph_rows"
  } | awk '
    $0 == "@" { wanted = 1; next }
    !wanted { kind = /^l/ ? "link" : $5; seen[kind " " substr($0, index($0, " ./") + 3)] = 1; next }
    !(substr($0, index($0, " ") + 1) in seen) { lacks = 1 }
    END { exit !lacks }'
}
ph_done() { [ -d DIGEST ] && ! ph_lacks && pwd -P && echo complete; }
(cd ROOT 2> /dev/null && ph_done) && exit 0
# One that is a colleague's is good for what is there. For the rest there is one of one's own beside it.
ph_root=ROOT
{ mkdir -p ROOT/pieces && [ -w ROOT ] && [ -w ROOT/pieces ]; } 2> /dev/null || ph_root=ROOT-$(id -u)
mkdir -p "$ph_root/pieces" && cd "$ph_root" || exit 94
ph_done && exit 0
pwd -P
printf '%s\\n' "$ph_rows" | while read -r ph_piece ph_size ph_name; do
  [ "$ph_piece" != link ] || continue
  [ -f "pieces/$ph_piece" ] && [ "$(($(wc -c < "pieces/$ph_piece")))" -eq "$ph_size" ] ||
    echo "$ph_piece"
done
"""

_TAKE = """
cd ROOT/pieces || exit 94
ph_new=$(pwd -P)/.new.$$
trap 'rm -rf "$ph_new"' EXIT
mkdir "$ph_new" && tar -xf - -C "$ph_new" && cd "$ph_new" || exit 94
for ph_piece in *; do
  if command -v sha256sum > /dev/null 2>&1; then
    ph_sum=$(sha256sum < "$ph_piece")
    [ "${ph_sum%% *}" = "${ph_piece%%.*}" ] || exit 92
  fi
  mv -f "$ph_piece" ../"$ph_piece" || exit 94
done
"""

_ASSEMBLE = """
cd ROOT || exit 94
umask 022
ph_new=$(pwd -P)/.new.$$
trap 'rm -rf "$ph_new"' EXIT
mkdir "$ph_new" && cd "$ph_new" || exit 94
while IFS= read -r ph_kind && IFS= read -r ph_content && IFS= read -r ph_name; do
  case $ph_name in */*) mkdir -p "./${ph_name%/*}" || exit 94 ;; esac
  if [ "$ph_kind" = link ]; then
    ln -s "$ph_content" "./$ph_name" || exit 94
  else
    ln "../pieces/$ph_content" "./$ph_name" 2>/dev/null ||
      cp -p "../pieces/$ph_content" "./$ph_name" || exit 94
  fi
done
cd ..
[ -d DIGEST ] || { mv .new.$$ DIGEST && [ ! -d DIGEST/.new.$$ ] || rm -rf DIGEST/.new.$$; } 2>/dev/null
[ -d DIGEST ] || exit 94
[ -d .new.$$ ] || exit 0
# What a purge took is put back; each file by a rename, for others may run it. A link that is there
# stays: a rename would follow it into its directory.
ph_snapshot=$(pwd -P)/DIGEST
cd .new.$$ && find . '(' -type f -o -type l ')' -exec sh -c 'for ph_file; do
  if [ -h "$ph_file" ]; then [ ! -h "$0/$ph_file" ]; else ! cmp -s "$ph_file" "$0/$ph_file"; fi ||
    continue
  mkdir -p "$0/${ph_file%/*}" && mv -f "$ph_file" "$0/$ph_file" || exit 1
done' "$ph_snapshot" {} + || exit 94
"""


def stage(
    transport: Transport, sources: Mapping[str, Path], destination: str, *, timeout: float
) -> Staged:
    """Put the files and trees `sources` (by their names there) into a snapshot below `destination`.

    Of a tree in a git repository, everything but what git ignores goes along, committed or not.
    Two round trips and what is new; one, where nothing is, and nothing has been purged. A copy that broke off goes on where it
    was when it is repeated. Raises SchedulerError where a source cannot be read, StorageFull where
    it cannot be written there, Away where the connection fails. Where `destination` is somebody
    else's, what is not in it goes to one beside it that is named after the user's number.
    """
    end = time.monotonic() + timeout
    entries = _sorted_entries(sources)
    digest = _digest(entries)
    run = _runner(transport)
    pieces = {entry.piece: entry for entry in entries if entry.kind != "link"}
    rows = "".join(map(_row, entries))
    content = rows.encode("utf-8", "surrogateescape")
    said = _ask(run, transport.name, destination, digest, _MISSING, content, end)
    root, *missing = said.decode(errors="replace").strip("\n").split("\n")
    staged = Staged(f"{root}/{digest}", digest, len(entries), 0)
    if missing == ["complete"]:
        return staged
    new = [pieces[piece] for piece in missing if piece in pieces]
    small = [entry for entry in new if entry.size < SLICE_BYTES]
    for group in _groups(small):
        archive = _archive(group)
        _ask(run, transport.name, root, digest, _TAKE, archive, end)
    for entry in new:
        if entry.size >= SLICE_BYTES:
            send_file(run, transport.name, entry.source, f"{root}/pieces/{entry.piece}", end)
    rows = "".join(f"{e.kind}\n{_content_row(e)}\n{e.name}\n" for e in entries)
    content = rows.encode("utf-8", "surrogateescape")
    _ask(run, transport.name, root, digest, _ASSEMBLE, content, end)
    return Staged(staged.path, digest, len(entries), sum(entry.size for entry in new))


def digest_of(sources: Mapping[str, Path]) -> str:
    """The digest that a snapshot of `sources` would have. Raises SchedulerError like `stage`."""
    return _digest(_sorted_entries(sources))


def _sorted_entries(sources: Mapping[str, Path]) -> list[Entry]:
    return sorted(_entries(sources), key=lambda entry: entry.name)


def _row(entry: Entry) -> str:
    if entry.kind == "link":
        return f"link link {entry.name} -> {entry.content}\n"
    return f"{entry.piece} {entry.size} {entry.name}\n"


def _content_row(entry: Entry) -> str:
    return entry.content if entry.kind == "link" else entry.piece


def _runner(transport: Transport) -> Callable[[str, bytes, float], Completed]:
    def run(script: str, stdin: bytes, timeout: float) -> Completed:
        return transport.run(script, stdin=stdin, timeout=timeout)

    return run


def _ask(
    run: Callable[[str, bytes, float], Completed],
    where: str,
    root: str,
    digest: str,
    script: str,
    stdin: bytes,
    end: float,
) -> bytes:
    text = script.replace("ROOT", home_path(root)).replace("DIGEST", digest)
    done = run(text, stdin, time_left(end, where))
    if done.code == 0:
        return done.stdout
    words = done.stderr.decode(errors="replace").strip()[-500:]
    if done.code == 92:
        words = "what arrived is not what was sent (its SHA-256 differs)"
    raise StorageFull(
        f"cannot put the code below {root} on {where}: {words}",
        remedy=f"make room for, or access to, {root} on {where}",
    )


def _entries(sources: Mapping[str, Path]) -> Iterator[Entry]:
    for name, path in sources.items():
        if path.is_dir():
            for file in _files(path):
                yield _entry(f"{name}/{file}", path / file)
        else:
            yield _entry(name, path)


def _entry(name: str, path: Path) -> Entry:
    parts = Path(name).parts
    if "\n" in name or ".." in parts or name.startswith("/"):
        raise SchedulerError(f"a file of that name cannot be staged: {name!r}")
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(path)
            if "\n" in target:
                raise SchedulerError(f"a link to such a name cannot be staged: {path}")
            return Entry(name, "link", target, 0, path)
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SchedulerError(f"cannot read {path} for staging: {error.strerror}") from error
    kind = "tool" if status.st_mode & stat.S_IXUSR else "file"
    return Entry(name, kind, content, status.st_size, path)


def _files(root: Path) -> list[str]:
    """Names below `root` of what belongs to the code; deleted files are left out."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run([*command, "--exclude-standard"], capture_output=True)
        names = os.fsdecode(done.stdout).split("\0") if done.returncode == 0 else []
    except FileNotFoundError:
        names = []
    found: list[str] = []
    for name in sorted({name for name in names if name and os.path.lexists(root / name)}):
        path = root / name
        if path.is_dir() and not path.is_symlink():  # A repository within the repository.
            found += [f"{name.rstrip('/')}/{below}" for below in _files(path)]
        else:
            found.append(name)
    return found or _walk(root)


def _walk(root: Path) -> list[str]:
    found = []
    for directory, directories, files in os.walk(root):
        links = [name for name in directories if Path(directory, name).is_symlink()]
        directories[:] = sorted(set(directories) - IGNORED - set(links))
        found += [os.path.relpath(Path(directory, name), root) for name in (*files, *links)]
    return sorted(found)


def _digest(entries: Sequence[Entry]) -> str:
    text = repr([(entry.name, entry.kind, entry.content) for entry in entries])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Groups of about a slice each."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.size > SLICE_BYTES:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


def _archive(entries: Sequence[Entry]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.piece)
            info.mode = 0o555 if entry.kind == "tool" else 0o444
            content = entry.source.read_bytes()
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()
