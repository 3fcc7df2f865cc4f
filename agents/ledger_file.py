"""The ledger's file: made whole or not at all.

Optuna lays out an SQLite file in some thirty transactions. A process that dies between two of them
can leave a table without the index that keeps the names of studies apart, and nothing says so: the
same study is then made twice, and can never be opened again. So a new file is laid out under another
name and gets its own in one step.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def open_storage(url: str) -> BaseStorage:
    """Open an Optuna storage, laying it out where there is none. Raises what the drivers raise."""
    import optuna

    path = sqlite_file(url)
    if path is not None and not path.exists():
        _lay_out(path)
    return optuna.storages.get_storage(url)


def is_there(url: str) -> bool:
    """Whether the storage's file is there; of a storage that is no file, yes."""
    path = sqlite_file(url)
    return path is None or path.exists()


def sqlite_file(url: str) -> Path | None:
    """The file of ``sqlite:///PATH``; None for another storage."""
    found = re.fullmatch(r"sqlite:///([^?]+)", url)
    if found is None or found[1].startswith((":memory:", "file:")):
        return None
    return Path(found[1])


def _lay_out(path: Path) -> None:
    """Make an empty storage at `path`, unless another process has done it meanwhile."""
    from optuna.storages import RDBStorage

    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    try:
        with_the_usual_mode(unfinished)
        storage = RDBStorage(f"sqlite:///{unfinished}")
        storage.remove_session()
        storage.engine.dispose()
        _give_name(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def with_the_usual_mode(path: Path) -> None:
    """Make an empty file where there is none: SQLite takes it for a new database.

    Left to itself SQLite denies the group what the umask allows it, and with it whoever shall go on
    with a colleague's run.
    """
    if not path.exists():
        path.touch()


def _give_name(unfinished: Path, path: Path) -> None:
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return  # Another process was first: its file is as good.
    except OSError:  # A file system without hard links.
        if not path.exists():
            os.replace(unfinished, path)


def in_the_drivers_words(error: BaseException) -> str:
    """What the database itself said: Optuna wraps it in a sentence that guesses."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error).strip().splitlines()
    return words[0] if words else type(error).__name__
