"""Files that a disk has changed, and file systems that lack something."""

import os

import pytest
import torch

from training import checkpoints
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
    found = checkpoints.load(tmp_path)
    assert found is not None
    assert found["model"]["weight"].unique().tolist() == [found["epoch"]]
    if place == "weights":
        assert found["epoch"] == 1
        assert "is damaged); trying the one before" in capsys.readouterr().out


def test_a_file_that_is_no_checkpoint_is_passed_over(tmp_path):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, state(epoch), None)
    (tmp_path / checkpoints.LAST).write_bytes(b"\x80\x02no checkpoint\xff")
    assert checkpoints.load(tmp_path)["epoch"] == 1


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
