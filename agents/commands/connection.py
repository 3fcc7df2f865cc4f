"""``connect``, ``disconnect``, ``connection``: the master connection that a person opens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agents.config import LoadedConfig
from agents.errors import ConfigurationError
from scheduler.settings import SshTransportSettings

if TYPE_CHECKING:
    from scheduler.transports.ssh_master import Master, MasterStatus


def connect(loaded: LoadedConfig) -> MasterStatus:
    """Open the master in front of the person. Returns what there is then.

    Raises ConfigurationError where nobody knows the machine: ssh would only say that it does not.
    """
    from agents.known_host import known_host_remedy, unknown_host

    settings = _settings(loaded)
    why = unknown_host(settings)
    if why is not None:
        host = settings.host
        raise ConfigurationError(
            f"{loaded.path}: cluster.transport.host {host}: {why}: {known_host_remedy(host)}"
        )
    return _master(loaded).connect()


def disconnect(loaded: LoadedConfig) -> tuple[str, MasterStatus]:
    """Close the master if `connect` opened it. Returns what was done, and what there is then."""
    master = _master(loaded)
    said = master.disconnect()
    return said, master.check()


def connection(loaded: LoadedConfig) -> MasterStatus:
    """Whose master it is, since when, and what it serves."""
    return _master(loaded).check()


def is_open(status: MasterStatus) -> bool:
    """Whether commands can go through it."""
    from scheduler.transports.ssh_master import Life

    return status.life is Life.ALIVE


def to_json(status: MasterStatus, **more: str) -> str:
    """For scripts."""
    document = {
        **more,
        "open": is_open(status),
        "state": status.life.name.lower(),
        "to": str(status.serves),
        "socket": str(status.path),
        "opened_by_connect": status.ours,
        "process": status.pid,
        "since": status.since and status.since.astimezone().isoformat(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _master(loaded: LoadedConfig) -> Master:
    from scheduler.transports.ssh_master import Master

    return Master(_settings(loaded))


def _settings(loaded: LoadedConfig) -> SshTransportSettings:
    transport = loaded.settings.cluster.transport
    if not isinstance(transport, SshTransportSettings):
        raise ConfigurationError(
            f"{loaded.path}: cluster.transport.kind is {transport.kind}: only ssh has a master "
            "connection that a person opens"
        )
    return transport
