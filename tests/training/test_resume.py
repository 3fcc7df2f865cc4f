"""A training that is interrupted ends with the numbers of one that is not."""

import shutil
import signal
import time
from pathlib import Path

import forked
import pytest
import torch

from training.contract import parse_metrics, parse_result
from training.learner import Learner
from training.train import main
from training.trainer import Trainer

OPTIONS = ["--batch-size", "256", "--width", "4", "--learning-rate", "0.05", "--dropout", "0.2"]
MORE = ["--schedule", "cosine", "--ema", "0.9", "--flip", "--optimizer", "adamw", "--seed", "5"]


def train(directory, *more, epochs=3):
    arguments = ["--output-dir", str(directory), "--epochs", str(epochs), *OPTIONS, *MORE, *more]
    return main(arguments)


def result(directory):
    return parse_result((directory / "results.json").read_bytes())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    assert train(directory) == 0
    return directory


def weights(directory):
    return torch.load(directory / "checkpoints" / "last.pt", weights_only=True)["model"]


def assert_equal(directory, undisturbed):
    assert result(directory).curve == result(undisturbed).curve
    for name, value in weights(undisturbed).items():
        assert torch.equal(weights(directory)[name], value), name


def test_resumed_after_an_epoch_it_is_bitwise_the_same(tmp_path, undisturbed):
    interrupted_after(tmp_path, epochs=1)
    assert train(tmp_path, "--resume") == 0
    assert result(tmp_path).environment["resumed_after"] >= 1
    assert_equal(tmp_path, undisturbed)


def test_a_signal_saves_the_epochs_since_the_last_checkpoint(tmp_path, undisturbed):
    interrupted_after(tmp_path, 1, "--checkpoint-every", "100")
    assert train(tmp_path, "--resume", "--checkpoint-every", "100") == 0
    assert result(tmp_path).environment["resumed_after"] >= 1
    assert_equal(tmp_path, undisturbed)


# Three epochs take no time: whoever sends the signal may be slower.
WAITS_FOR_THE_SIGNAL = """
import sys, time
import training.train as program
from training.trainer import Trainer
whole = Trainer._one
def one(trainer, epoch, metrics):
    whole(trainer, epoch, metrics)
    while epoch == EPOCHS and not program._must_stop():
        time.sleep(0.01)
Trainer._one = one
sys.exit(program.main())
"""


def interrupted_after(directory, epochs, *more):
    """A real process that gets SIGTERM once it has written so many lines."""
    script = directory.with_suffix(".py")
    script.write_text(WAITS_FOR_THE_SIGNAL.replace("EPOCHS", str(epochs)))
    arguments = ["--output-dir", directory, *more, "--epochs", "3", *OPTIONS, *MORE]
    process = forked.script(script, *arguments)
    metrics = directory / "metrics.jsonl"
    limit = time.monotonic() + 180
    while not metrics.exists() or metrics.read_text().count("\n") < epochs:
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait().returncode == 1
    assert result(directory).status == "preempted"


def test_a_broken_newest_checkpoint_is_passed_over(tmp_path, undisturbed, capsys):
    assert train(tmp_path) == 0
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    assert train(tmp_path, "--resume") == 0
    assert "trying the one before" in capsys.readouterr().out
    assert result(tmp_path).environment["resumed_after"] == 2
    assert_equal(tmp_path, undisturbed)


def test_epochs_that_are_trained_again_are_told_once(tmp_path, undisturbed):
    def steps():
        lines, _ = parse_metrics((tmp_path / "metrics.jsonl").read_bytes())
        return [line.step for line in lines]

    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    kept = tmp_path / "checkpoints"
    (kept / "before.pt").rename(kept / "last.pt")  # as if killed in the last epoch's checkpoint
    assert train(tmp_path, "--resume") == 0
    assert steps() == [1, 2, 3]
    assert train(tmp_path, epochs=1) == 0
    assert steps() == [1]


def spent(directory, seconds):
    """Make the newest checkpoint one of a training that took so long up to it; None: an old one."""
    path = directory / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    assert state.pop("seconds") > 0
    torch.save(state if seconds is None else {**state, "seconds": seconds}, path)


def until(directory, undisturbed, epoch=2):
    """A directory whose training ended after the second of three epochs."""
    shutil.copytree(undisturbed, directory, dirs_exist_ok=True)
    kept = directory / "checkpoints"
    (kept / "before.pt").rename(kept / "last.pt")
    assert torch.load(kept / "last.pt", weights_only=True)["epoch"] == epoch


def times(directory):
    return [line.time for line in parse_metrics((directory / "metrics.jsonl").read_bytes())[0]]


def test_time_goes_on_from_where_the_checkpoint_was(tmp_path, undisturbed):
    until(tmp_path, undisturbed)
    spent(tmp_path, 5000.0)
    assert train(tmp_path, "--resume") == 0
    assert 5000 < times(tmp_path)[2] < result(tmp_path).seconds < 5600
    assert result(tmp_path).environment["earlier_seconds"] == 5000
    kept = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["seconds"]
    assert kept == pytest.approx(times(tmp_path)[2], abs=10)


def test_a_checkpoint_without_a_time_is_gone_on_from_with_none(tmp_path, undisturbed):
    until(tmp_path, undisturbed)
    spent(tmp_path, None)
    assert train(tmp_path, "--resume") == 0
    assert result(tmp_path).environment["earlier_seconds"] == 0
    assert_equal(tmp_path, undisturbed)


@pytest.mark.parametrize(("budget", "steps"), [("4000", (1, 2)), ("100000", (1, 2, 3))])
def test_the_time_budget_counts_what_was_spent_before(tmp_path, undisturbed, budget, steps):
    until(tmp_path, undisturbed)
    spent(tmp_path, 5000.0)
    assert train(tmp_path, "--resume", "--seconds", budget) == 0
    assert result(tmp_path).curve.step == steps
    assert result(tmp_path).status == "completed"


def content(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["flag", "flags", "variable"])
def test_it_goes_on_from_an_earlier_attempts_directory(tmp_path, undisturbed, monkeypatch, way):
    earlier, new = tmp_path / "earlier", tmp_path / "new"
    until(earlier, undisturbed)
    before = content(earlier)
    if way == "variable":
        monkeypatch.setenv("PILOTHOUSE_EARLIER", str(earlier))
    more = ["--resume-from", str(tmp_path / "missing")] if way == "flags" else []
    more += ["--resume"] if way == "variable" else ["--resume-from", str(earlier)]
    assert train(new, *more) == 0
    assert result(new).environment["resumed_after"] == 2
    assert_equal(new, undisturbed)
    told, was = ((path / "metrics.jsonl").read_text().splitlines() for path in (new, earlier))
    assert (told[:2], len(told)) == (was[:2], 3)
    assert content(earlier) == before
    assert {path.name for path in (new / "checkpoints").iterdir()} >= {"last.pt", "best.pt"}


def test_its_own_checkpoint_comes_first_where_it_can_be_read(tmp_path, undisturbed):
    until(tmp_path, undisturbed)
    assert train(tmp_path, "--resume-from", str(undisturbed)) == 0
    assert result(tmp_path).environment["resumed_after"] == 2
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    assert train(tmp_path, "--resume-from", str(undisturbed)) == 0
    assert result(tmp_path).environment["resumed_after"] == 3
    assert_equal(tmp_path, undisturbed)


@pytest.mark.parametrize("every", ["1", "0"])
def test_an_attempt_that_died_at_once_hands_on_what_it_began_with(
    tmp_path, undisturbed, monkeypatch, every
):
    until(tmp_path / "1", undisturbed)
    with monkeypatch.context() as dying:
        dying.setattr(Trainer, "_one", lambda *_: 1 / 0)
        more = ["--resume-from", str(tmp_path / "1"), "--checkpoint-every", every]
        assert train(tmp_path / "2", *more) == 1
    assert train(tmp_path / "3", "--resume-from", str(tmp_path / "2")) == 0
    assert result(tmp_path / "3").environment["resumed_after"] == (2 if every == "1" else 0)
    assert_equal(tmp_path / "3", undisturbed)


@pytest.mark.parametrize("more", [["--resume-from", "nowhere"], ["--resume"], []])
def test_where_there_is_nothing_training_begins_anew(tmp_path, monkeypatch, capsys, more):
    monkeypatch.setenv("PILOTHOUSE_EARLIER", "")
    assert train(tmp_path, *more, epochs=1) == 0
    said = capsys.readouterr().err
    words = "warning: --resume: no checkpoint that can be read in nowhere; training begins anew\n"
    assert said == (words if "nowhere" in more else "")
    assert result(tmp_path).environment["resumed_after"] == 0


def test_the_variable_alone_resumes_nothing(tmp_path, undisturbed, monkeypatch):
    monkeypatch.setenv("PILOTHOUSE_EARLIER", str(undisturbed))
    assert train(tmp_path, epochs=1) == 0
    assert result(tmp_path).environment["resumed_after"] == 0


def test_an_earlier_attempt_of_another_training_is_refused(tmp_path, undisturbed):
    assert train(tmp_path, "--resume-from", str(undisturbed), "--width", "6") == 2
    assert "the checkpoint is of other hyperparameters" in result(tmp_path).error.message


def test_checkpoints_that_cannot_be_taken_over_cost_a_warning(
    tmp_path, undisturbed, monkeypatch, capsys
):
    def refuse(source, target):
        Path(target).write_bytes(b"half of a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("shutil.copyfile", refuse)
    assert train(tmp_path, "--resume-from", str(undisturbed)) == 0
    assert capsys.readouterr().err.count("warning: no checkpoint could be written") == 1
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert result(tmp_path).curve == result(undisturbed).curve


def test_only_the_last_two_and_the_best_are_kept(undisturbed):
    names = {path.name for path in (undisturbed / "checkpoints").iterdir()}
    assert names == {"last.pt", "before.pt", "best.pt"}


@pytest.mark.parametrize("every", ["1", "2", "100"])
@pytest.mark.parametrize("best", [1, 2, 3])
def test_the_best_is_the_best_epoch_however_rarely_checkpoints_are_written(
    tmp_path, monkeypatch, undisturbed, every, best
):
    whole = Trainer._one

    def one(trainer, epoch, metrics):
        monkeypatch.setattr(
            trainer.learner, "accuracy", lambda part: 0.9 if epoch == best else 0.1 * epoch
        )
        whole(trainer, epoch, metrics)

    monkeypatch.setattr(Trainer, "_one", one)
    assert train(tmp_path, "--checkpoint-every", every) == 0
    kept = torch.load(tmp_path / "checkpoints" / "best.pt", weights_only=True)
    assert kept["epoch"] == best
    if best == 3:
        for name, value in weights(undisturbed).items():
            assert torch.equal(kept["model"][name], value), name


def test_the_best_keeps_its_own_weights_while_training_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "accuracy", lambda learner, part: 0.5)  # the first is the best
    kept = []
    for every in ("1", "100"):
        assert train(tmp_path / every, "--checkpoint-every", every) == 0
        best = tmp_path / every / "checkpoints" / "best.pt"
        kept.append(torch.load(best, weights_only=True)["model"])
    for name, value in kept[0].items():
        assert torch.equal(kept[1][name], value), name


def test_a_stop_file_saves_the_epochs_since_the_last_checkpoint(tmp_path):
    (tmp_path / "STOP").touch()
    assert train(tmp_path, "--checkpoint-every", "100") == 0
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"last.pt", "best.pt"}


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--width", "6"], "hyperparameters"),
        (["--seed", "6"], "seeds"),
        (["--data", "synthetic"], "data"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, undisturbed, flags, what):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    assert train(tmp_path, "--resume", *flags) == 2
    assert result(tmp_path).error.message == f"--resume: the checkpoint is of other {what}"


def test_test_accuracy_is_computed_once_at_the_end_and_apart_from_the_curve(tmp_path):
    assert train(tmp_path, "--data", "synthetic", epochs=1) == 0
    found = result(tmp_path)
    assert found.environment["data"] == "synthetic"
    assert 0 <= found.metrics["test_accuracy"] <= 1
    assert found.metrics["final_accuracy"] == found.curve.accuracy[-1]
