"""``init`` on bad input: one clear message, and nothing that was there is lost."""

import shutil
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).parents[2]
with_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs openssh-client")


def init(directory, *words):
    words = ["init", "--yes", *words]
    return forked.command(words, directory=directory)


@pytest.mark.parametrize("force", [False, True])
def test_a_site_that_is_none_writes_nothing(tmp_path, force):
    output = tmp_path / "a b.yaml"
    if force:
        output.write_text("mine: 1\n")
    done = init(tmp_path, "--site", "nosuch", "--output", "a b.yaml", *["--force"] * force)
    assert done.returncode == 2, done.stderr
    assert "a b.yaml:4: there is no site 'nosuch'" in done.stderr
    assert ".new" not in done.stderr
    assert (output.read_text() if output.exists() else None) == ("mine: 1\n" if force else None)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("walltime", ["0", "30s", "soon"])
def test_a_walltime_that_is_none_is_refused(tmp_path, walltime):
    done = init(tmp_path, "--walltime", walltime)
    assert done.returncode == 2, done.stderr
    assert f"--walltime {walltime}: " in done.stderr
    assert not list(tmp_path.iterdir())


@with_ssh
@pytest.mark.parametrize("host", ["no-such-machine.invalid", "typö"])
def test_a_mistyped_host_is_said_to_be_none(tmp_path, host):
    done = init(tmp_path, "--host", host)
    assert done.returncode == 2, done.stderr
    assert f"--host {host}: " in done.stderr
    assert "name" in done.stderr
    assert "log in" not in done.stderr
    assert not list(tmp_path.iterdir())


@with_ssh
def test_a_host_that_leads_to_no_machine_is_told_with_where_it_leads(tmp_path):
    (tmp_path / "ssh").write_text("Host delta\n  HostName delat.invalid\n")
    done = init(tmp_path, "--host", "delta", "--ssh-config", "ssh")
    assert done.returncode == 2, done.stderr
    assert "--host delta: leads to delat.invalid" in done.stderr


@with_ssh
def test_without_a_terminal_it_says_how_the_connection_is_opened(tmp_path):
    (tmp_path / "my ssh").write_text("Host far\n  HostName 127.0.0.1\n  Port 9\n")
    done = init(tmp_path, "--host", "far", "--ssh-config", "my ssh")
    assert done.returncode == 1, done.stderr
    opening = f"ssh -F '{tmp_path}/my ssh' -M -N -f -S "
    assert opening in done.stderr
    assert done.stderr.rstrip().endswith("-- far")


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b"])
def test_what_can_be_no_host_is_refused(tmp_path, host):
    done = init(tmp_path, f"--host={host}")
    assert done.returncode == 2, done.stderr
    assert f"error: --host {host}: give a machine's name" in done.stderr


def test_a_name_that_cannot_be_one_is_refused_before_the_look(tmp_path):
    done = init(tmp_path, "--host", "no-such-machine.invalid", "--name", "my first")
    assert done.returncode == 2, done.stderr
    assert "--name my first: " in done.stderr
