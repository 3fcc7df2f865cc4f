"""Made-up images for smoke tests: each class a pattern of its own under noise. Says so in its name."""

from __future__ import annotations

import torch

from training.data import DataSet, Split

SIZE, CLASSES = 32, 10


def load(train: int = 2000, validation: int = 500, classes: int = CLASSES) -> DataSet:
    """Always the same images."""
    chance = torch.Generator().manual_seed(0)
    patterns = torch.rand(classes, 3, SIZE, SIZE, generator=chance)
    parts = [_part(count, patterns, chance) for count in (train, validation, validation)]
    middle, spread = (0.5,) * 3, (0.25,) * 3
    return DataSet("synthetic", parts[0], parts[1], parts[2], classes, middle, spread)


def _part(count: int, patterns: torch.Tensor, chance: torch.Generator) -> Split:
    labels = torch.arange(count) % len(patterns)
    noise = torch.rand(count, 3, SIZE, SIZE, generator=chance)
    images = (0.25 * patterns[labels] + 0.75 * noise) * 255
    return Split(images.to(torch.uint8), labels)
