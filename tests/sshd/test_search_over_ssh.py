"""The main command over ssh on a real cluster, behind a login that only a person can pass."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from far_search import (
    ROOT,
    Site,
    connect,
    counts,
    disconnect,
    ended_well,
    hold,
    let_go,
    pilothouse,
    progress,
    runs,
    start,
    until,
    write_config,
)

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_search_waits_for_the_person_survives_the_connection_and_runs_each_job_once(
    site: Site, tmp_path: Path
) -> None:
    config = write_config(tmp_path, site, "mfa")
    hold(tmp_path, 0, 1)
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
    let_go(tmp_path)
    time.sleep(2)  # the jobs end while nobody looks

    connect(config)
    screen = ended_well(search)
    assert "to go on: python -m agents.run connect" in screen
    disconnect(config)

    assert counts(tmp_path)["completed"] == 4
    assert runs(tmp_path) == ["x"] * 4
    for job in tmp_path.glob("local/*/job_*"):
        assert sorted(path.name for path in job.iterdir()) == ["best.pt", "job.out", "results.json"]
        assert "hello" in (job / "job.out").read_text()
    assert len(list(tmp_path.glob("local/*/job_*/best.pt"))) == 4


def test_an_orchestrator_that_is_killed_finds_its_jobs_again_on_the_cluster(
    site: Site, tmp_path: Path
) -> None:
    config = write_config(tmp_path, site, "plain")
    connect(config)
    hold(tmp_path, 2, 3)
    again: tuple[str, ...] = ()
    for begun in (1, 3):
        search = start(config, *again)
        until(lambda n=begun: len(list(tmp_path.glob("remote/*/job_*/job.id"))) >= n, search)
        search.kill()
        search.communicate()
        again = ("--resume", "latest")
    let_go(tmp_path)
    search = start(config, *again)
    ended_well(search)
    disconnect(config)
    assert runs(tmp_path) == ["x"] * 4


@pytest.mark.parametrize("launch", ["[]", "[srun, --exact, --ntasks=1, --cpus-per-task=1]"])
def test_trials_share_a_slurm_job(slurm_site: Site, tmp_path: Path, launch: str) -> None:
    config = write_config(tmp_path, slurm_site, "plain")
    text = config.read_text().replace("cpus: 1", "tasks: 2, cpus: 1")
    config.write_text(
        text.replace("poll:", f"pack: {{trials: 2, pin: MY_GPU, launch: {launch}}}\n  poll:")
    )
    connect(config)
    search = start(config)
    ended_well(search)
    disconnect(config)
    assert counts(tmp_path)["completed"] == 4
    jobs = {path.read_text().strip() for path in tmp_path.glob("remote/*/pack_*/job.id")}
    assert len(jobs) == 2
    assert runs(tmp_path, "pack_*/*") == ["x"] * 4
    assert len(list(tmp_path.glob("local/*/pack_*/job_*/best.pt"))) == 4


def test_the_example_configuration_runs_on_the_cluster(slurm_site: Site, tmp_path: Path) -> None:
    """The main configuration as it is shipped, with where it runs laid over it, its code staged."""
    config = tmp_path / "config.yaml"
    config.write_text(
        textwrap.dedent(
            f"""\
            extends: {ROOT}/config.example.yaml
            loop: {{max_iterations: 2, jobs_per_iteration: 2}}
            proposer: {{kind: sampler}}
            training:
              stage: [{ROOT}/training]
              directory: null
              budget: {{epochs: 1}}
            cluster:
              transport: {{kind: ssh, host: plain, config_file: {slurm_site.sshd.config}}}
              batch_system: {{kind: slurm}}
              remote_base: {tmp_path}/remote
              python: {sys.executable}
              environment: {{PYTHONPATH: "", OMP_NUM_THREADS: "1"}}
              resources: {{cpus: 4, memory: 4G, walltime: 5m}}
            directories: {{local_base: {tmp_path}/local}}
            """
        )
    )
    connect(config)
    ended_well(start(config))
    disconnect(config)
    assert counts(tmp_path)["completed"] == 4
    (run,) = tmp_path.glob("local/*")
    jobs = list(run.glob("job_*"))
    assert all((job / "metrics.jsonl").read_text().count("\n") >= 1 for job in jobs)
    results = [json.loads((job / "results.json").read_text()) for job in jobs]
    assert max(result["metrics"]["final_accuracy"] for result in results) > 0.3
    assert "slurm" in (run / "reports" / "report.html").read_text().lower()
