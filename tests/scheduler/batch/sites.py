"""The machines that batch systems run on, for tests: started when they are first asked for."""

import contextlib
import secrets
import subprocess

import pytest
from loopback_sshd import LoopbackSshd, need_sshd
from pbs_lab import RealPbs, ReplayedPbs

from scheduler.transports import open_transport


class Sites:
    """``sites(name)`` is the one of that batch system."""

    def __init__(self, request, tmp_path_factory):
        self._request, self._factory = request, tmp_path_factory
        self._made = {}
        self._close = contextlib.ExitStack()

    def __call__(self, name):
        if name == "pbs" and not RealPbs.is_there():
            pytest.skip(RealPbs.how)
        if name not in self._made:
            self._made[name] = Site(self._environment(name), self._factory, self._close)
        return self._made[name]

    def _environment(self, name):
        if name == "slurm":
            return self._request.getfixturevalue("plain_slurm").environment
        if name == "pbs-replay":
            return ReplayedPbs(self._factory.mktemp("replay")).environment
        return RealPbs.environment if name == "pbs" else {}

    def close(self):
        self._close.close()


class Site:
    """One machine: the variables that lead to its batch system, and ways to it."""

    def __init__(self, environment, factory, close):
        self.environment = environment
        self._factory, self._close = factory, close
        self._sshd = None

    def token(self):
        """Ends the names of one test's jobs: the batch system remembers those of others."""
        return f"-{secrets.token_hex(3)}"

    def transport(self, kind):
        """A transport of that kind to it; the sshd and its master are the same for all."""
        if self._sshd is None:
            need_sshd()
            base = self._factory.mktemp("site")
            self._sshd = LoopbackSshd(base, environment=self.environment)
            self._sshd.start()
            self._close.callback(self._sshd.close)
            self._socket = base / "master"
            self._ssh("-M", "-N", "-f", "plain")
            self._close.callback(self._ssh, "-O", "exit", "plain")
        if kind == "ssh":
            return open_transport(self._sshd.ssh(control_path=self._socket))
        return open_transport(self._sshd.paramiko())

    def _ssh(self, *arguments):
        command = ["ssh", "-F", self._sshd.config, "-S", self._socket, *arguments]
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
