"""A search with a pruner over real child processes."""

import json

import optuna
from loop_run import run_directory, write_config
from test_loop import ended, summary

from agents.commands.explain import explain

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


def pruned_trial(tmp_path, pruner):
    """The one trial of four that a search with this pruner ends, as its report has it; and the run."""
    config = write_config(
        tmp_path,
        "loop: {max_iterations: 2, jobs_per_iteration: 2}\n"
        "initial_trials: [{x: 0.3, y: 1}, {x: 0.2, y: 1}, {x: 0.9, y: 1}, {x: 0.31, y: 1}]\n"
        f"pruner: {pruner}\n",
    )
    (tmp_path / "program.py").write_text(PROGRAM)
    ended(config)
    assert summary(config)["counts"]["pruned"] == 1
    assert summary(config)["counts"]["completed"] == 3
    run = run_directory(config)
    report = json.loads((run / "reports" / "iteration_002.json").read_text())
    return next(trial for trial in report["trials"] if trial["state"] == "pruned"), run


def test_a_weak_trial_ends_on_request_and_the_report_says_why(tmp_path):
    weak, _ = pruned_trial(tmp_path, "{kind: median, startup_trials: 2}")
    assert weak["value"] is None
    assert "pruned: 0.4 at best after step 3" in weak["warnings"][0]


def test_halving_ends_a_trial_that_ranks_low_at_a_rung_and_explain_says_so(tmp_path):
    pruner = "{kind: halving, startup_trials: 2, warmup_steps: 2, reduction_factor: 2}"
    weak, run = pruned_trial(tmp_path, pruner)
    assert (weak["trial"], weak["value"]) == (2, None)
    assert weak["warnings"][0].startswith("pruned: 0.4 at best up to step 2, rank ")
    assert "0.4 at best up to step 2" in explain(run, 2)
    events = map(json.loads, (run / "logs" / "run.jsonl").read_text().splitlines())
    (asked,) = (one for one in events if one["event"] == "prune")
    assert (asked["trial"], asked["step"], asked["go_on"]) == (2, 2, asked["reached"] // 2)


LOSS = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
x = json.load(open("hyperparameters.json"))["hyperparameters"]["x"]
for step in (1, 2, 3):
    told = {"loss": 0.5} if step == 3 and x < 0.5 else {"accuracy": 0.1}
    with open("metrics.jsonl", "a") as stream:
        stream.write(json.dumps({"step": step, "time": 0.1, **told}) + "\\n")
    time.sleep(1)
result = {"schema": 1, "status": "completed", "metrics": {"loss": 0.5}}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


def test_an_accuracy_is_never_entered_as_a_loss(tmp_path):
    """Of one trial that tells of its loss late, and of one that never does: both would rank first."""
    config = write_config(
        tmp_path,
        "loop: {max_iterations: 1, jobs_per_iteration: 2}\n"
        "initial_trials: [{x: 0.3, y: 1}, {x: 0.6, y: 1}]\n"
        "objective: {metric: loss, direction: minimize}\n",
    )
    (tmp_path / "program.py").write_text(LOSS)
    ended(config)
    study = optuna.load_study(
        study_name=None, storage=f"sqlite:///{run_directory(config) / 'study.db'}"
    )
    assert [trial.intermediate_values for trial in study.trials] == [{3: 0.5}, {}]
