"""DenseNet-121 (Huang et al., Densely Connected Convolutional Networks, arXiv:1608.06993)."""

from __future__ import annotations

import torch
from torch import nn

from training.models import Shape
from training.norms import BatchNorm

_PLAN = (6, 12, 24, 16)
_GROWTH = 32


class _Layer(nn.Module):
    """Adds `_GROWTH` channels to what it is given."""

    def __init__(self, inputs: int, dropout: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            BatchNorm(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, 4 * _GROWTH, 1, bias=False),
            BatchNorm(4 * _GROWTH),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * _GROWTH, _GROWTH, 3, padding=1, bias=False),
            nn.Dropout(dropout),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([features, self.branch(features)], dim=1)


def _transition(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        BatchNorm(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, inputs // 2, 1, bias=False),
        nn.AvgPool2d(2),
    )


class DenseNet121(nn.Module):
    """Four dense blocks with transitions that halve channels and resolution between them."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        channels = 2 * _GROWTH
        parts: list[nn.Module] = [_stem(shape, channels)]
        for stage, count in enumerate(_PLAN):
            for _ in range(count):
                parts.append(_Layer(channels, dropout))
                channels += _GROWTH
            if stage < len(_PLAN) - 1:
                parts.append(_transition(channels))
                channels //= 2
        self.features = nn.Sequential(*parts, BatchNorm(channels), nn.ReLU(inplace=True))
        self.head = nn.Linear(channels, shape.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        scores: torch.Tensor = self.head(self.features(images).mean(dim=(2, 3)))
        return scores


def _stem(shape: Shape, channels: int) -> nn.Module:
    if shape.is_small:
        return nn.Conv2d(shape.channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv2d(shape.channels, channels, 7, 2, padding=3, bias=False),
        BatchNorm(channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    )
