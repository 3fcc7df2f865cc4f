"""The OpenSSH client: its command lines, what it makes of the person's configuration, its words."""

from __future__ import annotations

import enum
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import ConnectionLost, SchedulerError
from scheduler.settings import SshTransportSettings
from scheduler.transports.child import told_when_overloaded

CONTROL_SECONDS = 10.0
"""Time limit of calls that only concern this machine (``ssh -G``, ``ssh -O check``)."""


@dataclass(frozen=True)
class Destination:
    """Where ``ssh HOST`` really leads, by ``ssh -G``: the person's configuration is in it."""

    user: str
    host: str
    port: str
    jump: str
    """ProxyJump or ProxyCommand, empty where the way is direct."""
    control_path: Path | None
    """The ControlPath of our setting or of the person's configuration, expanded."""

    def __str__(self) -> str:
        through = f" through {self.jump}" if self.jump else ""
        return f"{self.user}@{self.host}:{self.port}{through}"


def base_command(settings: SshTransportSettings) -> list[str]:
    """``ssh`` with what says which machine is meant; options and the host come after it."""
    command = ["ssh"]
    if settings.config_file:
        command += ["-F", str(settings.config_file.expanduser())]
    if settings.user:
        command += ["-l", settings.user]
    if settings.port:
        command += ["-p", str(settings.port)]
    return command


def options(**values: str) -> list[str]:
    """``-o Name=value`` for each; the client takes the first value it sees, so ours wins."""
    return [part for name, value in values.items() for part in ("-o", f"{name}={value}")]


def environment() -> dict[str, str]:
    """The environment of every ssh client: messages in English, no window that asks for words."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SSH_ASKPASS")}
    return {**kept, "LC_ALL": "C"}


def call(command: list[str], *, timeout: float) -> subprocess.CompletedProcess[str] | None:
    """Run a short ssh command that talks to nobody; None where it did not end in time."""
    try:
        with told_when_overloaded():
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=environment(),
                start_new_session=True,
            )
    except subprocess.TimeoutExpired:
        return None
    except FileNotFoundError as error:
        raise SchedulerError(
            "there is no `ssh` on this machine; install the OpenSSH client, or set "
            "cluster.transport.kind to paramiko where a key is enough"
        ) from error


def look_up(settings: SshTransportSettings) -> Destination:
    """What ``ssh -G`` says of the host. Raises SchedulerError where the configuration is broken."""
    command = base_command(settings)
    if settings.control_path:
        command += options(ControlPath=str(settings.control_path.expanduser()))
    done = call([*command, "-G", "--", settings.host], timeout=CONTROL_SECONDS)
    if done is None:
        raise ConnectionLost(
            f"`ssh -G {settings.host}` did not end within {CONTROL_SECONDS:g} s; "
            "does a `Match exec` in the ssh configuration hang?"
        )
    if done.returncode != 0:
        raise SchedulerError(
            f"the ssh configuration cannot be used: {first_words(done.stderr)}; "
            f"try `ssh -G {settings.host}`"
        )
    return parse_configuration(done.stdout)


def parse_configuration(text: str) -> Destination:
    """Read the output of ``ssh -G``: one ``keyword value`` a line, keywords in lower case."""
    values: Mapping[str, str] = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(" ") for line in reversed(text.splitlines()))
    }
    jump = next((values[k] for k in ("proxyjump", "proxycommand") if _is_set(values.get(k))), "")
    path = values.get("controlpath")
    return Destination(
        user=values.get("user", ""),
        host=values.get("hostname", ""),
        port=values.get("port", "22"),
        jump=jump,
        control_path=Path(path) if path and _is_set(path) else None,
    )


def _is_set(value: str | None) -> bool:
    return bool(value) and value != "none"


class Trouble(enum.Enum):
    """What the client's words on standard error mean."""

    HOST_KEY = "host key"
    REFUSED = "login refused"
    SESSIONS = "too many sessions"
    NO_MASTER = "no master"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


# In this order: a changed host key, for one, is followed by "Permission denied" with passwords off.
# Texts of OpenSSH 7 to 10, in the C locale. Port 65535 of UNKNOWN is what a client calls its
# connection through `ProxyCommand=false`: it found no master and tried to log in by itself.
_TEXTS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Trouble.HOST_KEY),
    ("Host key verification failed", Trouble.HOST_KEY),
    ("Session open refused by peer", Trouble.SESSIONS),
    ("session open failed", Trouble.SESSIONS),
    ("UNKNOWN port 65535", Trouble.NO_MASTER),
    ("Control socket connect(", Trouble.NO_MASTER),
    ("Permission denied", Trouble.REFUSED),
    ("Too many authentication failures", Trouble.REFUSED),
    ("Could not resolve hostname", Trouble.UNREACHABLE),
    ("Connection refused", Trouble.UNREACHABLE),
    ("Connection timed out", Trouble.UNREACHABLE),
    ("timed out during banner exchange", Trouble.UNREACHABLE),
    ("No route to host", Trouble.UNREACHABLE),
    ("Network is unreachable", Trouble.UNREACHABLE),
    ("Connection closed by", Trouble.UNREACHABLE),
    ("Connection reset by", Trouble.UNREACHABLE),
)


def read_trouble(stderr: str) -> Trouble:
    """What went wrong, from the client's standard error."""
    return next((trouble for text, trouble in _TEXTS if text in stderr), Trouble.UNKNOWN)


def first_words(stderr: str) -> str:
    """The client's first line, for a message of ours, without its full stop."""
    lines = (line.strip().rstrip(".") for line in stderr.splitlines())
    return next((line for line in lines if line), "no message")


def last_words(stderr: str) -> str:
    """The client's last line, for a message of ours: what ended it."""
    return first_words("\n".join(reversed(stderr.splitlines())))
