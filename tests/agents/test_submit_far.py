"""An experiment on another machine: submitted, harvested and cleaned over a real sshd."""

import json
import os
import sys
import time

import pytest
from doctor_bench import run
from loopback_sshd import LoopbackSshd, need_sshd
from test_submit import PROGRAM, until_ended

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    need_sshd()
    server = LoopbackSshd(tmp_path_factory.mktemp("site"))
    server.start()
    yield server
    server.close()


def write_config(directory, site):
    (directory / "program.py").write_text(PROGRAM)
    path = directory / "template.yaml"
    path.write_text(
        f"""\
experiment: {{id: far}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
training:
  command: ["{{python}}", -S, "{{code}}/program.py", "{{hyperparameters}}"]
  stage: [program.py]
cluster:
  transport: {{kind: paramiko, host: 127.0.0.1, port: {site.ports["noisy"]}, key_file: {site.key},
    known_hosts: {site.known_hosts}}}
  batch_system: {{kind: local}}
  remote_base: "{directory}/far away"
  python: {sys.executable}
  poll: {{floor: 0.1s, grace: 2s}}
directories: {{local_base: "{directory}/results"}}
"""
    )
    return path


def test_an_experiment_on_another_machine_from_its_submission_to_its_end(site, tmp_path):
    config = write_config(tmp_path, site)
    done = run("submit", "--config", config, "x=0.5")
    assert done.returncode == 0, done.stderr
    assert "code: program.py to" in done.stderr
    (directory,) = (tmp_path / "results").iterdir()
    (found,) = until_ended(directory)
    assert (found["state"], found["value"]) == ("completed", 0.375)
    (job,) = directory.glob("job_*")
    assert (job / "results.json").exists()
    far = tmp_path / "far away"
    assert sorted(os.listdir(far)) == sorted([directory.name, "code"])
    then = time.time() - 40 * 86400
    for name in ("run.json", "summary.json", "progress.json"):
        os.utime(directory / name, (then, then))
    shown = run("clean", directory.parent, "--remote", "--dry-run", "--json")
    assert json.loads(shown.stdout)[0]["remote_bytes"] > 0, shown.stderr
    site.stop()
    try:
        away = run("clean", directory.parent, "--remote", "--yes")
        assert away.returncode == 1
        assert directory.exists()
    finally:
        site.start()
    cleaned = run("clean", directory.parent, "--remote", "--yes")
    assert cleaned.returncode == 0, cleaned.stderr
    assert os.listdir(far) == ["code"]
    assert os.listdir(tmp_path / "results") == []
