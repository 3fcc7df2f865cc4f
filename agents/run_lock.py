"""Who works on a run: the lock that keeps a second orchestrator away, and whether it is held."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from agents.errors import ConfigurationError, RunLocked


class RunLock:
    """An exclusive hold on a run, until `release` or the process's end, however it comes.

    Raises RunLocked with the holder's host and process number, ConfigurationError where the run is
    somebody else's, OSError where the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._card = path, _myself()
        self._stream: IO[str] = _opened(path)
        try:
            _lock(self._stream)
        except OSError as error:
            holder = _holder(self._stream)
            self._stream.close()
            raise RunLocked(
                f"{path.parent} is being worked on by process {holder.get('pid', '?')} on "
                f"{holder.get('host', '?')} since {holder.get('since', '?')}; wait for it, or stop "
                "it there (its jobs go on) and resume here"
            ) from error
        self._refuse_other_host(path)
        try:
            self._stream.seek(0)
            self._stream.truncate()
            json.dump(self._card, self._stream)
            self._stream.flush()
        except OSError as error:
            with suppress(OSError):  # closing writes once more
                self._stream.close()
            raise OSError(error.errno, error.strerror, str(path)) from error

    def _refuse_other_host(self, path: Path) -> None:
        """Some network file systems keep locks on one host only: believe the card then."""
        holder = _holder(self._stream)
        if not holder or holder.get("host") == socket.gethostname():
            return
        age = max(0.0, _now(path) - _beat(path.parent))
        if age < HEARTBEAT_TIMEOUT_SECONDS:
            self._stream.close()
            raise RunLocked(
                f"{path.parent} was worked on {age:.0f} s ago by process {holder.get('pid')} on "
                f"{holder.get('host')}; stop it there, or wait {HEARTBEAT_TIMEOUT_SECONDS} s "
                "after its last sign of life"
            )

    def check(self) -> None:
        """Raise RunLocked where the run has been taken over from this process.

        One that is stopped (Ctrl-Z) or whose machine sleeps gives no sign of life: after a while another
        host, which may not see the lock, takes it for dead and goes on with the run.
        """
        holder = self._holder_now()
        if holder == self._card:
            return
        whose = f"process {holder.get('pid')} on {holder.get('host')}" if holder else "another one"
        raise RunLocked(
            f"{self._path.parent} has been taken over by {whose}, while this process gave no sign of life "
            "(stopped, or its machine slept). This one leaves: the run and its jobs are the other's, "
            "and nothing is lost"
        )

    def _holder_now(self) -> dict[str, Any]:
        """Who holds the run by its card; of a card that cannot be read, this process."""
        try:
            # Opened again: what is open may be an old copy.
            with open(self._path, encoding="utf-8") as stream:
                return _holder(stream)
        except OSError:
            return self._card

    def release(self) -> None:
        """Let go; the card is emptied, so that nobody is taken for the holder, but if it is another's."""
        if self._stream.closed:
            return
        if self._holder_now() != self._card:
            self._stream.close()
            return
        with suppress(OSError):  # the hold ends all the same
            self._stream.seek(0)
            self._stream.truncate()
        self._stream.close()


def _opened(path: Path) -> IO[str]:
    try:
        return open(path, "a+", encoding="utf-8")
    except PermissionError as error:
        raise ConfigurationError(
            f"{path.parent}: cannot write there: {error.strerror}; whoever it belongs to can work on "
            "it, and you can look: `status`, `watch`, `explain`, `export`, `report --output FILE`"
        ) from error


LOCK_ATTEMPTS = 5
LOCK_PAUSE_SECONDS = 0.1


def _lock(stream: IO[str]) -> None:
    """Lock the file. Tried again for half a second: who only looks at a run holds it for a moment."""
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if attempt == LOCK_ATTEMPTS - 1:
                raise
            time.sleep(LOCK_PAUSE_SECONDS)


HEARTBEAT_TIMEOUT_SECONDS = 300
"""After so long without a sign of life, an orchestrator on another host is taken for dead."""


def _now(path: Path) -> float:
    """The time by the clock that stamps files there: those of the hosts that share them may differ.

    By ours where the file may not be written.
    """
    try:
        os.utime(path)
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _beat(directory: Path) -> float:
    try:
        return (directory / "progress.json").stat().st_mtime
    except OSError:
        return 0.0


def _myself() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(stream: IO[str]) -> dict[str, Any]:
    stream.seek(0)
    try:
        holder = json.loads(stream.read() or "{}")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def is_held(path: Path) -> bool:
    """Whether the lock at `path` is somebody's, here or on a host that shares the directory."""
    try:
        with open(path, encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _is_held_elsewhere(path, _holder(stream))
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _is_held_elsewhere(path: Path, holder: dict[str, Any]) -> bool:
    """Some network file systems keep locks on one host only: believe the card and the heartbeat."""
    if holder.get("host") in (None, socket.gethostname()):
        return False
    return _now(path) - _beat(path.parent) < HEARTBEAT_TIMEOUT_SECONDS
