"""A disk on this side with no room left: recognized in whatever a library made of it, and told."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.config.model import Settings
from agents.errors import NoRoom
from agents.ledger_file import sqlite_file
from agents.words import size_text
from agents.workspace import Workspace

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""A disk, a quota or a limit that is reached: a person makes room. Any other is a defect of ours."""
_READING = ("SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ")
_WRITING = ("SQLITE_IOERR", "SQLITE_CANTOPEN")
"""How the names begin of what SQLite makes of a quota: a write that failed, or a journal that could not be
made. A disk that is broken and a directory that is closed look the same, until they are tried."""
_PROBE_BYTES = 1024 * 1024
"""More than what was undone when a transaction failed has made room for."""


@dataclass(frozen=True)
class Files:
    """Where a run writes on this side."""

    directory: Path
    """Absolute."""
    ledger: Path
    position: Path

    @classmethod
    def of(cls, workspace: Workspace, settings: Settings) -> Files:
        """Of a run with these settings."""
        ledger = sqlite_file(settings.ledger.storage or "") or workspace.study_file
        return cls(workspace.directory, ledger, workspace.graph_file)


@contextmanager
def told(files: Files, to_go_on: str) -> Iterator[None]:
    """Raise NoRoom, with the sentence `to_go_on`, where a full disk is behind what broke off."""
    try:
        yield
    except Exception as error:
        full = no_room(error, files, to_go_on)
        if full is None:
            raise
        raise full from error


def no_room(error: BaseException, files: Files, to_go_on: str) -> NoRoom | None:
    """What to raise in the place of `error`; None where no full disk is behind it."""
    if isinstance(error, NoRoom):
        return None
    found = _in_the_chain(error, files)
    return None if found is None else NoRoom(f"{sentence(*found)}. {to_go_on}")


def sentence(number: int, file: Path | None) -> str:
    """What happened, where, how much is free there, and what helps."""
    if file is None:
        return f"cannot write: {os.strerror(number)}; make room there"
    return f"{file}: cannot write: {os.strerror(number)}; {_remedy(number, file)}"


def _remedy(number: int, file: Path) -> str:
    place = next((path for path in (file, *file.parents) if path.is_dir()), Path("/"))
    if number == errno.EROFS:
        return f"the file system of {place} takes no writing: have that mended"
    if number == errno.EFBIG:
        return f"a limit on the size of files is reached in {place} (`ulimit -f`): raise it"
    if number == errno.EDQUOT:
        return f"your quota is used up in {place} (the disk has {_free(place)}): make room there"
    return f"{place} has {_free(place)}: make room there"


def _free(place: Path) -> str:
    try:
        disk = os.statvfs(place)
    except OSError:
        return "no more room"
    size = f"{size_text(disk.f_bavail * disk.f_frsize)} free"
    # A disk can have bytes and no place for a further file; some file systems do not count those.
    return f"{size} and no inode for a new file" if disk.f_files and not disk.f_favail else size


def _in_the_chain(error: BaseException, files: Files) -> tuple[int, Path] | None:
    """The number and the file of the error behind `error`, as far as the libraries tell."""
    seen: BaseException | None = error
    database = files.position
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in FULL:
            named = isinstance(seen.filename, (str, bytes))
            return seen.errno, Path(os.fsdecode(seen.filename)) if named else files.directory
        if type(seen).__module__.startswith("sqlalchemy"):
            database = files.ledger
        if isinstance(seen, sqlite3.Error):
            number = _of_sqlite(seen, database)
            return None if number is None else (number, database)
        seen = seen.__cause__ or seen.__context__
    return None


def _of_sqlite(error: sqlite3.Error, database: Path) -> int | None:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return errno.ENOSPC
    is_writing = name.startswith(_WRITING) and name not in _READING
    return _tried(database) if is_writing else None


def _tried(database: Path) -> int | None:
    """The number of the error that writing there gives now; None where it can be written."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if limit != resource.RLIM_INFINITY and database.stat().st_size + _PROBE_BYTES > limit:
            return errno.EFBIG
        with tempfile.TemporaryFile(dir=database.parent) as stream:
            stream.write(bytes(_PROBE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return error.errno if error.errno in FULL else None
    return None
