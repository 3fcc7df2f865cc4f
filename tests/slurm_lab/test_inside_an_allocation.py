"""A search inside one large job: its slots are steps of the allocation, and outlast its end."""

import json
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
task = json.load(open("hyperparameters.json"))
seen = {name: os.environ.get(name) for name in ("SLURM_STEP_ID", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES")}
json.dump(seen, open("seen.new", "w"))
os.rename("seen.new", "seen.json")
while os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), "hold")): time.sleep(0.05)
x = task["hyperparameters"]["x"]
json.dump({"schema": 1, "status": "completed", "metrics": {"accuracy_auc": x}}, open("r", "w"))
os.rename("r", "results.json")
"""


@pytest.fixture
def plain(plain_slurm, monkeypatch):
    for key, value in plain_slurm.environment.items():
        monkeypatch.setenv(key, value)
    plain_slurm.wait_until_idle()
    yield plain_slurm
    plain_slurm.clear()


def write_search(directory):
    (directory / "program.py").write_text(PROGRAM)
    config = directory / "config.yaml"
    config.write_text(
        textwrap.dedent(
            f"""\
            experiment: {{id: inside}}
            search_space: {{x: {{type: float, low: 0, high: 1}}}}
            loop: {{max_iterations: 2, jobs_per_iteration: 2}}
            proposer: {{kind: sampler}}
            training: {{command: [{sys.executable}, -S, "{directory}/program.py", "{{hyperparameters}}"]}}
            cluster:
              batch_system:
                kind: local
                slots: 2
                per_node: 2
                launch: [srun, --exact, --ntasks=1, --gpus=1, --mem=100M, "--nodelist={{node}}"]
              poll: {{floor: 0.2s, ceiling: 1s}}
            directories: {{local_base: {directory}/results, run_pattern: "{{experiment}}"}}
            """
        )
    )
    return config


def allocate(plain, directory, *command):
    """Submit a job that asks for two tasks with a GPU each, and runs the command. Returns its id."""
    script = directory / "allocation.sh"
    script.write_text(
        f"#!/bin/sh\nexec {sys.executable} -m agents.run {' '.join(map(str, command))}\n"
    )
    return plain.client(
        "sbatch", "--parsable", "--ntasks=2", "--gpus=2", "--mem=1000M", "--time=10",
        f"--chdir={ROOT}", f"--output={directory}/allocation.out", str(script), check=True,
    ).stdout.strip()  # fmt: skip


def until(what, directory):
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        if what():
            return
        time.sleep(0.1)
    raise AssertionError((directory / "allocation.out").read_text())


def seen(directory):
    return [
        json.loads(path.read_text()) for path in directory.glob("results/inside/job_*/seen.json")
    ]


def summary(directory):
    path = directory / "results" / "inside" / "summary.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_a_search_inside_an_allocation_that_ends_goes_on_in_the_next(plain, tmp_path):
    (tmp_path / "hold").touch()
    first = allocate(plain, tmp_path, "--config", write_search(tmp_path))
    until(lambda: len(seen(tmp_path)) == 2, tmp_path)
    steps = seen(tmp_path)
    assert {step["SLURM_JOB_ID"] for step in steps} == {first}
    assert len({step["SLURM_STEP_ID"] for step in steps}) == 2
    assert all(len(step["CUDA_VISIBLE_DEVICES"].split(",")) == 1 for step in steps)
    plain.client("scancel", "--full", first, check=True)
    plain.wait_until_empty()
    (tmp_path / "hold").unlink()
    assert summary(tmp_path) is None
    allocate(plain, tmp_path, "--resume", tmp_path / "results" / "inside")
    until(lambda: summary(tmp_path), tmp_path)
    assert summary(tmp_path)["counts"]["completed"] == 4
