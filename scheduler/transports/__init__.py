from collections.abc import Collection

from scheduler.settings import (
    LocalTransportSettings,
    ParamikoTransportSettings,
    SshTransportSettings,
)
from scheduler.transport import Transport

CONNECT = "python -m agents.run connect"


def open_transport(
    settings: LocalTransportSettings | SshTransportSettings | ParamikoTransportSettings,
    *,
    connect: str = CONNECT,
    hidden: Collection[str] = (),
) -> Transport:
    """The transport that `settings` describe. Opens no connection by itself.

    `connect` is the command line shown to a person who has to log in; `hidden` are variables of
    our environment that must not reach jobs on this machine.
    """
    match settings:
        case SshTransportSettings():
            from scheduler.transports.ssh import SshTransport

            return SshTransport(settings, connect)
        case ParamikoTransportSettings():
            from scheduler.transports.paramiko import ParamikoTransport

            return ParamikoTransport(settings)
        case LocalTransportSettings():
            from scheduler.transports.local import LocalTransport

            return LocalTransport(hidden)
