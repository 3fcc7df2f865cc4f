"""How many operations a step asks of a device: each is a launch or more, and a small network waits for them.

The `meta` device stands for it, as in `test_no_waits`; what is worked out on the host does not count.
"""

import pytest
import torch
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode

from training import devices, trainer
from training.distributed import Ranks
from training.options import read_options
from training.settings import Settings
from training.trainer import Found, Trainer

META = torch.device("meta")
NO_WORK = {
    "_reshape_alias", "_unsafe_view", "alias", "as_strided", "detach", "diagonal", "empty", "empty_like",
    "expand", "lift_fresh", "permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t",
    "transpose", "unbind", "unsqueeze", "view",
}  # fmt: skip


class Launches(TorchDispatchMode):
    """Counts what is asked of the device, by name."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        result = op(*args, **(kwargs or {}))
        leaves = tree.tree_leaves((args, kwargs, result))
        there = any(isinstance(v, torch.Tensor) and v.device == META for v in leaves)
        name = op.__name__.partition(".")[0]
        if there and name not in NO_WORK:
            self.found.append(name)
        return result


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """What a warm step asks for, its batch included."""
    monkeypatch.setattr(trainer, "choose_device", lambda name, local: META)
    monkeypatch.setattr(devices, "PINNED_FOR", ("meta",))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)

    def count(given):
        options = read_options({"batch_size": 128, **given})
        settings = Settings(tmp_path, data="synthetic", precision="fp32")
        made = Trainer(options, settings, 1, Found(), lambda: False, Ranks())
        for group in made.learner._optimizer.param_groups:
            # As torch does it on devices that it knows to have such kernels.
            group["foreach"] = True
        batches = made._train.epoch([torch.arange(128)] * 2, 0)
        chance = torch.Generator().manual_seed(3)
        made.learner.step(*next(batches), 128, chance)
        with Launches() as launches:
            made.learner.step(*next(batches), 128, chance)
        return launches.found

    return count


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({"model": "resnet18"}, 160),
        ({"model": "resnet18", "optimizer": "adamw", "ema": 0.9}, 170),
        ({"model": "resnet18", "optimizer": "muon"}, 380),
        ({"model": "densenet121"}, 875),
        ({}, 45),
        ({"crop": 4, "flip": True, "cutout": 8}, 52),
        ({"mixup": 0.2}, 57),
        ({"policy": "randaugment"}, 190),
        ({"policy": "trivialaugment"}, 120),
    ],
    ids=str,
)
def test_a_step_asks_a_device_for_no_more_than_it_must(counted, given, most):
    assert len(counted(given)) <= most
