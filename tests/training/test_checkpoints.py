"""Files that a disk has changed, and file systems that lack something."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from training import checkpoints
from training.contract import parse_result
from training.distributed import Ranks
from training.options import read_options
from training.settings import Settings
from training.trainer import Found, Trainer


def state(epoch):
    return {"epoch": epoch, "model": {"weight": torch.full((1000,), float(epoch))}}


@pytest.mark.parametrize("place", [0, 30, "weights", -30, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path, capsys, place):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, state(epoch), None)
    path = tmp_path / checkpoints.LAST
    content = bytearray(path.read_bytes())
    weights = content.find(torch.tensor([2.0, 2.0]).numpy().tobytes())
    content[weights + 400 if place == "weights" else place] ^= 0xFF
    path.write_bytes(content)
    found = checkpoints.find([tmp_path]).state
    assert found["model"]["weight"].unique().tolist() == [found["epoch"]]
    if place == "weights":
        assert found["epoch"] == 1
        assert "is damaged); trying the one before" in capsys.readouterr().out


def test_a_file_that_is_no_checkpoint_is_passed_over(tmp_path):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, state(epoch), None)
    (tmp_path / checkpoints.LAST).write_bytes(b"\x80\x02no checkpoint\xff")
    assert checkpoints.find([tmp_path]).state["epoch"] == 1


def test_the_best_is_kept_where_a_file_can_have_one_name_only(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    newest = state(1)
    checkpoints.save(tmp_path, newest, newest)
    kept = torch.load(tmp_path / checkpoints.BEST, weights_only=True)
    assert kept["epoch"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {checkpoints.LAST, checkpoints.BEST}


def test_what_a_killed_process_was_writing_is_removed_at_the_next_start(tmp_path):
    kept = tmp_path / "checkpoints"
    checkpoints.save(kept, state(1), None)
    for name in ("new.2.4711", "best.new"):
        (kept / name).write_bytes(b"half of a")
    Trainer(read_options({}), Settings(tmp_path, device="cpu"), 1, Found(), lambda: False, Ranks())
    assert {path.name for path in kept.iterdir()} == {"last.pt"}


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("[enforce fail] write failed")]
)
def test_a_checkpoint_that_finds_no_room_costs_itself_and_nothing_else(
    tmp_path, monkeypatch, capsys, error
):
    def save(state, path):
        Path(path).write_bytes(b"half of a")
        raise error

    keeper = checkpoints.Keeper(tmp_path, 1)
    weights = torch.ones(1000)  # which training changes in place

    def keep(epoch):
        keeper.keep(
            epoch,
            lambda: {"epoch": epoch, "weight": weights},
            is_best=epoch == 1,
            is_end=False,
        )

    with monkeypatch.context() as full:
        full.setattr(torch, "save", save)
        for epoch in (1, 2):
            keep(epoch)
            assert list(tmp_path.iterdir()) == []
            weights += 1
    keep(3)
    words = f"no checkpoint could be written to {tmp_path} ({error}): is the disk or a quota full?"
    assert capsys.readouterr().err == f"warning: {words}\n"
    assert checkpoints.find([tmp_path]).state["weight"].unique().tolist() == [3.0]
    best = torch.load(tmp_path / checkpoints.BEST, weights_only=True)
    assert (best["epoch"], best["weight"].unique().tolist()) == (1, [1.0])


def test_half_a_copy_of_the_best_does_not_stay(tmp_path, monkeypatch):
    def copy(source, target):
        Path(target).write_bytes(b"half of a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.shutil, "copyfile", copy)
    monkeypatch.setattr(os, "link", copy)
    newest = state(1)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, newest, newest)
    assert list(tmp_path.iterdir()) == []


def test_a_training_whose_checkpoints_do_not_fit_has_its_result(tmp_path):
    def quota():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond it is an OSError
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, "-m", "training.train", "--output-dir", str(tmp_path)]
    done = subprocess.run(
        [*command, "--data", "synthetic", "--epochs", "2", "--width", "16", "--batch-size", "250"],
        cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=quota, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: no checkpoint could be written") == 1
    found = parse_result((tmp_path / "results.json").read_bytes())
    assert (found.status, len(found.curve.step)) == ("completed", 2)
    assert "test_accuracy" in found.metrics
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_beside_a_device_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    begun, may_go_on, save = threading.Event(), threading.Event(), torch.save

    def slowly(kept, path):
        begun.set()
        assert may_go_on.wait(60)
        save(kept, path)

    monkeypatch.setattr(torch, "save", slowly)
    keeper = checkpoints.Keeper(tmp_path, 1, is_aside=True)
    weights = torch.ones(1000)  # of an optimizer, say: some of its state is in the host's memory

    def keep(epoch):
        keeper.keep(
            epoch, lambda: {"epoch": epoch, "weight": weights}, is_best=epoch == 1, is_end=False
        )

    keep(1)
    assert begun.wait(60)
    weights += 1  # the next epoch
    assert not (tmp_path / checkpoints.LAST).exists()
    may_go_on.set()
    keep(2)
    keeper.write()  # before any end
    for name, epoch in ((checkpoints.BEFORE, 1), (checkpoints.BEST, 1), (checkpoints.LAST, 2)):
        found = torch.load(tmp_path / name, weights_only=True)
        assert (found["epoch"], found["weight"].unique().tolist()) == (epoch, [float(epoch)])
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "before.pt", "best.pt"}
