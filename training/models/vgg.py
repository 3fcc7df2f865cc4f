"""VGG-16 with batch normalization (Simonyan and Zisserman, arXiv:1409.1556)."""

from __future__ import annotations

import torch
from torch import nn

from training.models import Shape
from training.norms import BatchNorm

_PLAN = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class Vgg16(nn.Module):
    """Thirteen convolutions; three linear layers as published, one for small images."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels, size = shape.channels, shape.size
        for width, count in _PLAN:
            for _ in range(count):
                parts += [
                    nn.Conv2d(channels, width, 3, padding=1),
                    BatchNorm(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            if size > 1:
                parts.append(nn.MaxPool2d(2))
                size //= 2
        self.features = nn.Sequential(*parts)
        self.head = _small_head(shape, dropout) if shape.is_small else _head(shape, dropout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        scores: torch.Tensor = self.head(self.features(images))
        return scores


def _small_head(shape: Shape, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(512, shape.classes)
    )


def _head(shape: Shape, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        nn.Linear(512 * 49, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(4096, shape.classes),
    )
