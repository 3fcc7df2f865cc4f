"""Data sets for image classification, by name, split in one fixed way.

The search sees validation accuracy only. Test images, where there are any, are looked at once, after
the last epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from training.contract import PilothouseError
from training.models import Shape


class BadData(PilothouseError):
    """A data set that cannot be read, or is not what it should be."""


@dataclass(frozen=True)
class Split:
    """Images and labels."""

    images: torch.Tensor
    """uint8, (n, channels, height, width)."""
    labels: torch.Tensor
    """int64, (n,)."""


@dataclass(frozen=True)
class DataSet:
    """Three parts, and what is known of the pixels of the first."""

    name: str
    train: Split
    validation: Split
    test: Split | None
    classes: int
    mean: tuple[float, ...]
    """By channel, of pixels in [0, 1]."""
    deviation: tuple[float, ...]

    @property
    def shape(self) -> Shape:
        _, channels, size, _ = self.train.images.shape
        return Shape(channels, size, self.classes)


def load_data(name: str, folder: Path | None = None) -> DataSet:
    """The data set `name`. Raises BadData.

    `folder`: where its files are; `fashion` travels with the program and needs none.
    """
    if name not in DATA_SETS:
        raise BadData(f"--data: {name!r} is none of {', '.join(DATA_SETS)}")
    return DATA_SETS[name](folder)


def _fashion(folder: Path | None) -> DataSet:
    from training.data.fashion import load

    return load(folder)


def _cifar(classes: int) -> Callable[[Path | None], DataSet]:
    def load(folder: Path | None) -> DataSet:
        from training.data.cifar import load

        return load(classes, folder)

    return load


def _synthetic(folder: Path | None) -> DataSet:
    from training.data.synthetic import load

    return load()


DATA_SETS: dict[str, Callable[[Path | None], DataSet]] = {
    "fashion": _fashion,
    "cifar10": _cifar(10),
    "cifar100": _cifar(100),
    "synthetic": _synthetic,
}
