"""Five programs that were not written for Pilothouse, tuned as they are: only the command tells of them."""

import json
import sys
from pathlib import Path

import pytest
from loop_run import run_directory, start

ARGPARSE = """\
import argparse, sys
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float)
p.add_argument("--momentum", type=float)
p.add_argument("--nesterov", action="store_true")
p.add_argument("--layers", type=int, nargs="+")
p.add_argument("--epochs", type=int)
a = p.parse_args()
assert (a.momentum is None) == (a.lr < 0.01), "only where its condition holds"
for epoch in range(1, a.epochs + 1):
    print(f"Epoch [{epoch}/{a.epochs}] loss: {1 / epoch:.2f} val_acc: {100 * a.lr * sum(a.layers) / 200:.2f}%")
print("best val_acc: 99.9%")
"""
OVERRIDES = """\
import logging, sys, os
logging.basicConfig(level=logging.INFO)
given = dict(word.split("=") for word in sys.argv[1:])
open("fixed_name.txt", "x")  # every trial writes the same file
assert given["model.cap"] in ("null", "3"), given
for n in range(int(given["rounds"])):
    logging.info("[%d]\\tvalidation-merror:%.5f", n, float(given["train.rate"]) / (n + 1))
"""
TRAINER = """\
import csv, os, sys
lines = dict(line.strip().split(": ") for line in open(sys.argv[1]) if ": " in line)
class Logger:
    rows = []
    def log(self, **row):  # rewrites the file, with a head that grows
        os.makedirs("logs/version_0", exist_ok=True)
        self.rows.append(row)
        with open("logs/version_0/metrics.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, sorted({key for row in self.rows for key in row}))
            writer.writeheader()
            writer.writerows(self.rows)
logger = Logger()
for epoch in range(int(lines["max_epochs"])):
    logger.log(epoch=epoch, step=10 * epoch, train_loss=0.5)
    logger.log(epoch=epoch, step=10 * epoch, val_acc=float(lines["lr"]) * (epoch + 1))
logger.log(epoch=epoch, step=99, test_acc=0.1)
"""
SOLVER = """\
#!/bin/sh
# A binary in all but name: reads a namelist, writes a log where it works.
omega=$(sed -n 's/^ *omega *= *//p' "$1")
awk -v omega="$omega" 'BEGIN {
  for (i = 1; i <= 3; i++) printf " iter %5d  residual = %12.5E\\n", i, omega / i
  printf " Total wall time:   %8.4f s\\n RMSE = 1.5D-03\\n", 10 + (omega - 1.5) ^ 2 }' > solver.log
"""
JSON_LINES = """\
import json, os, sys
with open("log.jsonl", "w") as stream:
    for epoch in range(1, 4):
        stream.write(json.dumps({"epoch": epoch, "train/loss": 1 / epoch}) + "\\n")
        acc = float("nan") if float(sys.argv[1]) > 0.5 else float(os.environ["RATE"]) * epoch
        stream.write(json.dumps({"epoch": epoch, "eval/acc": acc}) + "\\n")
"""

EXAMPLE = Path(__file__).parents[3] / "examples" / "unchanged"


def test_the_example_runs(tmp_path):
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    base = f"directories.local_base={tmp_path / 'results'}"
    run = start(tmp_path / "config.yaml", "--max-iterations", "1", "--set", base)
    assert run.wait() == 0, run.screen
    for job in run_directory(tmp_path / "config.yaml").glob("job_*"):
        lines = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
        assert json.loads((job / "results.json").read_text())["metrics"] == {
            "val_acc": lines[-1]["val_acc"]
        }


def search(directory, objective, space, command, first, budget="{}"):
    python = [sys.executable, "-S"]
    words = [*python, "{adapt}"]
    for word in command:
        words += python if word == "python" else [word]
    config = directory / "config.yaml"
    config.write_text(
        f"""\
experiment: {{id: own}}
objective: {objective}
search_space: {space}
initial_trials: [{first}]
training: {{command: {json.dumps(words)}, directory: ., budget: {budget}}}
proposer: {{kind: sampler}}
loop: {{max_iterations: 1, jobs_per_iteration: 2}}
cluster: {{poll: {{floor: 0.05s, ceiling: 0.5s}}}}
directories: {{local_base: {directory / "results"}}}
"""
    )
    run = start(config)
    run.wait()
    jobs = sorted(run_directory(config).glob("job_*"))
    return run.screen, [json.loads((job / "results.json").read_text()) for job in jobs], jobs


def test_argparse_prints_percent(tmp_path):
    (tmp_path / "train.py").write_text(ARGPARSE)
    _, (first, second), jobs = search(
        tmp_path,
        "{metric: best_accuracy}",
        "{lr: {type: categorical, choices: [0.5, 0.001]},"
        " momentum: {type: fixed, value: 0.9, when: {lr: 0.5}},"
        " nesterov: {type: categorical, choices: [true, false]},"
        " layers: {type: categorical, choices: ['64', '64 64']}}",
        [
            "--percent",
            "val_acc",
            "--step",
            "epoch",
            "--",
            "python",
            "train.py",
            "--lr",
            "{lr}",
            "--momentum",
            "{momentum}",
            "--nesterov={nesterov}",
            "--layers",
            "{layers...}",
            "--epochs",
            "{epochs}",
        ],
        "{lr: 0.001, nesterov: false, layers: '64 64'}",
        "{epochs: 3}",
    )
    assert first["environment"]["command"][2:] == (
        ["train.py", "--lr", "0.001", "--layers", "64", "64", "--epochs", "3"]
    )
    assert first["curve"] == {"step": [1, 2, 3], "accuracy": [pytest.approx(0.0006)] * 3}
    assert "--nesterov" in second["environment"]["command"]
    assert second["metrics"]["val_acc"] == 16.0, "the summary's 99.9 belongs to no epoch"
    assert (jobs[1] / "metrics.jsonl").read_text().count("\n") == 3
    assert (jobs[1] / "job.out").read_text().endswith("best val_acc: 99.9%\n")


def test_overrides_are_logged_to_stderr_by_a_program_that_writes_one_fixed_file(tmp_path):
    (tmp_path / "train.py").write_text(OVERRIDES)
    screen, (first, second), _ = search(
        tmp_path,
        "{metric: merror, direction: minimize}",
        "{rate: {type: float, low: 1e-5, high: 1, scale: log, default: 0.2},"
        " cap: {type: categorical, choices: [null, 3]}}",
        [
            *("--metric", r"merror=validation-merror:(\S+)", "--in-job", "--"),
            *("python", str(tmp_path / "train.py")),
            *("train.rate={rate}", "model.cap={cap}", "rounds={rounds}"),
        ],
        "{rate: 1e-5}",
        "{rounds: 2}",
    )
    assert (first["status"], second["status"]) == ("completed", "completed"), screen
    assert first["environment"]["command"][3:] == (
        ["train.rate=1.0e-05", "model.cap=null", "rounds=2"]
    )
    assert first["metrics"] == {"merror": 1e-5}  # five digits were printed
    assert second["metrics"] == {"merror": 0.1}


def test_a_trainer_reads_a_yaml_file_and_rewrites_a_csv(tmp_path):
    (tmp_path / "train.py").write_text(TRAINER)
    (tmp_path / "trial.yaml.in").write_text(
        "model: # {not a place}\n  lr: {lr}\n  warmup: {warmup}\ntrainer:\n  max_epochs: {epochs}\n"
    )
    screen, (first, _), (job, _) = search(
        tmp_path,
        "{metric: accuracy_auc}",
        "{lr: {type: float, low: 0, high: 0.3, default: 0.1},"
        " warmup: {type: fixed, value: 5, when: {on: 1}}, on: {type: categorical, choices: [0, 1]}}",
        "--accuracy val_acc --step epoch --from logs/version_0/metrics.csv --fill trial.yaml.in --in-job --"
        f" env X={{on}} python {tmp_path}/train.py {{job_dir}}/trial.yaml".split(),
        "{lr: 0.2, on: 0}",
        "{epochs: 3}",
    )
    text = (job / "trial.yaml").read_text()
    assert "warmup" not in text and "{not a place}" in text and "  lr: 0.2\n" in text
    assert first["curve"] == {"step": [0, 1, 2], "accuracy": pytest.approx([0.2, 0.4, 0.6])}
    assert first["metrics"]["val_acc"] == pytest.approx(0.6)
    assert "accuracy_auc 0.4000" in screen


def test_a_solver_reads_a_namelist_and_writes_a_log(tmp_path):
    (tmp_path / "solver").write_text(SOLVER)
    (tmp_path / "solver").chmod(0o755)
    (tmp_path / "run.nml.in").write_text("&solver\n  omega = {omega}\n  seed = {seed}\n/\n")
    _, (first, _), (job, _) = search(
        tmp_path,
        "{metric: Total wall time, direction: minimize, second: {metric: RMSE, direction: minimize}}",
        "{omega: {type: float, low: 1, high: 2}}",
        [
            *("--metric", "residual", "--metric", "Total wall time", "--metric", "RMSE"),
            *("--step", "iter", "--from", "{job_dir}/solver.log", "--fill", "run.nml.in"),
            *("--in-job", "--", str(tmp_path / "solver"), "{job_dir}/run.nml"),
        ],
        "{omega: 2.0}",
    )
    assert first["metrics"] == {
        "residual": pytest.approx(2 / 3, abs=1e-6),
        "Total wall time": 10.25,
        "RMSE": 0.0015,
    }
    lines = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["residual"]) for line in lines] == [(1, 2), (2, 1), (3, 0.666667)]


def test_json_lines_with_names_of_their_own_and_a_loss_that_is_no_number(tmp_path):
    (tmp_path / "train.py").write_text(JSON_LINES)
    screen, (first, second), _ = search(
        tmp_path,
        "{metric: eval/acc}",
        "{rate: {type: float, low: 0, high: 1, default: 0.1}}",
        "--metric eval/acc --step epoch --from log.jsonl --in-job --"
        f" env RATE={{rate}} python {tmp_path}/train.py {{rate}}".split(),
        "{rate: 0.9}",
    )
    assert (first["status"], first["metrics"]) == ("diverged", {"eval/acc": None})
    assert "trial 0 failed: diverged" in screen
    assert second["metrics"] == {"eval/acc": pytest.approx(0.3)}
