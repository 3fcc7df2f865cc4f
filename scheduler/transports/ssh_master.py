"""The master connection: opened by a person once, used by every command, and whose it is.

A site with a second factor lets only a person in. The OpenSSH client keeps such a connection open
as a *master* behind a Unix socket (ssh_config(5), ControlMaster), and sessions go through it with
no login of their own. A master that a person opened by hand or by their own configuration is used
as it is and never closed; one that `connect` opened is recorded beside its socket.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scheduler.errors import ConnectionLost, HostKeyRefused, LoginNeeded, SchedulerError
from scheduler.settings import SshTransportSettings
from scheduler.transports import ssh_client
from scheduler.transports.ssh_client import CONTROL_SECONDS, Destination, Trouble

MAX_PATH_BYTES = 90
"""Of a control path. A master first binds PATH and 17 bytes more; a socket's name has 107."""


OWN_DIRECTORY = "/tmp/pilothouse-{uid}"
"""In /tmp, since the name of a socket must be short and its directory on a local disk, and since
$XDG_RUNTIME_DIR goes away with the person's last login while a run goes on."""


class Life(enum.Enum):
    """What a master does when asked."""

    ALIVE = "answers"
    ABSENT = "is not there"
    FROZEN = "does not answer"


@dataclass(frozen=True)
class MasterStatus:
    """A master as it was found."""

    life: Life
    path: Path
    serves: Destination
    ours: bool = False
    """Opened by `Master.connect`; else it is a person's own."""
    pid: int | None = None
    since: datetime.datetime | None = None

    def __str__(self) -> str:
        if self.life is Life.ABSENT:
            return f"no master for {self.serves} (socket {self.path})"
        whose = "opened by `connect`" if self.ours else "your own"
        since = f" since {self.since:%Y-%m-%d %H:%M}" if self.since else ""
        pid = f", process {self.pid}" if self.pid else ""
        return f"master for {self.serves}, {whose}{pid}{since}, {self.life.value} ({self.path})"


class Master:
    """The master connection to the machine that `settings` name."""

    def __init__(self, settings: SshTransportSettings) -> None:
        self._settings = settings

    @cached_property
    def destination(self) -> Destination:
        """Where the connection leads; asked of ``ssh -G`` once."""
        return ssh_client.look_up(self._settings)

    @cached_property
    def path(self) -> Path:
        """The socket: the setting's, the ssh configuration's, or one of our own.

        Raises SchedulerError where it is too long to be bound or its directory is not private.
        """
        path = self.destination.control_path or _own_path(self.destination)
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise SchedulerError(
                f"the control path {path} is longer than {MAX_PATH_BYTES} bytes and cannot become "
                "a socket; set cluster.transport.control_path to a shorter one, such as "
                "/tmp/NAME-%C in a directory of your own"
            )
        return path

    def check(self, timeout: float = CONTROL_SECONDS) -> MasterStatus:
        """Ask the master on this machine; says nothing about the line behind it."""
        absent = MasterStatus(Life.ABSENT, self.path, self.destination)
        since = self._bound_at()
        if since is None:
            return absent
        done = self._control("check", timeout)
        record = self._read_record()
        if done is None:
            ours = record is not None
            return MasterStatus(Life.FROZEN, self.path, self.destination, ours, record, since)
        found = re.search(r"pid=(\d+)", done.stderr)
        if done.returncode != 0 or not found:
            return absent
        pid = int(found.group(1))
        return MasterStatus(Life.ALIVE, self.path, self.destination, pid == record, pid, since)

    def _bound_at(self) -> datetime.datetime | None:
        """When the master bound its socket; None where there is no socket."""
        try:
            return datetime.datetime.fromtimestamp(self.path.stat().st_mtime)
        except OSError:
            return None

    def connect(self) -> MasterStatus:
        """Open the master in front of a person: ssh asks on the terminal what it has to ask.

        A live master is left as it is. Raises LoginNeeded where the login was refused (once; it
        is not repeated), HostKeyRefused, ConnectionLost where the machine cannot be reached.
        """
        status = self.check()
        if status.life is Life.ALIVE:
            return status
        if status.life is Life.FROZEN:
            raise ConnectionLost(f"the {status}", remedy=self.end_frozen(status))
        self._forget()
        code, said = self._open()
        status = self.check()
        if code != 0:
            raise self._refusal(said)
        if status.life is not Life.ALIVE or status.pid is None:
            raise ConnectionLost(
                f"{self.destination} closed the connection right after the login",
                remedy=f"ssh -v {self._settings.host}",
            )
        self._record(status.pid)
        return self.check()

    def _open(self) -> tuple[int, str]:
        seconds = f"{max(1, round(self._settings.keep_alive))}"
        command = [
            *ssh_client.base_command(self._settings),
            *ssh_client.options(
                ControlMaster="auto",
                ControlPersist=f"{round(self._settings.persist)}",
                ServerAliveInterval=seconds,
                ServerAliveCountMax="3",
                ConnectTimeout=f"{max(1, round(self._settings.connect_timeout))}",
                RemoteCommand="none",
                ForwardAgent="no",
                ForwardX11="no",
                ClearAllForwardings="yes",
            ),
            *("-S", str(self.path), "-T", "-N", "-f", "--", self._settings.host),
        ]
        # Prompts go to the terminal by themselves; what ssh prints on standard error is shown at
        # once, and kept for the classification.
        client = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
        heard: list[str] = []
        listener = threading.Thread(target=_show, args=(client, heard), daemon=True)
        listener.start()
        try:
            code = client.wait()
        except BaseException:
            client.kill()
            client.wait()
            raise
        listener.join(1.0)
        return code, "".join(heard)

    def _refusal(self, said: str) -> Exception:
        words = f"{self.destination}: {ssh_client.last_words(said)}"
        trouble = ssh_client.read_trouble(said)
        if trouble is Trouble.HOST_KEY:
            name = _known_hosts_name(self.destination)
            return HostKeyRefused(
                f"the host key is not the one on record for {words}. If the site announced a new "
                f"key, forget the old one; if not, somebody may be in between: ask the site",
                remedy=f"ssh-keygen -R '{name}'",
            )
        if trouble is Trouble.UNREACHABLE:
            return ConnectionLost(f"cannot reach {words}", remedy=f"ssh {self._settings.host}")
        return LoginNeeded(f"no login to {words}", remedy=f"ssh -v {self._settings.host}")

    def disconnect(self) -> str:
        """Close the master if `connect` opened it; says in a sentence what was done."""
        status = self.check()
        if status.life is Life.ABSENT:
            self._forget()
            return str(status)
        if not status.ours:
            return f"left as it is: {status}; to close it: {self.exit_command()}"
        ended = self._control("exit", CONTROL_SECONDS) if status.life is Life.ALIVE else None
        if ended is None or ended.returncode != 0:
            self._kill(status)
        self._await_end()
        self._forget()
        return f"closed the {status}"

    def _kill(self, status: MasterStatus) -> None:
        if status.pid and _is_master(status.pid, self.path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGKILL)

    def _await_end(self) -> None:
        """Until the socket has gone (the master removes it last) or does not answer."""
        end = time.monotonic() + CONTROL_SECONDS
        while self.path.exists() and time.monotonic() < end:
            done = self._control("check", CONTROL_SECONDS)
            if done is not None and done.returncode != 0:
                return
            time.sleep(0.05)

    def end_frozen(self, status: MasterStatus) -> str:
        """The command that removes a master that answers no more."""
        if status.pid:
            return f"kill -9 {status.pid} && rm -f {self.path}"
        return f"pkill -9 -f {self.path}; rm -f {self.path}"

    def exit_command(self) -> str:
        """What a person types to close the master, whoever opened it."""
        return f"ssh -S {self.path} -O exit {self._settings.host}"

    def _control(self, verb: str, timeout: float) -> subprocess.CompletedProcess[str] | None:
        command = ssh_client.base_command(self._settings)
        control = ["-S", str(self.path), "-O", verb, "--", self._settings.host]
        return ssh_client.call([*command, *control], timeout=timeout)

    @cached_property
    def _record_path(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return own_directory() / f"{digest}.json"

    def _record(self, pid: int) -> None:
        self._record_path.write_text(json.dumps({"pid": pid, "path": str(self.path)}))

    def _read_record(self) -> int | None:
        try:
            said = json.loads(self._record_path.read_text())
        except (OSError, ValueError):
            return None
        pid = said.get("pid") if isinstance(said, dict) else None
        return pid if isinstance(pid, int) else None

    def _forget(self) -> None:
        """Remove the record, and the socket that a dead master left behind."""
        self._record_path.unlink(missing_ok=True)
        if self.destination.control_path is None:
            self.path.unlink(missing_ok=True)


def own_directory() -> Path:
    """A private directory for our sockets, the same for every process of this person."""
    directory = Path(OWN_DIRECTORY.format(uid=os.getuid()))
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise SchedulerError(
            f"{directory} is not a private directory of yours (mode 0700), so no ssh master is put "
            "there; remove it, or set cluster.transport.control_path"
        )
    return directory


def _own_path(destination: Destination) -> Path:
    return own_directory() / hashlib.sha256(str(destination).encode()).hexdigest()[:16]


def _known_hosts_name(destination: Destination) -> str:
    if destination.port == "22":
        return destination.host
    return f"[{destination.host}]:{destination.port}"


def _is_master(pid: int, path: Path) -> bool:
    """Whether process `pid` is still the client with that control path, not a later process."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(path) in command


def _show(client: subprocess.Popen[bytes], heard: list[str]) -> None:
    assert client.stderr
    for line in client.stderr:
        text = line.decode(errors="replace")
        heard.append(text)
        sys.stderr.write(text)
        sys.stderr.flush()
    client.stderr.close()
