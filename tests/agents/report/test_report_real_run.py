"""The report of a search that really ran, an attempt of it lost on the way."""

import json
import sys

import forked
import pytest
from report_markup import Page

from agents.report.reading import read_run
from agents.spans import spans

PROGRAM = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
task = json.load(open("hyperparameters.json"))
first = "_attempt_" not in os.getcwd()
time.sleep(0.4)
status = "preempted" if first and task["trial"] == 1 else "completed"
x = task["hyperparameters"]["x"]
curve = {"step": [1, 2], "accuracy": [0.5 * x, x]}
result = {"schema": 1, "status": status, "trial": task["trial"], "metrics": {"size": x * 100},
          "curve": curve, "seconds": 0.4, "environment": {"device_name": f"GPU {task['trial'] % 2}"}}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("a real rün")
    (directory / "program.py").write_text(PROGRAM)
    (directory / "config.yaml").write_text(
        f"""\
experiment: {{id: real, seed: 1}}
search_space: {{x: {{type: float, low: 0.1, high: 0.9}}}}
training: {{command: ["{sys.executable}", "-S", "{directory}/program.py", "{{hyperparameters}}"]}}
proposer: {{kind: sampler}}
loop: {{max_iterations: 2, jobs_per_iteration: 2}}
report: {{second_metric: size}}
cluster: {{batch_system: {{kind: local, slots: 1}}, poll: {{floor: 0.05s, ceiling: 0.3s}}}}
directories: {{local_base: "{directory}/results"}}
"""
    )
    done = forked.command(["--config", directory / "config.yaml"])
    assert done.returncode == 0, done.stdout + done.stderr
    return next((directory / "results").iterdir())


def test_the_ledger_knows_when_each_attempt_waited_and_ran(run):
    reading = read_run(run)
    found = spans(reading.view, reading.facts.updated_at)
    assert sorted((span.trial.number, span.job.attempt, span.cause) for span in found) == [
        (0, 1, ""), (1, 1, "preempted"), (1, 2, ""), (2, 1, ""), (3, 1, ""),
    ]  # fmt: skip
    for span in found:
        assert span.submitted <= span.started < span.ended
        assert span.ran > 0
    waited = {span.trial.number: span.queued for span in found if span.job.attempt == 1}
    # One slot: of each pair one job waits for the other.
    assert max(waited[0], waited[1]) > 0 and max(waited[2], waited[3]) > 0


def test_the_page_of_the_run_is_the_page_that_is_written_again(run):
    own = (run / "reports" / "report.html").read_text()
    summary = json.loads((run / "summary.json").read_text())
    again = run.parent / "again.html"
    done = forked.command(["report", run, "--output", again])
    assert done.returncode == 0, done.stderr
    assert Page(again.read_text()).text == Page(own).text
    words = Page(own).text
    assert "accuracy_auc against size" in words
    assert "1 attempt failed and was made again: preempted 1" in words
    assert "device name another GPU type" in words
    assert summary["cost"]["jobs"] == 5
    assert summary["cost"]["node_hours"] == pytest.approx(5 * 0.4 / 3600, rel=0.9)
    assert summary["trade_off"]["metric"] == "size"
    assert summary["environment_differences"]["device_name"] == {"GPU 0": [0, 2], "GPU 1": [1, 3]}
