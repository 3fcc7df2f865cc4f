"""A search with a pruner over real child processes."""

import json

from loop_run import run_directory, write_config
from test_loop import ended, summary

PROGRAM = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
x = json.load(open("hyperparameters.json"))["hyperparameters"]["x"]
steps, curve, status = [], [], "completed"
for step in range(1, 4):
    steps.append(step)
    curve.append(1 - abs(x - 0.3))
    with open("metrics.jsonl", "a") as stream:
        stream.write(json.dumps({"step": step, "time": 0.1, "accuracy": curve[-1]}) + "\\n")
for _ in range(1200):
    if x <= 0.8 or os.path.exists("STOP"):
        break
    time.sleep(0.05)  # a weak trial waits for the word, and completes where it never comes
if os.path.exists("STOP"):
    status = "pruned"
result = {"schema": 1, "status": status, "metrics": {}, "curve": {"step": steps, "accuracy": curve}}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


def test_a_weak_trial_ends_on_request_and_the_report_says_why(tmp_path):
    config = write_config(
        tmp_path,
        "loop: {max_iterations: 2, jobs_per_iteration: 2}\n"
        "initial_trials: [{x: 0.3, y: 1}, {x: 0.2, y: 1}, {x: 0.9, y: 1}, {x: 0.31, y: 1}]\n"
        "pruner: {kind: median, startup_trials: 2}\n",
    )
    (tmp_path / "program.py").write_text(PROGRAM)
    ended(config)
    assert summary(config)["counts"]["pruned"] == 1
    assert summary(config)["counts"]["completed"] == 3
    run = run_directory(config)
    report = json.loads((run / "reports" / "iteration_002.json").read_text())
    weak = next(trial for trial in report["trials"] if trial["state"] == "pruned")
    assert weak["value"] is None
    assert "pruned: 0.4 at best after step 3" in weak["warnings"][0]
