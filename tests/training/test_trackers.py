"""TensorBoard and W&B beside metrics.jsonl, and what is said where they are missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).parents[2]
TINY = ["--epochs", "2", "--width", "2", "--hidden", "4", "--batch-size", "500"]


def train(directory, *flags, path=()):
    """The end of a training where the packages in `path` come first."""
    environment = {**os.environ, "PYTHONPATH": ":".join(map(str, path)), "HOME": str(directory)}
    arguments = ["--output-dir", directory, *TINY, *flags]
    return forked.training(*arguments, environment=environment).wait()


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_tensorboard_gets_the_names_and_values_of_the_metrics(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = train(tmp_path, "--tensorboard")
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(lines(tmp_path)[0]) - {"step", "time"}
    told = [(event.step, event.value) for event in events.Scalars("accuracy")]
    assert told == [(line["step"], pytest.approx(line["accuracy"])) for line in lines(tmp_path)]


def test_wandb_offline_writes_into_the_directory(tmp_path):
    pytest.importorskip("wandb")
    command = [sys.executable, "-m", "training.train", "--output-dir", str(tmp_path), *TINY]
    done = subprocess.run(
        [*command, "--wandb", "offline", "--wandb-project", "mine"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.parametrize(
    ("flags", "package"), [(["--tensorboard"], "tensorboard"), (["--wandb", "offline"], "wandb")]
)
def test_a_tracker_that_is_missing_is_one_message(tmp_path, flags, package):
    (tmp_path / "without" / package).mkdir(parents=True)
    (tmp_path / "without" / package / "__init__.py").write_text("raise ImportError('not here')")
    done = train(tmp_path / "job", *flags, path=[tmp_path / "without"])
    assert done.returncode == 2
    assert f"`pip install {package}`" in done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads((tmp_path / "job" / "results.json").read_text())
    assert result["status"] == "failed"
    assert package in result["error"]["message"]


FAKE = """
import os
class Error(Exception):
    pass
class Run:
    def log(self, values, step):
        LOG
    def finish(self):
        FINISH
def init(**settings):
    return Run()
"""


def without_network(directory, log="pass", finish="pass"):
    """A wandb that fails as the real one does, once its helper process is gone."""
    directory.mkdir()
    (directory / "wandb.py").write_text(FAKE.replace("LOG", log).replace("FINISH", finish))
    return [directory]


BROKEN = "raise ConnectionResetError('Connection lost')"


@pytest.mark.parametrize(
    "fails", [{"log": BROKEN}, {"finish": BROKEN}, {"log": BROKEN, "finish": "while True: pass"}]
)
def test_a_tracker_that_fails_costs_one_warning_and_no_training(tmp_path, fails):
    fake = without_network(tmp_path / "fake", **fails)
    done = train(tmp_path / "job", "--wandb", "online", path=fake)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("warning: W&B")]
    words = "gets nothing more, it has failed (ConnectionResetError: Connection lost)"
    assert said == [f"warning: W&B {words}"]
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "job" / "results.json").read_text())["status"] == "completed"
    assert [line["step"] for line in lines(tmp_path / "job")] == [1, 2]


def test_the_result_is_written_before_a_tracker_has_time_to_hang(tmp_path):
    finish = f"print(os.path.exists({str(tmp_path / 'job' / 'results.json')!r}))"
    done = train(
        tmp_path / "job",
        "--wandb",
        "online",
        path=without_network(tmp_path / "fake", finish=finish),
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_guessing_for_long_is_a_divergence_and_slow_learning_is_not(tmp_path):
    stuck = train(tmp_path / "stuck", "--learning-rate", "1e-9", "--chance-epochs", "2")
    assert stuck.returncode == 1
    result = json.loads((tmp_path / "stuck" / "results.json").read_text())
    assert result["status"] == "diverged"
    assert "that of guessing" in result["error"]["message"]
    slow = train(tmp_path / "slow", "--learning-rate", "0.01", "--chance-epochs", "2")
    assert slow.returncode == 0, slow.stderr
