"""What the OpenSSH client prints, read: texts recorded from 9.2 with a real sshd."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from scheduler.settings import (
    LocalTransportSettings,
    ParamikoTransportSettings,
    SshTransportSettings,
    TransportSettings,
)
from scheduler.transport import Transport
from scheduler.transports import open_transport
from scheduler.transports.ssh_client import (
    Destination,
    Trouble,
    last_words,
    parse_configuration,
    read_trouble,
)

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed.
"""
UNKNOWN_HOST = """No ED25519 host key is known for [127.0.0.1]:26821 and you have requested strict checking.
Host key verification failed.
"""
NO_SESSION = """mux_client_request_session: session request failed: Session open refused by peer
kex_exchange_identification: Connection closed by remote host
Connection closed by UNKNOWN port 65535
"""
NO_SOCKET = """kex_exchange_identification: Connection closed by remote host
Connection closed by UNKNOWN port 65535
"""
DEAD_SOCKET = """Control socket connect(/lab/run/cm): Connection refused
banner exchange: Connection to UNKNOWN port 65535: Broken pipe
"""


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (CHANGED, Trouble.HOST_KEY),
        (UNKNOWN_HOST, Trouble.HOST_KEY),
        (NO_SESSION, Trouble.SESSIONS),
        (NO_SOCKET, Trouble.NO_MASTER),
        (DEAD_SOCKET, Trouble.NO_MASTER),
        ("user@127.0.0.1: Permission denied (keyboard-interactive).\n", Trouble.REFUSED),
        (
            "Received disconnect from ::1 port 22:2: Too many authentication failures",
            Trouble.REFUSED,
        ),
        ("ssh: connect to host 127.0.0.1 port 26821: Connection refused\n", Trouble.UNREACHABLE),
        ("ssh: Could not resolve hostname x: Name or service not known\n", Trouble.UNREACHABLE),
        ("Connection timed out during banner exchange\n", Trouble.UNREACHABLE),
        ("", Trouble.UNKNOWN),
        ("module: command not found\n", Trouble.UNKNOWN),
    ],
)
def test_trouble(text: str, trouble: Trouble) -> None:
    assert read_trouble(text) is trouble
    assert read_trouble(f"A banner of the site\n{text}") is trouble


def test_last_words() -> None:
    assert last_words(NO_SESSION + "\n\n") == "Connection closed by UNKNOWN port 65535"
    assert last_words("") == "no message"


def test_configuration_in_lower_case_with_the_first_value_of_each() -> None:
    text = """host plain
user someone
hostname login.example.org
port 2222
proxyjump gate
controlpath /home/someone/.ssh/cm-5a23
identityfile ~/.ssh/id
identityfile ~/.ssh/id2
"""
    found = parse_configuration(text)
    path = Path("/home/someone/.ssh/cm-5a23")
    assert found == Destination("someone", "login.example.org", "2222", "gate", path)
    assert str(found) == "someone@login.example.org:2222 through gate"


@pytest.mark.parametrize("none", ["", "controlpath none\nproxycommand none\n"])
def test_configuration_without_master_and_jump(none: str) -> None:
    found = parse_configuration(f"user u\nhostname h\nport 22\n{none}")
    assert (found.control_path, found.jump, str(found)) == (None, "", "u@h:22")


@given(st.text())
def test_any_configuration_is_read(text: str) -> None:
    assert isinstance(parse_configuration(text), Destination)


SETTINGS: TypeAdapter[TransportSettings] = TypeAdapter(TransportSettings)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"kind": "local"}, LocalTransportSettings),
        ({"kind": "ssh", "host": "polaris", "persist": "8h"}, SshTransportSettings),
        ({"kind": "ssh", "host": "me@[::1]"}, SshTransportSettings),
        ({"kind": "paramiko", "host": "h", "port": 2222}, ParamikoTransportSettings),
    ],
)
def test_settings_choose_the_transport(data: dict[str, object], kind: type) -> None:
    settings = SETTINGS.validate_python(data)
    assert type(settings) is kind
    transport: Transport = open_transport(settings)
    assert transport.name.startswith("local" if kind is LocalTransportSettings else "ssh ")
    transport.close()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"kind": "ssh"}, "host"),
        ({"kind": "ssh", "host": "-oProxyCommand=touch /tmp/x"}, "host"),
        ({"kind": "ssh", "host": "a b"}, "host"),
        ({"kind": "ssh", "host": "a\n"}, "host"),
        ({"kind": "ssh", "host": "h", "user": "-l"}, "user"),
        ({"kind": "ssh", "host": "h", "port": 70000}, "port"),
        ({"kind": "ssh", "host": "h", "max_sessions": 0}, "max_sessions"),
        ({"kind": "ssh", "host": "h", "control_master": True}, "control_master"),
        ({"kind": "ssh", "host": "h", "key_file": "x"}, "key_file"),
        ({"kind": "telnet", "host": "h"}, "telnet"),
        ({"host": "h"}, "kind"),
    ],
)
def test_settings_that_are_mistakes(data: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        SETTINGS.validate_python(data)
