"""A small convolutional network for small grey images."""

from __future__ import annotations

import torch
from torch import nn


class SmallCnn(nn.Module):
    """Two convolutions with pooling, then one hidden layer; (n, 1, 28, 28) to (n, classes)."""

    def __init__(self, width: int, dropout: float, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * width * 7 * 7, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        scores: torch.Tensor = self.layers(images)
        return scores
