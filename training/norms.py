"""Batch normalization; in several processes over each one's images, or over those of all."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed, nn
from torch.nn import functional


class BatchNorm(nn.BatchNorm2d):
    """torch's own, which also counts its steps: for nobody, and on a device a launch in each layer."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The images normalized; while training by their own statistics."""
        assert self.momentum is not None
        return functional.batch_norm(
            images,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


def share_statistics(model: nn.Module) -> None:
    """Let all batch normalization of a network see the images of all processes. In place."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SharedBatchNorm  # the same weights and names, another way forward


def fewest_images(model: nn.Module, world: int, *, is_shared: bool) -> int:
    """With how many images a batch of all processes can be learned from.

    Over one image there is no variance: torch refuses it where the image has shrunk to a pixel, and
    elsewhere it is a bad guess.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return world
    return max(world, 2) if is_shared else 2 * world


class SharedBatchNorm(BatchNorm):
    """Normalizes as one process with all the images would.

    torch's SyncBatchNorm asks the device in each layer and step which processes had images, a wait for
    all its work, and does not run on CPUs. Here all have some, and what is exchanged are sums.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The images normalized; while training by their own statistics."""
        if not self.training or not distributed.is_initialized():
            return super().forward(images)
        values = images.float()  # half precision has too few digits for sums over a batch
        mean, variance, count = _over_all(values)
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        offset = self.bias - mean * scale
        normalized: torch.Tensor = values * _by_channel(scale) + _by_channel(offset)
        return normalized.to(images.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _over_all(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and variance by channel over all processes, and over how many values they are."""
    rank, world = distributed.get_rank(), distributed.get_world_size()
    channels = values.shape[1]
    variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
    count = torch.full((1,), values.numel() / channels, device=values.device)
    # A row for each process, the others' empty: the sum is what all of them have.
    own = functional.pad(torch.cat([mean, variance, count])[None], (0, 0, rank, world - 1 - rank))
    means, variances, counts = _Sum.apply(own).split([channels, channels, 1], dim=1)
    total = counts.sum()
    shares = counts / total
    mean = (shares * means).sum(0)
    # Not the mean square less the square of the mean: their difference may be all rounding.
    variance = (shares * (variances + (means - mean) ** 2)).sum(0)
    return mean, variance, total


class _Sum(torch.autograd.Function):
    """The sum over all processes. torch's own is deprecated, and what it is in cannot be compiled."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Each process's loss depends on each one's values: all of them count."""
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _by_channel(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]
