"""A search that goes on when the terminal has gone: a process of its own, a log, a pid file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agents.errors import ConfigurationError

LAST_LINES = 20
"""Of the log, shown where the search does not begin."""

Began = Callable[[], None]


def in_background(search: Callable[[Began], int], log: Path, told: Callable[[int], str]) -> int:
    """Let `search` run in a process of its own, without this terminal; what it says goes to `log`.

    `search` calls what it is given once it has begun. Here that is waited for, and 0 comes back after
    a word on it (`told`, of the process's number); where it ends before, its last words and its exit
    code. In the new process this returns what `search` does.
    """
    start = _begun(log)
    hears, says = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(hears)
        _leave_terminal(log)
        return search(lambda: _say_once(says))
    os.close(says)
    with os.fdopen(hears, "rb") as pipe:
        has_begun = bool(pipe.read(1))
    if has_begun:
        print(told(child))
        return 0
    _, status = os.waitpid(child, 0)
    with log.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode(errors="replace").splitlines()
    print("\n".join(lines[-LAST_LINES:]), file=sys.stderr)
    return os.waitstatus_to_exitcode(status)


def _begun(log: Path) -> int:
    """Where in the log the words of this search begin. Told here, while the terminal listens."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except PermissionError as error:
        raise ConfigurationError(
            f"{log}: cannot write there: {error.strerror}; whoever it belongs to can go on with the run"
        ) from error
    return log.stat().st_size


def _leave_terminal(log: Path) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nowhere, 0), (words, 1), (words, 2)):
        os.dup2(source, target)
    os.close(nowhere)
    os.close(words)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _say_once(pipe: int) -> None:
    os.write(pipe, b"1")
    os.close(pipe)


@contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """The file holds this process's number as long as this lasts."""
    mine = f"{os.getpid()}\n"
    path.write_text(mine)
    try:
        yield
    finally:
        with suppress(OSError):
            if path.read_text() == mine:  # another process may have gone on with the run
                path.unlink()
