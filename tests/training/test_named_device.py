"""A step on CUDA and on XPU, by what torch says of those devices: see `named_device`."""

import named_device
import pytest
import torch
from torch import nn

from training.distributed import Ranks
from training.learner import Learner
from training.options import read_options
from training.settings import Settings
from training.trainer import Found, Trainer

OPTIONS = [
    {"crop": 2, "flip": True, "cutout": 4, "mixup": 0.4, "label_smoothing": 0.1},
    {"policy": "randaugment", "optimizer": "adam", "dropout": 0.1},
    {"policy": "trivialaugment", "optimizer": "adamw", "gradient_clip": 1.0},
    {"optimizer": "muon", "ema": 0.9, "weight_decay": 0.1},
    {"model": "resnet18", "ema": 0.9, "momentum": 0.0},
]
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")


@pytest.fixture
def on(monkeypatch):
    """Makes a trainer on such a device, and what its tensors go through."""
    made = []

    def make(kind, directory, given, **settings):
        made.append(named_device.install(kind, monkeypatch))
        mode = named_device.Named(kind)
        with mode:
            options = read_options({"batch_size": 40, "width": 4, **given})
            asked = Settings(directory, device=kind, **settings)
            return Trainer(options, asked, 1, Found(), lambda: False, Ranks()), mode

    def backward(loss):
        # torch's engine wants streams of the device; of the gradients only their places count here.
        for parameter in weights:
            parameter.grad = torch.empty_like(parameter)

    weights = []
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    step = Learner.step

    def remembered(self, *given):
        weights[:] = self.model.parameters()
        return step(self, *given)

    monkeypatch.setattr(Learner, "step", remembered)
    yield make
    for undo in made:
        undo()


def types_of(learner):
    """In which numbers each kind of layer computes, once it has."""
    found = {}

    def look(layer, given, result):
        found.setdefault(type(layer), set()).add(result.dtype)

    for layer in learner.model.modules():
        layer.register_forward_hook(look)
    return found


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
@pytest.mark.parametrize("given", OPTIONS)
def test_a_step_stays_on_the_device_in_bf16(tmp_path, on, kind, given):
    made, mode = on(kind, tmp_path, given)
    found = types_of(made.learner)
    with mode:
        images, labels = next(made._train.epoch([torch.arange(40)], 0))
        mode.moves.clear()
        for _ in range(2):
            loss, hits = made.learner.step(images, labels, 40, torch.Generator().manual_seed(3))
        state = made.learner.state()
    assert {loss.device.type, hits.device.type, images.device.type} == {kind}
    assert all(is_non_blocking for _, is_non_blocking in mode.moves)
    assert found[nn.Conv2d] == found[nn.Linear] == {torch.bfloat16}
    assert found.get(nn.BatchNorm2d, {torch.bfloat16}) == {torch.bfloat16}
    assert loss.dtype == torch.float32
    assert {value.dtype for value in state["model"].values()} <= {torch.float32, torch.int64}


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
@pytest.mark.parametrize("is_there", ["yes", "no"])
def test_judging_asks_for_one_number_in_the_end(tmp_path, on, kind, is_there):
    made, mode = on(kind, tmp_path, {}, data_on_device=is_there, workers=0)
    found = types_of(made.learner)
    mode.moves.clear()
    with mode, pytest.raises(Exception, match="_local_scalar_dense"):
        made.learner.accuracy(made._validation)
    assert len(mode.moves) == (0 if is_there == "yes" else 2 * -(-len(made._validation[1]) // 500))
    assert all(is_non_blocking for _, is_non_blocking in mode.moves)
    assert found[nn.Conv2d] == found[nn.Linear] == {torch.bfloat16}


def test_fused_optimizers_keep_the_scaler_of_fp16_from_waiting(tmp_path, on):
    made, mode = on("cuda", tmp_path, {"gradient_clip": 1.0}, precision="fp16")
    found = types_of(made.learner)
    with mode:
        images, labels = next(made._train.epoch([torch.arange(40)], 0))
        made.learner.step(images, labels, 40, torch.Generator().manual_seed(3))
    assert found[nn.Conv2d] == {torch.float16}


def test_tensors_of_both_devices_and_questions_fail(tmp_path, on):
    made, mode = on("cuda", tmp_path, {})
    images, labels = made.data.train.images[:40], made.data.train.labels[:40]
    with mode, pytest.raises(AssertionError, match="is given tensors of both devices"):
        made.learner.step(images, labels, 40, torch.Generator())
