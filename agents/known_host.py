"""Whether anybody knows the machine that ssh is to reach: a login is asked for only where one can be."""

from __future__ import annotations

import socket

from scheduler.settings import SshTransportSettings


def unknown_host(settings: SshTransportSettings) -> str | None:
    """Why there is no machine of that name; None where there is one, or where others look it up."""
    from scheduler.transports.ssh_master import Life, Master

    master = Master(settings)
    to = master.destination
    if to.jump or master.check().life is not Life.ABSENT:
        return None  # the name is looked up elsewhere, or was found before
    try:
        socket.getaddrinfo(to.host, to.port)
    except (OSError, UnicodeError) as error:
        leads = "" if to.host == settings.host.lower() else f"leads to {to.host}, and "
        why = getattr(error, "strerror", None) or error
        return f"{leads}no machine of that name is found ({why})"
    return None


def known_host_remedy(host: str) -> str:
    """What a person does about it."""
    return (
        f"check its spelling, or name it in ~/.ssh/config (Host {host}, HostName …), and see whether "
        f"`ssh {host}` gets there"
    )
