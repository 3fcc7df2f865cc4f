"""Networks for image classification, by name.

Every network takes (n, channels, height, width) and gives (n, classes) scores. For images of up to 64
pixels the stem keeps the resolution (3x3, no pooling); above, it is the published one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from training.options import BadHyperparameter, Options

SMALL_IMAGE = 64


@dataclass(frozen=True)
class Shape:
    """What a network is fed and asked for."""

    channels: int
    size: int
    """Height and width, in pixels."""
    classes: int

    @property
    def is_small(self) -> bool:
        return self.size <= SMALL_IMAGE


def build_model(options: Options, shape: Shape) -> nn.Module:
    """The network that the options name. Raises BadHyperparameter."""
    if options.model not in MODELS:
        known = ", ".join(MODELS)
        raise BadHyperparameter(f"hyperparameters.model: {options.model!r} is none of {known}")
    return MODELS[options.model](options, shape)


def _cnn(options: Options, shape: Shape) -> nn.Module:
    from training.models.cnn import Cnn

    return Cnn(shape, options.width, options.layers, options.hidden, options.dropout)


def _resnet(depth: int) -> Callable[[Options, Shape], nn.Module]:
    def build(options: Options, shape: Shape) -> nn.Module:
        from training.models.resnet import ResNet

        return ResNet(depth, shape, options.dropout)

    return build


def _vgg16(options: Options, shape: Shape) -> nn.Module:
    from training.models.vgg import Vgg16

    return Vgg16(shape, options.dropout)


def _densenet121(options: Options, shape: Shape) -> nn.Module:
    from training.models.densenet import DenseNet121

    return DenseNet121(shape, options.dropout)


MODELS: dict[str, Callable[[Options, Shape], nn.Module]] = {
    "cnn": _cnn,
    "resnet18": _resnet(18),
    "resnet34": _resnet(34),
    "resnet50": _resnet(50),
    "vgg16": _vgg16,
    "densenet121": _densenet121,
}


def parameter_count(model: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
