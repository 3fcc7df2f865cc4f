"""Tokens of one login in a file that only its owner can read, changed by one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from agents.auth.errors import LoginAway
from agents.errors import ConfigurationError


@dataclass(frozen=True)
class Tokens:
    """One login."""

    access_token: str
    expires_at: float
    """Unix time, in seconds, as of the access token."""
    refresh_token: str | None
    scope: str
    user: str
    """Whose login it is, as the login service says; empty where it does not."""
    logged_in_at: float
    """Unix time of the person's login."""


_Mark: TypeAlias = tuple[int, int]
"""A file's inode and the time of its last change, of permissions as well."""


def _mark(found: os.stat_result) -> _Mark:
    return found.st_ino, found.st_ctime_ns


def default_directory() -> Path:
    """Where logins lie: ``$XDG_CONFIG_HOME/pilothouse/globus``, by default below ``~/.config``."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "pilothouse" / "globus"


class TokenStore:
    """The file of one client's tokens. Holds the lock while a `turn` lasts."""

    def __init__(self, client_id: str, directory: Path | None = None) -> None:
        self._directory = directory or default_directory()
        self.path = self._directory / f"{client_id}.json"
        self._seen: _Mark | None = None

    @property
    def has_changed(self) -> bool:
        """Whether the file is another one, or has other permissions, than when it was last read."""
        try:
            return _mark(os.stat(self.path)) != self._seen
        except OSError:
            return self._seen is not None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else changes the tokens meanwhile: of several processes one renews them. Raises LoginAway
        where nothing can be written."""
        with self._writing():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._directory.chmod(0o700)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._writing():
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def load(self) -> Tokens | None:
        """The tokens; None where nobody has logged in. Raises ConfigurationError."""
        try:
            with open(self.path, encoding="utf-8") as stream:
                found = os.fstat(stream.fileno())
                self._seen = _mark(found)
                mode = stat.S_IMODE(found.st_mode)
                if mode & 0o077:
                    raise ConfigurationError(
                        f"{self.path} can be read by others (mode {mode:o}): `chmod 600` it if it "
                        "is yours alone, else log out and in again (`auth logout`, `auth login`)"
                    )
                return Tokens(**json.load(stream))
        except FileNotFoundError:
            self._seen = None
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{self.path} is not a login of Pilothouse ({type(error).__name__}): delete it and "
                "log in again"
            ) from error

    def save(self, tokens: Tokens) -> None:
        """Replace the tokens, in one rename. Raises LoginAway where that cannot be written."""
        new = self.path.with_suffix(f".{os.getpid()}.new")
        with self._writing():
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "w", encoding="utf-8") as stream:
                json.dump(asdict(tokens), stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(new, self.path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LoginAway(
                f"the login cannot be kept in {self._directory} ({error.strerror}): make room or "
                "set XDG_CONFIG_HOME to a directory that you can write"
            ) from error

    def remove(self) -> None:
        """Forget the tokens."""
        self.path.unlink(missing_ok=True)
