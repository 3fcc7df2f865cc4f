"""The main command over ssh on a real Slurm, behind a login that only a person can pass."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback_sshd import PASSPHRASE, LoopbackSshd, need_sshd
from terminal import converse

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
open("runs", "a").write("x")
print("hello")
open("best.pt", "w").write("best")
open("last.pt", "w").write("last")
task = json.load(open("hyperparameters.json"))
time.sleep(1.5)
x = task["hyperparameters"]["x"]
result = {"schema": 1, "status": "completed", "trial": task["trial"], "metrics": {},
          "curve": {"step": [1, 2], "accuracy": [x / 2, x]}, "seconds": 1.5}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


@pytest.fixture(scope="module")
def site(plain_slurm, tmp_path_factory) -> Iterator[LoopbackSshd]:
    """A login node: sshd with Slurm's commands behind it."""
    need_sshd()
    server = LoopbackSshd(tmp_path_factory.mktemp("site"), environment=plain_slurm.environment)
    server.start()
    yield server
    server.close()


def write_config(directory: Path, site: LoopbackSshd, kind: str) -> Path:
    (directory / "program.py").write_text(PROGRAM)
    config = directory / "config.yaml"
    config.write_text(
        textwrap.dedent(
            f"""\
            experiment: {{id: remote, seed: 3}}
            search_space:
              x: {{type: float, low: 0, high: 1}}
            loop: {{max_iterations: 2, jobs_per_iteration: 2}}
            proposer: {{kind: sampler}}
            training:
              command: ["{{python}}", -S, "{directory}/program.py", "{{hyperparameters}}"]
            cluster:
              transport: {{kind: ssh, host: {kind}, config_file: {site.config}}}
              batch_system: {{kind: slurm}}
              remote_base: {directory}/remote
              python: {sys.executable}
              resources: {{cpus: 1, walltime: 2m}}
              poll: {{floor: 0.2s, ceiling: 1s}}
              bring_back: {{files: [job.out, "best.*"]}}
            directories: {{local_base: {directory}/local}}
            """
        )
    )
    return config


def pilothouse(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "agents.run", *map(str, arguments)]


def start(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        pilothouse("--config", config, "--log-level", "debug"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def connect(config: Path) -> str:
    code, screen = converse(pilothouse("connect", "--config", config), {"passphrase": PASSPHRASE})
    assert code == 0, screen
    return screen


def progress(config: Path) -> dict[str, object]:
    for path in config.parent.glob("local/*/progress.json"):
        found: dict[str, object] = json.loads(path.read_text())
        return found
    return {}


def until(what: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if what():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"it never came true\n{process.communicate()[0]}")


def test_a_search_waits_for_the_person_survives_the_connection_and_runs_each_job_once(
    site: LoopbackSshd, tmp_path: Path
) -> None:
    config = write_config(tmp_path, site, "mfa")
    search = start(config)
    until(lambda: progress(config).get("waiting"), search)
    waiting = progress(config)["waiting"]
    assert isinstance(waiting, dict)
    assert waiting["what"] == "ssh login"
    assert f"agents.run connect --config {config}" in waiting["remedy"]

    connect(config)
    until(lambda: list(tmp_path.glob("remote/*/job_*/runs")), search)
    shown = subprocess.run(
        pilothouse("connection", "--config", config), cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert "opened by `connect`" in shown
    os.kill(int(shown.split("process ")[1].split()[0].rstrip(",")), signal.SIGKILL)
    until(lambda: progress(config).get("waiting"), search)
    time.sleep(2)  # the jobs end while nobody looks

    connect(config)
    screen = search.communicate(timeout=120)[0]
    assert search.returncode == 0, screen
    assert "to go on, type: python -m agents.run connect" in screen
    subprocess.run(pilothouse("disconnect", "--config", config), cwd=ROOT, check=True)

    (summary,) = tmp_path.glob("local/*/summary.json")
    assert json.loads(summary.read_text())["counts"]["completed"] == 4
    runs = [path.read_text() for path in tmp_path.glob("remote/*/job_*/runs")]
    assert runs == ["x"] * 4
    for job in tmp_path.glob("local/*/job_*"):
        assert sorted(path.name for path in job.iterdir()) == ["best.pt", "job.out", "results.json"]
        assert "hello" in (job / "job.out").read_text()
    assert len(list(tmp_path.glob("local/*/job_*/best.pt"))) == 4


def test_an_orchestrator_that_is_killed_finds_its_jobs_again_on_the_cluster(
    site: LoopbackSshd, tmp_path: Path
) -> None:
    config = write_config(tmp_path, site, "plain")
    connect(config)
    for begun in (1, 3):
        search = start(config) if begun == 1 else resume(config)
        until(lambda n=begun: len(list(tmp_path.glob("remote/*/job_*/job.id"))) >= n, search)
        search.kill()
        search.communicate()
    search = resume(config)
    screen = search.communicate(timeout=120)[0]
    assert search.returncode == 0, screen
    subprocess.run(pilothouse("disconnect", "--config", config), cwd=ROOT, check=True)
    runs = [path.read_text() for path in tmp_path.glob("remote/*/job_*/runs")]
    assert runs == ["x"] * 4


def resume(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        pilothouse("--config", config, "--resume", "latest"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("launch", ["[]", "[srun, --exact, --ntasks=1, --cpus-per-task=1]"])
def test_trials_share_a_slurm_job(site: LoopbackSshd, tmp_path: Path, launch: str) -> None:
    config = write_config(tmp_path, site, "plain")
    text = config.read_text().replace("cpus: 1", "tasks: 2, cpus: 1")
    config.write_text(
        text.replace("poll:", f"pack: {{trials: 2, pin: MY_GPU, launch: {launch}}}\n  poll:")
    )
    connect(config)
    search = start(config)
    screen = search.communicate(timeout=120)[0]
    assert search.returncode == 0, screen
    subprocess.run(pilothouse("disconnect", "--config", config), cwd=ROOT, check=True)
    (summary,) = tmp_path.glob("local/*/summary.json")
    assert json.loads(summary.read_text())["counts"]["completed"] == 4
    jobs = {path.read_text().strip() for path in tmp_path.glob("remote/*/pack_*/job.id")}
    assert len(jobs) == 2
    assert [p.read_text() for p in tmp_path.glob("remote/*/pack_*/*/runs")] == ["x"] * 4
    assert len(list(tmp_path.glob("local/*/pack_*/job_*/best.pt"))) == 4
