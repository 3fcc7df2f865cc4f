"""Residual networks (He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385).

The bottleneck has its stride in the 3x3 convolution, as is common today ("v1.5").
"""

from __future__ import annotations

import torch
from torch import nn

from training.models import Shape
from training.norms import BatchNorm

_PLANS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        BatchNorm(outputs),
    )


class _Block(nn.Module):
    """A residual branch beside a shortcut; `narrow` channels inside, `outputs` at the end."""

    def __init__(self, inputs: int, narrow: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = narrow * 4 if bottleneck else narrow
        if bottleneck:
            kernels = [(inputs, narrow, 1, 1), (narrow, narrow, 3, stride), (narrow, outputs, 1, 1)]
        else:
            kernels = [(inputs, narrow, 3, stride), (narrow, outputs, 3, 1)]
        parts: list[nn.Module] = []
        for kernel in kernels:
            parts += [_convolution(*kernel), nn.ReLU(inplace=True)]
        self.branch = nn.Sequential(*parts[:-1])
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _convolution(inputs, outputs, 1, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(features) + self.shortcut(features))


class ResNet(nn.Module):
    """ResNet-18, -34 or -50; dropout before the last layer."""

    def __init__(self, depth: int, shape: Shape, dropout: float) -> None:
        super().__init__()
        bottleneck = depth >= 50
        self.stem = nn.Sequential(
            _convolution(
                shape.channels, 64, 3 if shape.is_small else 7, 1 if shape.is_small else 2
            ),
            nn.ReLU(inplace=True),
            nn.Identity() if shape.is_small else nn.MaxPool2d(3, 2, padding=1),
        )
        blocks: list[nn.Module] = []
        channels = 64
        for stage, count in enumerate(_PLANS[depth]):
            narrow = 64 << stage
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.append(_Block(channels, narrow, stride, bottleneck))
                channels = narrow * 4 if bottleneck else narrow
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, shape.classes))
        _initialize(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        features = self.blocks(self.stem(images)).mean(dim=(2, 3))
        scores: torch.Tensor = self.head(features)
        return scores


def _initialize(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
