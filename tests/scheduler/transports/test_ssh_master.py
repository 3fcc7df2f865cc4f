"""The life of a master connection: opened by a person, used by all, and whose it is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_sshd import CODE, PASSPHRASE, LoopbackSshd, make_key, need_sshd
from terminal import converse

from scheduler.errors import ConnectionLost, HostKeyRefused, LoginNeeded, SchedulerError
from scheduler.settings import SshTransportSettings
from scheduler.transport import TransportState
from scheduler.transports import open_transport, ssh, ssh_master
from scheduler.transports.ssh_master import Life, Master

DIRECTORY = ssh_master.OWN_DIRECTORY  # As it is without the tests' own.
CONNECT = """
import sys
from scheduler.settings import SshTransportSettings
from scheduler.transports import ssh_master
from scheduler.transports.ssh_master import Master
ssh_master.OWN_DIRECTORY = sys.argv[2]
try:
    print(Master(SshTransportSettings.model_validate_json(sys.argv[1])).connect())
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def connect_at_terminal(
    settings: SshTransportSettings, question: str, answer: str
) -> tuple[int, str]:
    command = [sys.executable, "-c", CONNECT, settings.model_dump_json(), ssh_master.OWN_DIRECTORY]
    return converse(command, {question: answer})


@pytest.fixture
def by_hand(sshd: LoopbackSshd) -> Iterator[SshTransportSettings]:
    """A master that a person opened with ``ssh -M``."""
    path = sshd.directory / "mine"
    base = ["ssh", "-F", sshd.config, "-S", path]
    subprocess.run([*base, "-M", "-N", "-f", "plain"], check=True, stderr=subprocess.DEVNULL)
    yield sshd.ssh(control_path=path)
    subprocess.run([*base, "-O", "exit", "plain"], stderr=subprocess.DEVNULL)


def await_true(what: str, condition) -> None:
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(what)


def test_without_a_master_a_person_is_needed(sshd: LoopbackSshd) -> None:
    transport = open_transport(sshd.ssh(), connect="type this")
    assert transport.state() is TransportState.LOGIN_NEEDED
    assert transport.remedy() == "type this"
    with pytest.raises(LoginNeeded, match="only a person can log in") as caught:
        transport.run("echo", timeout=60)
    assert caught.value.remedy == "type this"
    assert "Accepted" not in sshd.log.read_text()


def test_connect_says_whose_it_is_and_disconnect_leaves_nothing(sshd: LoopbackSshd) -> None:
    master = Master(sshd.ssh())
    opened = master.connect()
    assert opened.life is Life.ALIVE and opened.ours and opened.pid and opened.since
    assert str(opened.serves) == f"{sshd.user}@127.0.0.1:{sshd.ports['plain']}"
    assert "opened by `connect`" in str(opened)
    assert master.path.parent.stat().st_mode & 0o077 == 0
    again = Master(sshd.ssh())
    assert again.connect() == opened
    assert again.disconnect().startswith("closed the master")
    await_true("a process is left", lambda: not Path(f"/proc/{opened.pid}").exists())
    await_true("a session is left", lambda: not sshd.connections())
    digest_files = [p for p in master.path.parent.iterdir() if _mentions(p, master.path)]
    assert digest_files == []
    assert master.check().life is Life.ABSENT
    assert open_transport(sshd.ssh()).state() is TransportState.LOGIN_NEEDED


def _mentions(record: Path, path: Path) -> bool:
    return record == path or (
        record.suffix == ".json" and json.loads(record.read_text())["path"] == str(path)
    )


def test_a_master_opened_by_hand_is_used_and_left_alone(
    sshd: LoopbackSshd, by_hand: SshTransportSettings
) -> None:
    master, transport = Master(by_hand), open_transport(by_hand)
    status = master.connect()
    assert status.life is Life.ALIVE and not status.ours and "your own" in str(status)
    assert transport.run("echo $HOME", timeout=120).stdout.decode().strip() == str(sshd.home)
    transport.close()
    said = master.disconnect()
    assert said.startswith("left as it is") and "-O exit plain" in said
    assert transport.state() is TransportState.READY


def test_a_master_that_the_configuration_defines_is_used(sshd: LoopbackSshd) -> None:
    transport, master = open_transport(sshd.ssh("master")), Master(sshd.ssh("master"))
    assert transport.state() is TransportState.LOGIN_NEEDED
    command = ["ssh", "-F", sshd.config, "-N", "-f", "master"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert transport.run("echo in", timeout=120).stdout == b"in\n"
    status = master.check()
    assert status.path.parent == sshd.directory and not status.ours
    assert master.disconnect().startswith("left as it is")
    assert master.check() == status


def test_tokens_in_the_control_path_are_the_clients(sshd: LoopbackSshd) -> None:
    settings = sshd.ssh(control_path=sshd.directory / "cm-%p")
    master = Master(settings)
    assert master.connect().path == sshd.directory / f"cm-{sshd.ports['plain']}"
    assert master.path.exists()
    master.disconnect()


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """An sshd with a second factor through PAM, which only root can set up."""
    need_sshd()
    if os.getuid() != 0:
        pytest.skip("needs root, for a file in /etc/pam.d")
    server = LoopbackSshd(tmp_path_factory.mktemp("sshd"), second_factor=True)
    server.start()
    yield server
    server.close()


def test_a_locked_key_lets_only_a_person_in(sshd: LoopbackSshd) -> None:
    only_a_person_gets_in(sshd.ssh("mfa"), "Enter passphrase", PASSPHRASE)


def test_a_typed_code_lets_only_a_person_in(guarded: LoopbackSshd) -> None:
    only_a_person_gets_in(guarded.ssh("code"), "Password:", CODE)
    with pytest.raises(LoginNeeded, match=r"keyboard-interactive; set cluster\.transport\.kind"):
        open_transport(guarded.paramiko("code")).run("echo", timeout=120)


def only_a_person_gets_in(settings: SshTransportSettings, question: str, answer: str) -> None:
    transport = open_transport(settings)
    code, screen = connect_at_terminal(settings, question, "wrong")
    assert code == 1 and "LoginNeeded" in screen and question in screen
    assert transport.state() is TransportState.LOGIN_NEEDED
    code, screen = connect_at_terminal(settings, question, answer)
    assert code == 0, screen
    assert "opened by `connect`" in screen
    assert transport.run("echo in", timeout=120).stdout == b"in\n"
    Master(settings).disconnect()
    with pytest.raises(LoginNeeded):
        transport.run("echo in", timeout=120)


def test_connect_without_a_person_is_refused_once(sshd: LoopbackSshd) -> None:
    with pytest.raises(LoginNeeded, match="Permission denied") as caught:
        Master(sshd.ssh("mfa")).connect()
    assert caught.value.remedy == "ssh -v mfa"
    knocks = "Connection closed by authenticating user"
    await_true("no knock", lambda: knocks in sshd.log.read_text())
    assert sshd.log.read_text().count(knocks) == 1


def test_a_jump_host_is_passed(sshd: LoopbackSshd) -> None:
    with pytest.raises(LoginNeeded):
        Master(sshd.ssh("inner-direct")).connect()
    master = Master(sshd.ssh("inner"))
    assert "through plain" in str(master.connect())
    assert open_transport(sshd.ssh("inner")).run("echo in", timeout=120).stdout == b"in\n"
    master.disconnect()


def test_an_unreachable_machine(sshd: LoopbackSshd) -> None:
    with pytest.raises(ConnectionLost, match=r"cannot reach .*Connection refused"):
        Master(sshd.ssh("missing")).connect()


def test_a_changed_host_key_is_named(sshd: LoopbackSshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    sshd.know_host(tmp_path / "other.pub")
    with pytest.raises(HostKeyRefused, match="ask the site") as caught:
        Master(sshd.ssh()).connect()
    assert caught.value.remedy == f"ssh-keygen -R '[127.0.0.1]:{sshd.ports['plain']}'"


def test_a_killed_master_is_replaced_by_the_next_connect(
    sshd: LoopbackSshd, master: Master
) -> None:
    pid = master.check().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    transport = open_transport(sshd.ssh())
    await_true("still there", lambda: master.check().life is Life.ABSENT)
    assert transport.state() is TransportState.LOGIN_NEEDED
    with pytest.raises(LoginNeeded, match="the connection has gone"):
        transport.run("cat", stdin=bytes(3_000_000), timeout=120)
    assert master.connect().pid != pid
    assert transport.run("echo back", timeout=120).stdout == b"back\n"


def test_a_frozen_master_is_named_and_can_be_ended(
    sshd: LoopbackSshd, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = master.check().pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    transport = open_transport(sshd.ssh(), connect="type this")
    with monkeypatch.context() as impatient:  # While nobody shall answer, and no longer.
        impatient.setattr(ssh_master, "CONTROL_SECONDS", 1.0)
        impatient.setattr(ssh, "AFTERMATH_SECONDS", 1.0)
        impatient.setattr(Master.check, "__defaults__", (1.0,))
        assert transport.state() is TransportState.UNREACHABLE
        with pytest.raises(ConnectionLost, match=rf"process {pid} .*does not answer") as caught:
            transport.run("echo", timeout=1)
        assert caught.value.remedy == f"kill -9 {pid} && rm -f {master.path}; type this"
        with pytest.raises(ConnectionLost, match="does not answer"):
            master.connect()
        assert master.disconnect().startswith("closed")
    await_true("still there", lambda: not Path(f"/proc/{pid}").exists())
    assert master.connect().life is Life.ALIVE


def test_a_master_goes_when_nobody_uses_it(sshd: LoopbackSshd) -> None:
    master = Master(sshd.ssh(persist=5))
    assert master.connect().life is Life.ALIVE
    # Whoever asks it uses it, too.
    await_true("still there", lambda: not master.path.exists())
    assert master.check().life is Life.ABSENT


def test_a_master_on_a_dead_line_ends_itself(sshd: LoopbackSshd) -> None:
    master = Master(sshd.ssh(keep_alive=1))
    master.connect()
    frozen = sshd.connections()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    transport = open_transport(sshd.ssh())
    await_true("still there", lambda: master.check().life is Life.ABSENT)
    assert transport.state() is TransportState.LOGIN_NEEDED
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)


def test_a_stranger_on_the_socket_is_no_master(sshd: LoopbackSshd) -> None:
    """Something listens there and never speaks, as a dead forwarding does."""
    path = sshd.directory / "deaf"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        assert Master(sshd.ssh(control_path=path)).check(0.5).life is Life.FROZEN
    assert Master(sshd.ssh(control_path=path)).check(60).life is Life.ABSENT


def test_a_control_path_that_cannot_become_a_socket(sshd: LoopbackSshd, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    with pytest.raises(
        SchedulerError, match=r"longer than 90 bytes.*cluster.transport.control_path"
    ):
        open_transport(sshd.ssh(control_path=long)).run("echo", timeout=60)


def test_our_own_control_paths_are_short() -> None:
    longest = f"{DIRECTORY.format(uid=2**32 - 1)}/{'0' * 16}"
    assert len(longest) <= ssh_master.MAX_PATH_BYTES - 40


@pytest.mark.parametrize(("mode", "user"), [(0o777, 0), (0o750, 0), (0o700, 1)])
def test_a_control_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, user: int
) -> None:
    monkeypatch.setattr(ssh_master, "OWN_DIRECTORY", f"{tmp_path}/open")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    me = os.getuid() + user
    monkeypatch.setattr(os, "getuid", lambda: me)
    with pytest.raises(SchedulerError, match="not a private directory"):
        ssh_master.own_directory()


def test_a_link_is_no_control_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "private")
    monkeypatch.setattr(ssh_master, "OWN_DIRECTORY", f"{tmp_path}/link")
    with pytest.raises(SchedulerError, match="not a private directory"):
        ssh_master.own_directory()


def test_a_broken_ssh_configuration_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("NoSuchOption yes\n")
    settings = SshTransportSettings(kind="ssh", host="x", config_file=tmp_path / "config")
    with pytest.raises(SchedulerError, match=r"Bad configuration option.*`ssh -G x`"):
        Master(settings).check()


def test_without_an_ssh_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match="install the OpenSSH client"):
        Master(SshTransportSettings(kind="ssh", host="x")).check()
