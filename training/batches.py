"""Training images in batches on the device: they lie there whole, or workers bring them.

Both give the same batches in the same order; augmentation comes after, on the device.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Sequence
from typing import TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from training.data import DataSet, Split
from training.devices import PINNED_FOR, derived_seed, free_memory, seed_all

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
        sizes = [len(batch) for batch in batches]
        labels = self._labels[places].split(sizes)  # small: of the whole epoch at once
        for here, truth in zip(places.split(sizes), labels, strict=True):
            yield self._images[here], truth

    def close(self) -> None:
        """Nothing to end."""


class Streamed:
    """Images that stay in the host's memory; worker processes put the batches together."""

    def __init__(self, split: Split, device: torch.device, workers: int) -> None:
        """`workers` 0: this process does it itself."""
        self._device = device
        self._order = Order()
        self._running: Generator[Batch, None, None] | None = None
        self._loader: DataLoader[Batch] | None = loader(
            _Places(split), self._order, device, workers
        )

    def epoch(self, batches: Sequence[torch.Tensor], seed: int) -> Iterator[Batch]:
        """The images at these places, batch after batch; what workers draw follows from `seed`."""
        self._order.batches, self._order.seed = batches, seed
        self._running = self._epoch()
        return self._running

    def _epoch(self) -> Generator[Batch, None, None]:
        assert self._loader is not None
        is_pinned = self._device.type in PINNED_FOR
        for images, labels in self._loader:
            yield (
                images.to(self._device, non_blocking=is_pinned),
                labels.to(self._device, non_blocking=is_pinned),
            )

    def close(self) -> None:
        """Let the workers end, which last from one epoch to the next.

        At Python's own end they would be sent SIGTERM, which they leave to the first process, and be
        waited for.
        """
        if self._running is not None:
            self._running.close()
        self._loader = self._running = None


class Order:
    """The places of an epoch's batches, each with a seed of its own; a DataLoader takes this once."""

    batches: Sequence[torch.Tensor] = ()
    seed = 0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        for number, places in enumerate(self.batches):
            yield places, derived_seed(self.seed, number)

    def __len__(self) -> int:
        return len(self.batches)


class _Places(Dataset[Batch]):
    """A whole batch at once: the index is a tensor of places."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __getitem__(self, places: torch.Tensor) -> Batch:
        return self._split.images[places], self._split.labels[places]


class _Seeded(Dataset[Batch]):
    """Seeds a worker for each batch: what it draws does not depend on how many workers there are."""

    def __init__(self, images: Dataset[Batch]) -> None:
        self._images = images

    def __getitem__(self, asked: tuple[torch.Tensor, int]) -> Batch:
        places, seed = asked
        if get_worker_info() is not None:  # elsewhere the chance is the training's own
            seed_all(seed)
        return self._images[places]


def loader(
    images: Dataset[Batch], order: Order, device: torch.device, workers: int
) -> DataLoader[Batch]:
    """A DataLoader whose workers last. torch's own chance is untouched."""
    return DataLoader(
        _Seeded(images),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type in PINNED_FOR,
        generator=torch.Generator(),
        worker_init_fn=_stay,
    )


def _stay(worker: int) -> None:
    # A scheduler signals every process of a job: the first one says when to end, workers go with it.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
