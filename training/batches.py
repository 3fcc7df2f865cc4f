"""Training images in batches on the device: they lie there whole, or workers bring them.

Both give the same batches in the same order; augmentation comes after, on the device.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset

from training.data import DataSet, Split
from training.devices import PINNED_FOR, free_memory

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Images (uint8) and labels."""

SHARE = 0.25
"""Of the device's free memory, so much may hold data: the rest is for the network."""


def fits(data: DataSet, device: torch.device) -> bool:
    """Whether the data set may lie on the device whole.

    A CPU holds it anyway, and MPS shares the host's memory.
    """
    if device.type not in ("cuda", "xpu"):
        return True
    parts = [data.train, data.validation, *([data.test] if data.test is not None else [])]
    return sum(part.images.nbytes + part.labels.nbytes for part in parts) <= SHARE * free_memory(
        device
    )


def divided(order: torch.Tensor, size: int, fewest: int) -> list[torch.Tensor]:
    """The places in batches of `size`; a last one with fewer than `fewest` is left out."""
    batches = list(torch.split(order, size))
    return batches[:-1] if len(batches[-1]) < min(fewest, size) else batches


class Resident:
    """Images that lie on the device whole."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self._images, self._labels = split.images.to(device), split.labels.to(device)
        self._device = device

    def epoch(self, batches: Sequence[torch.Tensor], seed: int) -> Iterator[Batch]:
        """The images at these places, batch after batch."""
        # All places in one transfer: one for each step would be a wait at each step.
        places = torch.cat(list(batches)).to(self._device)
        for here in torch.split(places, [len(batch) for batch in batches]):
            yield self._images[here], self._labels[here]


class Streamed:
    """Images that stay in the host's memory; worker processes put the batches together."""

    def __init__(self, split: Split, device: torch.device, workers: int) -> None:
        """`workers` 0: this process does it itself."""
        self._images, self._device, self._workers = _Places(split), device, workers

    def epoch(self, batches: Sequence[torch.Tensor], seed: int) -> Iterator[Batch]:
        """The images at these places, batch after batch; what workers draw follows from `seed`."""
        for images, labels in loader(self._images, batches, self._device, self._workers, seed):
            is_pinned = self._device.type in PINNED_FOR
            yield (
                images.to(self._device, non_blocking=is_pinned),
                labels.to(self._device, non_blocking=is_pinned),
            )


class _Places(Dataset[Batch]):
    """A whole batch at once: the index is a tensor of places."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __getitem__(self, places: torch.Tensor) -> Batch:
        return self._split.images[places], self._split.labels[places]


def loader(
    images: Dataset[Batch],
    batches: Sequence[torch.Tensor],
    device: torch.device,
    workers: int,
    seed: int,
) -> DataLoader[Batch]:
    """A DataLoader of one epoch. Workers' seeds come from `seed`, torch's own chance is untouched."""
    return DataLoader(
        images,
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        pin_memory=device.type in PINNED_FOR,
        generator=torch.Generator().manual_seed(seed),
        worker_init_fn=_stay,
    )


def _stay(worker: int) -> None:
    # A scheduler signals every process of a job: the first one says when to end, workers go with it.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
