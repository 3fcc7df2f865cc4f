"""Connections that break, freeze or refuse while scripts run over them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loopback_sshd import LoopbackSshd, make_key

from scheduler.errors import ConnectionLost, HostKeyRefused, LoginNeeded, SchedulerError
from scheduler.transport import Completed, Transport, TransportState
from scheduler.transports import open_transport
from scheduler.transports.paramiko_login import KeyLogin
from scheduler.transports.ssh_master import Life, Master


def await_true(what: str, condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(what)


pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(params=["ssh", "paramiko"])
def far(request: pytest.FixtureRequest, sshd: LoopbackSshd) -> Iterator[Transport]:
    master = Master(sshd.ssh())
    if request.param == "ssh":
        master.connect()
        yield open_transport(sshd.ssh())
        master.disconnect()
    else:
        transport = open_transport(sshd.paramiko())
        yield transport
        transport.close()


LIMITS = (1, 4, 16, 64)
"""Seconds for a script that shall begin and be ended: on a slow machine it does not begin in one."""


def during(
    transport: Transport,
    started: Path,
    action: Callable[[], object],
    rest: str,
    timeout: float = 180,
) -> Completed:
    """Run `action` while a script is half way."""

    def act() -> None:
        await_true("the script did not begin", started.exists)
        action()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        return transport.run(f"echo half; touch {started}; {rest}", timeout=timeout)
    finally:
        thread.join()


def test_a_cut_in_the_middle_leaves_the_outcome_unknown(
    sshd: LoopbackSshd, far: Transport, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionLost, match="what it did is not known"):
        during(far, tmp_path / "started", sshd.cut, "sleep 60")


def test_a_master_killed_in_the_middle(sshd: LoopbackSshd, tmp_path: Path) -> None:
    master = Master(sshd.ssh())
    pid = master.connect().pid
    assert pid
    with pytest.raises(ConnectionLost, match="broke while a script ran"):
        during(
            open_transport(sshd.ssh()),
            tmp_path / "started",
            lambda: os.kill(pid, signal.SIGKILL),
            "sleep 60",
        )
    master.disconnect()


def test_a_script_ends_on_the_far_side_too(far: Transport, tmp_path: Path) -> None:
    """Nothing piles up on a login node whose scheduler hangs."""
    pid_file = tmp_path / "pid"
    pid_file.touch()
    for limit in LIMITS:
        with pytest.raises(ConnectionLost) as caught:
            far.run(f"echo $$ > {pid_file}; sleep 300", timeout=limit)
        if pid_file.read_text():
            break
    assert "did not end within" in str(caught.value)
    pid = int(pid_file.read_text())
    await_true("still running there", lambda: not Path(f"/proc/{pid}").exists())


def test_a_line_that_freezes_in_the_middle(
    sshd: LoopbackSshd, far: Transport, tmp_path: Path
) -> None:
    frozen: list[int] = []

    def freeze() -> None:
        frozen.extend(c for pid in sshd.connections() for c in (pid, *_children(pid)))
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    try:
        with pytest.raises(ConnectionLost, match="what it did is not known"):
            during(far, tmp_path / "started", freeze, "sleep 60", timeout=10)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def test_a_frozen_line_ends_in_time(sshd: LoopbackSshd, far: Transport) -> None:
    far.run(":", timeout=120)
    frozen = [child for pid in sshd.connections() for child in (pid, *_children(pid))]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionLost):
            far.run("echo", timeout=1)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    await_true("not back", lambda: far.state() is TransportState.READY)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_sessions_over_the_limit_wait_for_their_turn(sshd: LoopbackSshd) -> None:
    """The server allows one at a time and we think four are allowed."""
    master = Master(sshd.ssh("few"))
    master.connect()
    transports = [open_transport(sshd.ssh("few")), open_transport(sshd.paramiko("few"))]
    for transport in transports:

        def code(number: int, transport: Transport = transport) -> int:
            return transport.run(f"exit {number}", timeout=180).code

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(code, range(12))) == list(range(12))
        transport.close()
    master.disconnect()


def test_a_server_without_a_free_session_says_so(sshd: LoopbackSshd, tmp_path: Path) -> None:
    settings = sshd.ssh("few", control_path=tmp_path / "few")
    master = Master(settings)
    master.connect()
    base = ["ssh", "-F", sshd.config, "-S", master.path, "few"]
    held = subprocess.Popen([*base, "echo in; sleep 60"], stdout=subprocess.PIPE)
    try:
        assert held.stdout and held.stdout.readline() == b"in\n"
        with pytest.raises(ConnectionLost, match="MaxSessions"):
            open_transport(settings).run("touch ran", timeout=60)
    finally:
        held.kill()
        held.communicate()
        master.disconnect()
    assert not (sshd.home / "ran").exists()


def test_one_session_of_ours_at_a_time_where_so_configured(sshd: LoopbackSshd) -> None:
    master = Master(sshd.ssh())
    master.connect()
    transport = open_transport(sshd.ssh(max_sessions=1))
    script = f"mkdir {sshd.home}/alone || exit 1; sleep 0.05; rmdir {sshd.home}/alone"
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: transport.run(script, timeout=180).code, range(8)))
    assert codes == [0] * 8
    master.disconnect()


def test_a_restarted_sshd_changes_nothing_for_an_open_master(sshd: LoopbackSshd) -> None:
    master = Master(sshd.ssh())
    master.connect()
    sshd.stop()
    transport = open_transport(sshd.ssh())
    assert transport.run("echo still", timeout=120).stdout == b"still\n"
    sshd.start()
    assert master.disconnect().startswith("closed")
    assert master.check().life is Life.ABSENT


def test_paramiko_connects_anew_by_itself(sshd: LoopbackSshd) -> None:
    transport = open_transport(sshd.paramiko())
    assert transport.run("echo 1", timeout=120).stdout == b"1\n"
    sshd.cut()
    sshd.stop()
    await_true("not noticed", lambda: transport.state() is TransportState.UNREACHABLE)
    with pytest.raises(ConnectionLost, match="cannot reach"):
        transport.run("echo 2", timeout=120)
    sshd.start()
    assert transport.run("echo 3", timeout=120).stdout == b"3\n"
    transport.close()
    await_true("a session is left", lambda: not sshd.connections())


def test_paramiko_refuses_an_unknown_host(sshd: LoopbackSshd) -> None:
    sshd.known_hosts.write_text("")
    transport = open_transport(sshd.paramiko())
    with pytest.raises(HostKeyRefused, match="compare the fingerprint") as caught:
        transport.run("echo", timeout=120)
    assert caught.value.remedy.startswith(f"ssh -p {sshd.ports['plain']} -i ")
    assert "Accepted" not in sshd.log.read_text()
    sshd.known_hosts.unlink()
    assert transport.state() is TransportState.LOGIN_NEEDED


def test_paramiko_refuses_a_changed_host_key(sshd: LoopbackSshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    sshd.know_host(tmp_path / "other.pub")
    with pytest.raises(HostKeyRefused, match="ask the site") as caught:
        open_transport(sshd.paramiko()).run("echo", timeout=120)
    assert caught.value.remedy.startswith("ssh-keygen -R '[127.0.0.1]:")


def test_paramiko_does_not_repeat_a_refused_login(sshd: LoopbackSshd, tmp_path: Path) -> None:
    make_key(tmp_path / "id")
    transport = open_transport(sshd.paramiko(key_file=tmp_path / "id"))
    with pytest.raises(LoginNeeded, match="no login to"):
        transport.run("echo", timeout=120)
    knocks = sshd.log.read_text().count("Connection from")
    with pytest.raises(LoginNeeded, match="shown again in 60 minutes"):
        transport.run("echo", timeout=120)
    assert sshd.log.read_text().count("Connection from") == knocks
    (tmp_path / "id").write_bytes(sshd.key.read_bytes())  # A person put the right key there.
    os.utime(tmp_path / "id", ns=(1, 1))
    assert transport.run("echo in", timeout=120).stdout == b"in\n"
    transport.close()


def test_paramiko_shows_refused_keys_again_after_an_hour(
    sshd: LoopbackSshd, tmp_path: Path
) -> None:
    """A home that was not mounted refuses a good key, and nothing on this side changes after it."""
    make_key(tmp_path / "id")
    now = [0.0]
    login = KeyLogin(sshd.paramiko(key_file=tmp_path / "id"), lambda: now[0])
    allowed = sshd.directory / "id.authorized"
    kept = allowed.read_text()
    try:
        for pause in (3600, 7200):
            with pytest.raises(LoginNeeded, match="no login to"):
                login.log_in()
            now[0] += pause - 1
            with pytest.raises(LoginNeeded, match="shown again in 1 minutes"):
                login.log_in()
            now[0] += 1
        allowed.write_text(kept + (tmp_path / "id.pub").read_text())
        login.log_in().close()
    finally:
        allowed.write_text(kept)


def test_paramiko_names_a_locked_key(sshd: LoopbackSshd) -> None:
    transport = open_transport(sshd.paramiko("mfa", key_file=sshd.locked_key))
    with pytest.raises(LoginNeeded, match="passphrase") as caught:
        transport.run("echo", timeout=120)
    assert caught.value.remedy == f"ssh-add {sshd.locked_key}"


def test_paramiko_names_a_missing_key(sshd: LoopbackSshd) -> None:
    transport = open_transport(sshd.paramiko(key_file=sshd.directory / "none"))
    with pytest.raises(SchedulerError, match=r"cluster\.transport\.key_file"):
        transport.run("echo", timeout=120)


def test_paramiko_takes_the_keys_of_an_agent(
    sshd: LoopbackSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = sshd.directory / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        await_true("no agent", socket.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        transport = open_transport(sshd.paramiko(key_file=None))
        with pytest.raises(LoginNeeded, match="try ssh-add"):
            transport.run("echo", timeout=120)
        subprocess.run(["ssh-add", "-q", sshd.key], check=True)
        assert transport.run("echo in", timeout=120).stdout == b"in\n"
        transport.close()
    finally:
        agent.kill()
        agent.wait()
