"""Logging in with a key of a file or of an agent, to a machine whose host key is known."""

from __future__ import annotations

import getpass
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from scheduler.errors import Away, ConnectionLost, HostKeyRefused, LoginNeeded, SchedulerError
from scheduler.settings import ParamikoTransportSettings

if TYPE_CHECKING:
    import paramiko
    from paramiko.auth_strategy import AuthStrategy

# Our errors say what happened; without a handler, paramiko's records would go to the screen.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

PAUSE_SECONDS = 3600.0
"""Until keys that were refused are shown again, doubled each time: homes that are not mounted and
directory services that are away refuse good keys, and many refusals lock an account."""

LONGEST_PAUSE_SECONDS = 86400.0

MAX_KEYS = 5
"""Of an agent; servers close the door after six (sshd_config(5), MaxAuthTries)."""


class KeyLogin:
    """Logs in to one machine; a refused login is repeated when the keys have changed, or seldom."""

    def __init__(
        self, settings: ParamikoTransportSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._user = settings.user or getpass.getuser()
        self._where = f"{self._user}@{settings.host}:{settings.port}"
        self._refused: object | None = None
        """The keys with which a login was refused."""
        self._refusals = 0
        """Of these keys, in a row."""
        self._not_before = 0.0
        self._clock = clock

    def log_in(self) -> paramiko.SSHClient:
        """A new connection.

        Raises LoginNeeded where keys are refused or not enough, HostKeyRefused, ConnectionLost
        where the machine cannot be reached, SchedulerError where the key cannot be read.
        """
        import paramiko

        version = self._version_of_keys()
        if version != self._refused:
            self._refusals = 0
        elif (left := self._not_before - self._clock()) > 0:
            raise LoginNeeded(
                f"{self._where} refused these keys before; they are shown again in "
                f"{math.ceil(left / 60)} minutes, or at once when they have changed",
                remedy=self.command(),
            )
        keys = self._keys()
        client = paramiko.SSHClient()
        self._load_host_keys(client)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        limit = self._settings.connect_timeout
        try:
            client.connect(
                self._settings.host,
                port=self._settings.port,
                username=self._user,
                auth_strategy=_strategy(self._user, keys),
                timeout=limit,
                banner_timeout=limit,
                auth_timeout=limit,
                channel_timeout=limit,
            )
        except BaseException as error:
            client.close()
            if isinstance(error, paramiko.AuthenticationException):
                self._refuse(version)
            if isinstance(error, (paramiko.SSHException, EOFError, OSError)):
                raise self._failure(error) from error
            raise
        self._refused, self._refusals = None, 0
        self._tune(client)
        return client

    def _refuse(self, version: object) -> None:
        self._refused = version
        pause = min(PAUSE_SECONDS * 2**self._refusals, LONGEST_PAUSE_SECONDS)
        self._not_before = self._clock() + pause
        self._refusals += 1

    def command(self) -> str:
        """The login by hand, which shows what is wrong."""
        settings = self._settings
        port = "" if settings.port == 22 else f" -p {settings.port}"
        key = f" -i {settings.key_file}" if settings.key_file else ""
        return f"ssh{port}{key} {self._user}@{settings.host}"

    def _tune(self, client: paramiko.SSHClient) -> None:
        line = client.get_transport()
        if line is None:
            raise ConnectionLost(f"{self._where} closed the connection at once")
        # Without it each small packet waits 40 ms for the acknowledgement of the one before.
        if isinstance(line.sock, socket.socket):
            line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.set_keepalive(max(1, round(self._settings.keep_alive)))

    def _load_host_keys(self, client: paramiko.SSHClient) -> None:
        path = self._settings.known_hosts.expanduser()
        try:
            client.load_host_keys(str(path))
        except FileNotFoundError:
            return  # Then every host is unknown, and is refused as such.
        except OSError as error:
            raise SchedulerError(f"cannot read {path}: {error.strerror}") from error

    def _failure(self, error: BaseException) -> Away:
        import paramiko

        settings = self._settings
        if isinstance(error, paramiko.BadHostKeyException):
            name = settings.host if settings.port == 22 else f"[{settings.host}]:{settings.port}"
            return HostKeyRefused(
                f"the host key of {self._where} is not the one in {settings.known_hosts}. If the "
                "site announced a new key, forget the old one; if not, somebody may be in between: "
                "ask the site",
                remedy=f"ssh-keygen -R '{name}' -f {settings.known_hosts}",
            )
        if isinstance(error, paramiko.AuthenticationException):
            return LoginNeeded(f"no login to {self._where}: {words(error)}", remedy=self.command())
        if "not found in known_hosts" in str(error):
            return HostKeyRefused(
                f"the host key of {self._where} is not in {settings.known_hosts}; log in once by "
                "hand and compare the fingerprint with the site's",
                remedy=self.command(),
            )
        return ConnectionLost(f"cannot reach {self._where}: {words(error)}")

    def _version_of_keys(self) -> object:
        """What tells one set of keys from another: the file's time or the agent's fingerprints."""
        if self._settings.key_file is None:
            return tuple(key.get_fingerprint() for key in self._keys())
        path = self._settings.key_file.expanduser()
        try:
            return os.stat(path).st_mtime_ns
        except OSError as error:
            raise SchedulerError(
                f"cannot read the key {path} (cluster.transport.key_file): {error.strerror}"
            ) from error

    def _keys(self) -> Sequence[paramiko.PKey]:
        import paramiko

        if self._settings.key_file is None:
            return paramiko.Agent().get_keys()[:MAX_KEYS]
        path = self._settings.key_file.expanduser()
        try:
            return [paramiko.PKey.from_path(path)]
        except (TypeError, paramiko.PasswordRequiredException) as error:
            raise LoginNeeded(
                f"{path} is protected by a passphrase: put it into an agent and leave "
                "cluster.transport.key_file out",
                remedy=f"ssh-add {path}",
            ) from error
        except (ValueError, OSError, paramiko.SSHException) as error:
            raise SchedulerError(
                f"{path} (cluster.transport.key_file) is no private key: {words(error)}"
            ) from error


def _strategy(user: str, keys: Sequence[paramiko.PKey]) -> AuthStrategy:
    """Keys only. What paramiko does by itself asks on the terminal for a second factor."""
    import paramiko
    from paramiko.auth_strategy import AuthResult, AuthSource, AuthStrategy

    class Keys(AuthStrategy):
        def get_sources(self) -> Iterator[AuthSource]:
            return iter(())  # Abstract there, and not asked: the keys are tried below.

        def authenticate(self, transport: paramiko.Transport) -> AuthResult:
            refusal = "there is no key to show (is an agent running? try ssh-add)"
            for number, key in enumerate(keys):
                try:
                    further = transport.auth_publickey(user, key)
                except paramiko.AuthenticationException as error:
                    # A broken or silent line is reported in the same words as a refusal.
                    gone = not transport.is_active() or "timeout" in str(error)
                    if gone and number == 0:
                        raise paramiko.SSHException("it broke during the login") from error
                    refusal = words(error)
                    continue
                if not further:
                    return AuthResult(strategy=self)
                refusal = (
                    f"the key is not enough, the site asks for {', '.join(further)}; "
                    "set cluster.transport.kind to ssh, where a person logs in"
                )
                break
            raise paramiko.AuthenticationException(refusal)

    return Keys(ssh_config=paramiko.SSHConfig())


def words(error: BaseException) -> str:
    """The error's text, or at least its name."""
    return str(error) or type(error).__name__
