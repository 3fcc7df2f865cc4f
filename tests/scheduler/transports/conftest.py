"""A loopback sshd, and every way of reaching a machine, opened once per test process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from loopback_sshd import LoopbackSshd, need_sshd

from scheduler.settings import LocalTransportSettings
from scheduler.transport import Transport
from scheduler.transports import open_transport, ssh_master
from scheduler.transports.ssh_master import Master

CARRIERS = ("local", "ssh", "ssh own master", "ssh jump", "paramiko")


@pytest.fixture(scope="session", autouse=True)
def own_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where masters of ours have their sockets and records, away from a person's."""
    with pytest.MonkeyPatch.context() as patch:
        name = str(tmp_path_factory.mktemp("own") / "{uid}")
        patch.setattr(ssh_master, "OWN_DIRECTORY", name)
        yield name


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """For tests that break nothing."""
    need_sshd()
    server = LoopbackSshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """For tests that break it."""
    need_sshd()
    server = LoopbackSshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def master(sshd: LoopbackSshd) -> Iterator[Master]:
    """An open master of ours."""
    opened = Master(sshd.ssh())
    opened.connect()
    yield opened
    opened.disconnect()


@pytest.fixture(scope="session")
def carriers(shared_sshd: LoopbackSshd) -> Iterator[Callable[[str], Transport]]:
    """Opens a transport by its name in CARRIERS."""
    opened: dict[str, Transport] = {}
    masters: list[Master] = []

    def by_connect(host: str) -> Transport:
        masters.append(Master(shared_sshd.ssh(host)))
        masters[-1].connect()
        return open_transport(shared_sshd.ssh(host))

    def make(name: str) -> Transport:
        if name == "local":
            return open_transport(LocalTransportSettings())
        if name == "paramiko":
            return open_transport(shared_sshd.paramiko())
        if name == "ssh own master":
            path = shared_sshd.directory / "by-hand"
            command = ["ssh", "-F", shared_sshd.config, "-M", "-N", "-f", "-S", path, "plain"]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            return open_transport(shared_sshd.ssh(control_path=path))
        return by_connect("inner" if name == "ssh jump" else "plain")

    def get(name: str) -> Transport:
        if name not in opened:
            opened[name] = make(name)
        return opened[name]

    yield get
    for transport in opened.values():
        transport.close()
    for each in masters:
        each.disconnect()
    shared_sshd.cut()


@pytest.fixture(params=CARRIERS)
def transport(request: pytest.FixtureRequest, carriers: Callable[[str], Transport]) -> Transport:
    return carriers(request.param)
