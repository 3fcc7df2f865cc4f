"""What verbs tell scripts, where they tell people sentences."""

import json
import shutil
import sys

import pytest
from loopback_sshd import LoopbackSshd, need_sshd
from test_command_line import GOOD, pilothouse


def told(*words, cwd, code=0):
    done = pilothouse(*words, "--json", cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_check_of_a_configuration(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD + "loop: {max_iteration: 3, max_trials: none}\n")
    good = {"file": "good.yaml", "valid": True, "problems": []}
    assert told("config", "check", "good.yaml", cwd=tmp_path) == good
    assert told("config", "check", "--config", "good.yaml", cwd=tmp_path) == good
    bad = told("config", "check", "bad.yaml", cwd=tmp_path, code=2)
    assert not bad["valid"]
    assert "did you mean max_iterations" in " ".join(bad["problems"])
    assert len(bad["problems"]) == 2


def test_a_rendered_job(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    found = told("render", "--config", "good.yaml", cwd=tmp_path)
    assert found["trials"] == [0]
    assert found["hyperparameters"]["hyperparameters"]["x"] == pytest.approx(0.5, abs=0.5)
    ((name, script),) = found["script"].items()
    assert script.startswith("#!")
    shown = pilothouse("render", "--config", "good.yaml", cwd=tmp_path).stdout
    assert f"{found['directory']}/{name}:" in shown


def test_a_rendered_job_that_trials_share(tmp_path):
    (tmp_path / "pack.yaml").write_text(
        GOOD
        + "cluster: {batch_system: {kind: pbs}, resources: {walltime: 1h}, pack: {trials: 2}}\n"
    )
    found = told("render", "--config", "pack.yaml", cwd=tmp_path)
    assert found["trials"] == [0, 1]
    assert [name.rpartition("/")[2] for name in found["files"]] == ["pack.sh", "trial.sh"]


def test_a_written_configuration(tmp_path):
    found = told("init", "--batch", "local", "--python", sys.executable, cwd=tmp_path)
    assert found["written"] == "config.yaml"
    assert found["batch"] == "local"
    assert found["next"][-1] == "python -m agents.run --config config.yaml"
    assert told("config", "check", "config.yaml", cwd=tmp_path)["valid"]


def far(directory, transport):
    text = GOOD.replace('"true"', '"true", "{hyperparameters}"')
    cluster = f"cluster: {{transport: {transport}, remote_base: {directory}/far}}\n"
    (directory / "far.yaml").write_text(text + cluster)
    return ["--config", "far.yaml"]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs openssh-client")
def test_a_connection_that_there_was_none_of(tmp_path):
    words = far(tmp_path, "{kind: ssh, host: nowhere.invalid}")
    found = told("disconnect", *words, cwd=tmp_path)
    assert (found["open"], found["state"]) == (False, "absent")
    assert "no master" in found["said"]


@pytest.mark.cluster
def test_a_connection_that_is_opened_and_closed(tmp_path):
    need_sshd()
    server = LoopbackSshd(tmp_path / "site")
    server.start()
    try:
        words = far(tmp_path, f"{{kind: ssh, host: noisy, config_file: {server.config}}}")
        found = told("connect", *words, cwd=tmp_path)
        assert (found["open"], found["opened_by_connect"]) == (True, True)
        closed = told("disconnect", *words, cwd=tmp_path)
        assert not closed["open"]
        assert closed["said"].startswith("closed the ")
    finally:
        server.close()
