"""What ``explain`` and ``status`` tell of a trial whose program failed: its last words, where the rest lies."""

import json
import sys

import pytest
from forked import command

PROGRAM = """\
import sys
print("loading", file=sys.stderr)
print("\\033[31mred\\033[0m", file=sys.stderr)
raise ValueError("shapes do not match")
"""


def pilothouse(*words):
    return command(words).stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("failed")
    (directory / "program.py").write_text(PROGRAM)
    config = directory / "config.yaml"
    config.write_text(
        f"""\
experiment: {{id: failed}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
training: {{command: ["{sys.executable}", "-S", "{directory}/program.py"]}}
proposer: {{kind: sampler}}
loop: {{max_iterations: 1, jobs_per_iteration: 1}}
cluster: {{poll: {{floor: 0.05s, ceiling: 0.3s}}}}
directories: {{local_base: "{directory}/results"}}
"""
    )
    pilothouse("--config", str(config))
    return next((directory / "results").iterdir())


def test_the_end_of_its_stderr_and_its_directory_are_shown(run):
    told = pilothouse("explain", str(run), "0")
    assert "stderr:     ValueError: shapes do not match" in told
    assert "stderr:     loading" in told
    (place,) = (line.split()[-1] for line in told.splitlines() if "its files:" in line)
    assert place == str(run / "job_failed_iter_001_trial_0000")
    assert "\033" not in told


def test_scripts_get_both(run):
    document = json.loads(pilothouse("explain", str(run), "0", "--json"))
    assert document["files"].endswith("job_failed_iter_001_trial_0000")
    assert "shapes do not match" in document["stderr"]


def test_there_is_no_best_of_failed_ones(run):
    done = command(["explain", run])
    assert done.returncode == 2
    assert "none of its trials is completed" in done.stderr


def test_the_status_says_why(run):
    assert "failed     program error 1; the last: trial 0: the program ended" in pilothouse(
        "status", run
    )
    (state,) = json.loads(pilothouse("status", run, "--json"))
    assert state["failures"] == {"program error": 1}
    assert "shapes do not match" in state["last_failure"]
