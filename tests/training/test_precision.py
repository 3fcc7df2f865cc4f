"""In which numbers a training computes, and from which loss on it has diverged."""

import pytest
import torch

from training.contract import parse_result
from training.distributed import Ranks
from training.options import read_options
from training.settings import Settings
from training.train import main
from training.trainer import Found, Trainer

TINY = ["--width", "2", "--hidden", "4", "--batch-size", "500", "--seed", "3"]


def train(directory, *more, epochs=1):
    code = main(["--output-dir", str(directory), "--epochs", str(epochs), *TINY, *more])
    return code, parse_result((directory / "results.json").read_bytes())


def kept(directory):
    return torch.load(directory / "checkpoints" / "last.pt", weights_only=True)


def weights_of(state):
    return torch.cat([value.float().flatten() for value in state["model"].values()])


@pytest.mark.parametrize("clip", ["0", "1"])
def test_fp16_learns_what_fp32_learns_with_scaled_gradients(tmp_path, clip):
    for name in ("fp32", "fp16"):
        code, _ = train(tmp_path / name, "--precision", name, "--gradient-clip", clip)
        assert code == 0
    wide, narrow = kept(tmp_path / "fp32"), kept(tmp_path / "fp16")
    assert (wide["scaler"], narrow["scaler"]["scale"]) == ({}, 65536.0)
    assert not torch.equal(weights_of(wide), weights_of(narrow))
    # Gradients that were not scaled back would be 65,536 times as large.
    assert torch.allclose(weights_of(wide), weights_of(narrow), atol=0.01)


def test_the_scaler_goes_on_where_it_was(tmp_path):
    flags = ["--precision", "fp16"]
    train(tmp_path / "whole", *flags, epochs=2)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "STOP").touch()
    train(tmp_path / "parts", *flags, epochs=2)
    (tmp_path / "parts" / "STOP").unlink()
    train(tmp_path / "parts", *flags, "--resume", epochs=2)
    whole, parts = kept(tmp_path / "whole"), kept(tmp_path / "parts")
    assert parts["scaler"] == whole["scaler"]
    assert parts["scaler"]["_growth_tracker"] == 20  # ten steps an epoch
    assert torch.equal(weights_of(parts), weights_of(whole))


@pytest.mark.parametrize(
    ("flags", "status"),
    [(["--loss-limit", "2"], "diverged"), (["--loss-limit", "10"], "completed")],
)
def test_the_limit_of_the_loss_is_a_hyperparameter(tmp_path, flags, status):
    code, found = train(tmp_path, *flags)
    assert (found.status, code) == (status, int(status == "diverged"))
    if status == "diverged":  # guessing one of ten has a loss of 2.3
        assert "in epoch 1, the limit is 2;" in found.error.message


def test_the_average_does_not_count_a_step_that_the_scaler_skipped(tmp_path):
    options = read_options({"batch_size": 8, "width": 2, "hidden": 4, "ema": 0.9})
    settings = Settings(tmp_path, device="cpu", precision="fp16")
    made = Trainer(options, settings, 1, Found(), lambda: False, Ranks())
    images, labels = made.data.train.images[:8], made.data.train.labels[:8]
    weights = [value.clone() for value in made.learner.model.parameters()]
    made.learner._scaler = torch.amp.GradScaler(
        "cpu", init_scale=1e38
    )  # the gradients are infinite
    made.learner.step(images, labels, 8, torch.Generator())
    assert made.learner._average.steps == 0
    assert all(map(torch.equal, weights, made.learner.model.parameters()))
    made.learner._scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    made.learner.step(images, labels, 8, torch.Generator())
    assert made.learner._average.steps == 1
