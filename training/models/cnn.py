"""A plain convolutional network whose size is a hyperparameter."""

from __future__ import annotations

import torch
from torch import nn

from training.models import Shape
from training.options import BadHyperparameter


class Cnn(nn.Module):
    """`layers` convolutions, each followed by pooling, with `width`, 2 x `width`, … channels; then
    one hidden layer.
    """

    def __init__(self, shape: Shape, width: int, layers: int, hidden: int, dropout: float) -> None:
        super().__init__()
        size = shape.size >> layers
        if size < 1:
            raise BadHyperparameter(
                f"hyperparameters.layers: {layers} halvings leave nothing of {shape.size} pixels"
            )
        parts: list[nn.Module] = []
        channels = shape.channels
        for layer in range(layers):
            wider = width << layer
            # The largest of what ReLU lets through is what ReLU lets through of the largest: pooled
            # first, it has a quarter to do.
            parts += [nn.Conv2d(channels, wider, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
            channels = wider
        self.layers = nn.Sequential(
            *parts,
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels * size * size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, shape.classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        scores: torch.Tensor = self.layers(images)
        return scores
