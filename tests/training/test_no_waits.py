"""A training step never asks the device for a value: each such question is a wait for all its work.

The `meta` device stands for an accelerator: it has shapes and types and no values, so that whoever
asks for one, or mixes two devices, fails.
"""

import pytest
import torch

from training import devices, trainer
from training.distributed import Ranks
from training.options import read_options
from training.settings import Settings
from training.trainer import Found, Trainer

META = torch.device("meta")
OPTIONS = [
    {"crop": 2, "flip": True, "cutout": 4},
    {"mixup": 0.4, "label_smoothing": 0.1},
    {"policy": "randaugment"},
    {"policy": "trivialaugment"},
    {"optimizer": "muon", "ema": 0.9, "weight_decay": 0.1},
    {"optimizer": "adamw", "gradient_clip": 1.0},
    {"model": "resnet18", "ema": 0.9, "optimizer": "sgd"},
]


@pytest.fixture
def waits(monkeypatch):
    """Copies to the device that the host has to wait for."""
    found = []
    original = torch.Tensor.to

    def watched(self, *to, **how):
        if META in to and self.device.type == "cpu" and not how.get("non_blocking"):
            found.append(self.shape)
        return original(self, *to, **how)

    monkeypatch.setattr(trainer, "choose_device", lambda name, local: META)
    monkeypatch.setattr(devices, "PINNED_FOR", ("meta",))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.Tensor, "to", watched)
    return found


@pytest.mark.parametrize("given", OPTIONS)
def test_a_step_waits_for_nothing(tmp_path, waits, given):
    options = read_options({"batch_size": 40, **given})
    made = Trainer(options, Settings(tmp_path), 1, Found(), lambda: False, Ranks())
    places = torch.arange(40)
    images, labels = next(made._train.epoch([places], 0))
    waits.clear()  # the data set and an epoch's order come at once, before the steps
    for _ in range(2):
        loss, hits = made.learner.step(images, labels, 40, torch.Generator().manual_seed(3))
    assert loss.device == hits.device == META
    assert waits == []


def test_judging_waits_for_nothing_before_its_one_number(tmp_path, waits):
    settings = Settings(tmp_path, data_on_device="no", workers=0)
    made = Trainer(read_options({}), settings, 1, Found(), lambda: False, Ranks())
    waits.clear()
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):  # the number
        made.learner.accuracy(made._validation)
    assert waits == []


def test_judging_keeps_nothing_for_gradients(tmp_path):
    made = Trainer(read_options({}), Settings(tmp_path), 1, Found(), lambda: False, Ranks())
    seen = []

    def look(module, given, scores):
        seen.append(scores.requires_grad)

    made.learner.judged.register_forward_hook(look)
    made.learner.accuracy((made._validation[0][:20], made._validation[1][:20]))
    assert seen == [False]
