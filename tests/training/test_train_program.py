"""The reference program as a real process, on the embedded images."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest

from training.contract import Task, parse_metrics, parse_result, write_task

ROOT = Path(__file__).parent.parent.parent
QUICK = {"learning_rate": 0.05, "batch_size": 256, "width": 4}


def start(directory, hyperparameters, epochs=1, seed=1):
    task = Task("test", 3, "job", seed, hyperparameters, {"epochs": epochs})
    write_task(directory / "hyperparameters.json", task)
    return forked.training("--hyperparameters", directory / "hyperparameters.json")


def result(directory):
    return parse_result((directory / "results.json").read_bytes())


def test_it_learns_and_keeps_the_contract(tmp_path):
    assert start(tmp_path, QUICK, epochs=2).wait().returncode == 0
    found = result(tmp_path)
    lines, _ = parse_metrics((tmp_path / "metrics.jsonl").read_bytes())
    assert (found.status, found.trial, found.error) == ("completed", 3, None)
    assert [line.step for line in lines] == [1, 2]
    assert [line.values["accuracy"] for line in lines] == list(found.curve.accuracy)
    assert found.metrics["final_accuracy"] > 0.3  # chance is 0.1


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(tmp_path):
    curves = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        start(tmp_path / name, QUICK, seed=seed).wait()
        curves.append(result(tmp_path / name).curve)
    assert curves[0] == curves[1] != curves[2]


def test_a_learning_rate_that_is_far_too_high_diverges(tmp_path):
    assert start(tmp_path, {**QUICK, "learning_rate": 1e18}, epochs=3).wait().returncode == 1
    assert result(tmp_path).status == "diverged"


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        ({"learning_rat": 0.1}, "did you mean learning_rate?"),
        ({"batch_size": 2.5}, "2.5 is not of type int"),
        ({"optimizer": "lion"}, "'lion' cannot be used"),
        ({"model": "resnet19"}, "'resnet19' is none of cnn, resnet18"),
        ({"learning_rate": -1.0}, "-1.0 cannot be used"),
        ({"batch_size": 6000}, "6000 is more than the 5000 training images"),
        ({"layers": 6}, "6 halvings leave nothing of 28 pixels"),
    ],
)
def test_hyperparameters_that_it_does_not_know_are_a_failure_with_a_reason(
    tmp_path, hyperparameters, words
):
    done = start(tmp_path, hyperparameters).wait()
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    found = result(tmp_path)
    assert found.status == "failed"
    assert words in found.error.message


def test_zero_epochs_are_refused_with_a_result(tmp_path):
    assert start(tmp_path, QUICK, epochs=0).wait().returncode == 2
    assert "one whole epoch" in result(tmp_path).error.message


def test_a_stop_file_ends_it_after_the_epoch(tmp_path):
    (tmp_path / "STOP").touch()
    assert start(tmp_path, QUICK, epochs=50).wait().returncode == 0
    assert result(tmp_path).status == "pruned"
    assert result(tmp_path).curve.step == (1.0,)


def test_sigterm_leaves_a_result_with_what_was_found(tmp_path):
    process = start(tmp_path, QUICK, epochs=500)
    limit = time.monotonic() + 180
    while not (tmp_path / "metrics.jsonl").exists() or not (tmp_path / "metrics.jsonl").read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait().returncode == 1
    assert result(tmp_path).status == "preempted"
    assert result(tmp_path).curve.step


def test_a_task_that_cannot_be_read_is_one_message(tmp_path):
    (tmp_path / "hyperparameters.json").write_text("{")
    command = [
        sys.executable,
        "-m",
        "training.train",
        "--hyperparameters",
        str(tmp_path / "hyperparameters.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: hyperparameters.json is not valid JSON")


def test_training_needs_nothing_but_torch():
    code = (
        "import sys, training.train, training.models.resnet, training.data.cifar\n"
        "ours = {'pydantic', 'langgraph', 'optuna', 'jinja2', 'yaml', 'agents', 'scheduler'}\n"
        "print(json.dumps(sorted(ours & {m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import json\n{code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
