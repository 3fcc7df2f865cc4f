"""The embedded subset of Fashion-MNIST as tensors (see `training/embedded/README.md`)."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import torch

EMBEDDED = Path(__file__).parent / "embedded"
MEAN, DEVIATION = 0.286, 0.353
"""Of the pixels of the training images, in [0, 1]."""


@dataclass(frozen=True)
class Split:
    """Images and labels."""

    images: torch.Tensor
    """float32, (n, 1, 28, 28), normalized."""
    labels: torch.Tensor
    """int64, (n,)."""


def load(part: str) -> Split:
    """One part of the subset: ``train`` or ``validation``."""
    images = _read_idx(EMBEDDED / f"{part}-images-idx3-ubyte.gz")
    labels = _read_idx(EMBEDDED / f"{part}-labels-idx1-ubyte.gz")
    scaled = (images.unsqueeze(1).float() / 255 - MEAN) / DEVIATION
    return Split(scaled, labels.long())


def _read_idx(path: Path) -> torch.Tensor:
    """A file of unsigned bytes in the IDX format (http://yann.lecun.com/exdb/mnist/)."""
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
    start = 4 + 4 * dimensions
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(shape)
