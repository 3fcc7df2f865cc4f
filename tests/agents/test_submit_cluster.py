"""submit and harvest on a real Slurm: once, whatever the controller does; refusals told."""

import json
import sys

import pytest
from doctor_bench import run
from lab_fixtures import plain_slurm  # noqa: F401

pytestmark = pytest.mark.cluster

PROGRAM = """\
import json, os, sys
os.chdir(os.path.dirname(sys.argv[1]))
open("runs", "a").write("x")
task = json.load(open("hyperparameters.json"))
result = {"schema": 1, "status": "completed", "trial": task["trial"],
          "metrics": {"accuracy_auc": task["hyperparameters"]["x"]}}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


@pytest.fixture
def lab(plain_slurm, monkeypatch):  # noqa: F811
    for key, value in plain_slurm.environment.items():
        monkeypatch.setenv(key, value)
    yield plain_slurm
    plain_slurm.clear()


def write_config(directory, resources="walltime: 2m"):
    (directory / "program.py").write_text(PROGRAM)
    path = directory / "template.yaml"
    path.write_text(
        f"""\
experiment: {{id: single}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
training: {{command: ["{sys.executable}", -S, "{directory}/program.py", "{{hyperparameters}}"]}}
cluster:
  batch_system: {{kind: slurm}}
  resources: {{{resources}}}
  poll: {{floor: 0.2s, ceiling: 1s, grace: 5s}}
directories: {{local_base: "{directory}/results"}}
"""
    )
    return path


def test_a_job_goes_through_slurm_and_waiting_is_told_with_its_reason(lab, tmp_path):
    config = write_config(tmp_path)
    held = run("submit", "-c", config, "--json", "x=0.25", "--set",
               "cluster.resources.directives={hold: null}")  # fmt: skip
    assert held.returncode == 0, held.stderr
    (one,) = json.loads(held.stdout)
    (found,) = json.loads(run("harvest", one["directory"], "--json").stdout)
    assert (found["state"], found["job_id"]) == ("queued", one["job_id"])
    assert "held by its user" in found["why"]
    told = run("status", one["directory"]).stdout
    assert "trials     1 queued" in told
    assert "1 running" not in told
    assert f"queued ({found['why']}), job {one['job_id']}" in told
    lab.client("scontrol", "release", one["job_id"], check=True)
    done = run("harvest", tmp_path / "results", "--wait", "--json")
    assert done.returncode == 0, done.stdout
    (found,) = json.loads(done.stdout)
    assert (found["state"], found["value"]) == ("completed", 0.25)


def test_a_controller_that_is_away_costs_no_second_job(lab, tmp_path):
    config = write_config(tmp_path)
    lab.stop_controller()
    try:
        done = run("submit", "-c", config, "x=0.5")
    finally:
        lab.start_controller()
        lab.wait_until_idle()
    assert done.returncode == 1
    assert "to be submitted: submission in doubt" in done.stdout, done.stdout + done.stderr
    assert "harvest" in done.stdout
    # For three minutes Slurm may still own up to a job: nothing is submitted anew.
    early = run("harvest", tmp_path / "results")
    assert "to be submitted: submission in doubt" in early.stdout
    (since,) = (tmp_path / "results").glob("*/job_*/submitting")
    since.write_text(f"{int(since.read_text()) - 300}\n")
    harvested = run("harvest", tmp_path / "results", "--wait")
    assert "completed: accuracy_auc 0.5000" in harvested.stdout, harvested.stdout
    (job,) = (tmp_path / "results").glob("*/job_*")
    assert (job / "runs").read_text() == "x"


def test_a_refusal_is_a_failed_experiment_in_slurms_words(lab, tmp_path):
    done = run("submit", "-c", write_config(tmp_path, "queue: nosuch"))
    assert done.returncode == 1
    assert "failed: refused by the scheduler" in done.stdout
    assert "invalid partition" in done.stdout.lower()
    again = run("harvest", tmp_path / "results")
    assert again.returncode == 1
    assert "invalid partition" in again.stdout.lower()


def test_a_queued_experiment_is_cancelled_through_slurm(lab, tmp_path):
    config = write_config(tmp_path)
    held = run("submit", "-c", config, "--json", "--set",
               "cluster.resources.directives={hold: null}")  # fmt: skip
    (one,) = json.loads(held.stdout)
    done = run("cancel", one["directory"], "0", "--wait", "60")
    assert done.returncode == 0, done.stderr
    assert "trial 0 cancelled" in done.stdout
    assert one["job_id"] not in lab.client("squeue", "-h", "-o", "%i", check=True).stdout.split()
    (found,) = json.loads(run("harvest", one["directory"], "--json").stdout)
    assert found["state"] == "failed"
    assert "cancelled on request of" in found["why"]
