"""Steering a search whose jobs are in a real Slurm's queue."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from lab_fixtures import accounting_slurm  # noqa: F401

from agents.commands.status import run_state
from agents.commands.status_lines import status_text
from agents.commands.steering import ask
from agents.workspace import run_at

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
task = json.load(open("hyperparameters.json"))
with open("metrics.jsonl", "a") as stream:
    for step in (1, 2, 3):
        stream.write(json.dumps({"step": step, "time": step, "accuracy": step / 10}) + "\\n")
time.sleep(250 if task["trial"] < 2 else 0)
result = {"schema": 1, "status": "completed", "trial": task["trial"], "metrics": {},
          "curve": {"step": [1, 2], "accuracy": [0.1, 0.5]}, "seconds": 1}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


@pytest.fixture
def lab(accounting_slurm, monkeypatch):  # noqa: F811
    for key, value in accounting_slurm.environment.items():
        monkeypatch.setenv(key, value)
    return accounting_slurm


def started(directory):
    (directory / "program.py").write_text(PROGRAM)
    config = directory / "config.yaml"
    text = f"""\
        experiment: {{id: steered, seed: 3}}
        search_space:
          x: {{type: float, low: 0, high: 1}}
        loop: {{max_iterations: 1, jobs_per_iteration: 3}}
        proposer: {{kind: sampler}}
        training:
          command: ["{sys.executable}", -S, "{directory}/program.py", "{{hyperparameters}}"]
        cluster:
          batch_system: {{kind: slurm}}
          resources: {{cpus: 1, walltime: 5m}}
          poll: {{floor: 0.2s, ceiling: 1s}}
        directories: {{local_base: {directory}/results}}
        """
    config.write_text(textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, "-m", "agents.run", "--config", str(config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def until(what, search, seconds=180):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if what():
            return
        assert search.poll() is None, search.communicate()[0]
        time.sleep(0.1)
    search.kill()
    raise AssertionError(f"it never came true\n{search.communicate()[0]}")


def test_cancelled_trials_leave_the_queue_and_the_search_ends_with_the_others(lab, tmp_path):
    search = started(tmp_path)

    def text():
        found = list(tmp_path.glob("results/*/run.json"))
        return status_text(run_state(run_at(found[0].parent))) if found else ""

    until(lambda: text().count("epoch 3") == 2, search)
    (card,) = tmp_path.glob("results/*/run.json")
    run = card.parent
    assert "▁" in text()
    until(lambda: "1 completed" in text(), search)
    answer = ask(run, "cancel", {"trials": [0]}, wait=120)
    assert (answer.state, answer.said) == ("taken", "trial 0 cancelled, unless ended already")
    answer = ask(run, "cancel", {"trials": "all"}, wait=120)
    assert (answer.state, answer.said) == ("taken", "trial 1 cancelled, unless ended already")
    screen, _ = search.communicate(timeout=180)
    assert search.returncode == 0, screen
    lab.wait_until_empty()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["failures"] == {"cancelled": 2}
    assert summary["counts"]["completed"] == 1
    assert screen.count("cancelled: cancelled on request of ") == 2
