"""A real sshd on loopback, with throwaway keys, several kinds of accounts and a client configuration.

One daemon listens on one port for each kind; nothing outside its directory is touched, and it
needs no privileges. The kinds, which are host aliases in the client configuration too:

* plain: a key opens it;
* noisy: its .bashrc prints on both outputs;
* csh, tcsh, fish, ksh, mksh, busybox: its login shell (where installed);
* few: one session a connection (MaxSessions 1);
* inner: reached through plain only (ProxyJump); inner-direct is refused;
* mfa: its key is locked by a passphrase, so that only a person at a terminal gets in;
* master: like plain, and the client configuration defines a ControlPath;
* missing: nobody listens there;
* code: a key, then a code typed at the prompt (keyboard-interactive through PAM). Only where asked
  for with `second_factor`, which needs root and, while the daemon runs, a file in /etc/pam.d.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab_ports import Ports

from scheduler.settings import ParamikoTransportSettings, SshTransportSettings

PASSPHRASE = "a code that only a person knows"
CODE = "314159"
SHELLS = ("csh", "tcsh", "fish", "ksh", "mksh", "busybox")
KINDS = ("plain", "noisy", "few", "inner", "mfa", "master", *SHELLS)


def need_sshd() -> None:
    """Skips the test where no sshd can be started, naming the package; in CI that is an error."""
    packages = {"openssh-server": sshd_program(), "openssh-client": shutil.which("ssh")}
    missing = [name for name, found in packages.items() if not found]
    if missing:
        stop = pytest.fail if os.environ.get("PILOTHOUSE_REQUIRE") else pytest.skip
        stop(f"needs the package {', '.join(missing)}")


def sshd_program() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class LoopbackSshd:
    """The daemon. `config` is the client configuration (``ssh -F``)."""

    directory: Path
    second_factor: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    """Of every session, such as the SLURM_CONF of a private Slurm."""
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.user = getpass.getuser()
        self.config = self.directory / "config"
        self.known_hosts = self.directory / "known_hosts"
        self.key = self.directory / "id"
        self.locked_key = self.directory / "id_locked"
        self.log = self.directory / "sshd.log"
        self.home = self.directory / "home"
        self._make_keys()
        self._make_homes()
        self.kinds = (*KINDS, "code") if self.second_factor else KINDS
        names = (*self.kinds, "missing")
        self._ports = Ports(len(names))
        self.ports = dict(zip(names, self._ports.numbers, strict=True))
        self.program = sshd_program()
        self.pam = Path(f"/etc/pam.d/loopback-sshd-{os.getpid()}-{self.ports['plain']}")
        self._write_server()
        self._write_client()

    def _make_keys(self) -> None:
        for name, passphrase in (("host_key", ""), ("id", ""), ("id_locked", PASSPHRASE)):
            make_key(self.directory / name, passphrase)
        for name in ("id", "id_locked"):
            public = (self.directory / f"{name}.pub").read_text()
            (self.directory / f"{name}.authorized").write_text(public)
        own = (self.directory / "id.pub").read_text()
        (self.directory / "inner.authorized").write_text(f'from="127.0.0.1" {own}')

    def _make_homes(self) -> None:
        self.home.mkdir()
        noisy = self.directory / "noisy"
        noisy.mkdir()
        (noisy / ".bashrc").write_text(
            "printf '\\nWelcome! @0123456789abcdef end 0\\n'\necho 'module: not found' >&2\n"
            "trap 'echo bye' EXIT\n"
        )

    def _write_server(self) -> None:
        ports = "\n".join(f"Port {self.ports[kind]}" for kind in self.kinds)
        blocks = "".join(self._match(kind) for kind in self.kinds)
        (self.directory / "sshd_config").write_text(
            f"""{ports}
ListenAddress 127.0.0.1
HostKey {self.directory}/host_key
PidFile {self.directory}/sshd.pid
StrictModes no
UsePAM {"yes" if self.second_factor else "no"}
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin yes
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 100
LogLevel VERBOSE
{blocks}"""
        )

    def _match(self, kind: str) -> str:
        keys = {"mfa": "id_locked", "inner": "inner"}.get(kind, "id")
        home = self.directory / "noisy" if kind == "noisy" else self.home
        variables = {"HOME": str(home), **self.environment}
        lines = [
            f"Match LocalPort {self.ports[kind]}",
            f"  AuthorizedKeysFile {self.directory}/{keys}.authorized",
            f"  SetEnv {' '.join(f'{k}={v}' for k, v in variables.items())}",
        ]
        if kind == "few":
            lines.append("  MaxSessions 1")
        if kind == "code":
            lines.append("  KbdInteractiveAuthentication yes")
            lines.append("  AuthenticationMethods publickey,keyboard-interactive:pam")
        if kind in SHELLS:
            shell = "busybox sh" if kind == "busybox" else kind
            lines.append(f'  ForceCommand exec {shell} -c "$SSH_ORIGINAL_COMMAND"')
        return "\n".join(lines) + "\n"

    def _write_client(self) -> None:
        hosts = "".join(f"Host {kind}\n  Port {port}\n" for kind, port in self.ports.items())
        self.config.write_text(
            f"""{hosts}
Host inner-direct
  Port {self.ports["inner"]}
Host inner inner-direct
  BindAddress 127.0.0.3
Host inner
  ProxyJump plain
Host master
  ControlMaster auto
  ControlPath {self.directory}/cm-%p
Host mfa
  IdentityFile {self.locked_key}
Host *
  HostName 127.0.0.1
  User {self.user}
  IdentityFile {self.key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {self.known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  GSSAPIAuthentication no
"""
        )
        self.know_host(self.directory / "host_key.pub")

    def know_host(self, public_key: Path) -> None:
        """Write the host key into known_hosts, for all ports."""
        key = " ".join(public_key.read_text().split()[:2])
        self.known_hosts.write_text(
            "".join(f"[127.0.0.1]:{port} {key}\n" for port in self.ports.values())
        )

    def ssh(self, kind: str = "plain", **more: object) -> SshTransportSettings:
        """Settings of the ssh transport to one of the kinds."""
        return SshTransportSettings.model_validate(
            {"kind": "ssh", "host": kind, "config_file": self.config, **more}
        )

    def paramiko(self, kind: str = "plain", **more: object) -> ParamikoTransportSettings:
        """Settings of the paramiko transport to one of the kinds."""
        return ParamikoTransportSettings.model_validate(
            {
                "kind": "paramiko",
                "host": "127.0.0.1",
                "port": self.ports[kind],
                "user": self.user,
                "key_file": self.key,
                "known_hosts": self.known_hosts,
                **more,
            }
        )

    def start(self) -> None:
        """Start the daemon and wait until it listens on every port."""
        assert self.program and (self.process is None or self.process.poll() is not None)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        config = self.directory / "sshd_config"
        self.process = subprocess.Popen(
            [self._program(), "-D", "-f", str(config), "-E", str(self.log)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        for kind in self.kinds:
            self._await(self.ports[kind])

    def _program(self) -> str:
        """sshd asks PAM under its own name: with a link of another name, the rules are ours."""
        assert self.program
        if not self.second_factor:
            return self.program
        check = self.directory / "check-code"
        check.write_text(f'#!/bin/sh\nIFS= read -r code\n[ "$code" = {CODE} ]\n')
        check.chmod(0o755)
        self.pam.write_text(
            f"auth required pam_exec.so quiet expose_authtok {check}\n"
            "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
        )
        link = self.directory / self.pam.name
        if not link.exists():
            link.symlink_to(self.program)
        return str(link)

    def _await(self, port: int) -> None:
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            assert self.process
            if self.process.poll() is not None:
                raise RuntimeError(f"sshd ended: {self.log.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"sshd does not listen on {port}: {self.log.read_text()}")

    def stop(self) -> None:
        """End the daemon; open sessions go on, as they do when a person restarts it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def connections(self) -> list[int]:
        """The process ids that serve one connection each."""
        return _children(self.process.pid) if self.process else []

    def cut(self) -> None:
        """Kill every connection, as a rebooting login node does."""
        for pid in self.connections():
            for each in (*_children(pid), pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def close(self) -> None:
        """Cut everything and end the daemon."""
        self.cut()
        self.stop()
        self._ports.release()
        if self.second_factor:
            self.pam.unlink(missing_ok=True)


def make_key(path: Path, passphrase: str = "") -> None:
    """An ed25519 key pair at `path`."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-C", "", "-f", path],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
