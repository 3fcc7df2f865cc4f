"""Login shells of all kinds, and start-up files that print, do not get in the way."""

from __future__ import annotations

import shutil

import pytest
from loopback_sshd import SHELLS, LoopbackSshd

from scheduler.transports import open_transport

SCRIPT = "printf '%s|' \"a'b\" '$HOME!' 'c\\d'; cat; echo err >&2; exit 5"


@pytest.mark.parametrize("kind", SHELLS)
def test_login_shell(shared_sshd: LoopbackSshd, kind: str) -> None:
    if not shutil.which(kind):
        pytest.skip(f"needs the package {kind}")
    transport = open_transport(shared_sshd.paramiko(kind))
    done = transport.run(SCRIPT, stdin=b"\0\xff\n", timeout=180)
    transport.close()
    assert (done.code, done.stdout, done.stderr) == (5, b"a'b|$HOME!|c\\d|\0\xff\n", b"err\n")


def test_the_shell_is_really_in_the_way(shared_sshd: LoopbackSshd) -> None:
    """The far side's parent shell is the one configured, so that the tests above mean something."""
    if not shutil.which("tcsh"):
        pytest.skip("needs the package tcsh")
    log = shared_sshd.log.read_text()
    transport = open_transport(shared_sshd.paramiko("tcsh"))
    transport.run(":", timeout=180)
    transport.close()
    assert "forced-command" in shared_sshd.log.read_text()[len(log) :]


def test_what_start_up_files_print_is_dropped(shared_sshd: LoopbackSshd) -> None:
    transport = open_transport(shared_sshd.paramiko("noisy"))
    done = transport.run(SCRIPT, stdin=b"in", timeout=180)
    transport.close()
    assert (done.code, done.stdout, done.stderr) == (5, b"a'b|$HOME!|c\\d|in", b"err\n")
