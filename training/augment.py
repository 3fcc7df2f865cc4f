"""Augmentation of whole batches, on whatever device they are. Only training images come here.

What is drawn for an image, and the few numbers that follow from it, are worked out on the host: on a device
each small sum is a launch, and a small network's step takes as long as its launches.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from training.devices import sent
from training.options import Options


def augmented(images: torch.Tensor, options: Options, chance: torch.Generator) -> torch.Tensor:
    """The batch (n, c, h, w) cropped, mirrored and blanked as the options say."""
    if options.crop:
        images = _cropped(images, options.crop, chance, is_mirrored=options.flip)
    elif options.flip:
        mirrored = sent(_mirrored(len(images), chance), images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if options.cutout:
        images = _cut_out(images, options.cutout, chance)
    return images


def mixed(
    images: torch.Tensor, alpha: float, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Each image mixed with another of the batch (Zhang et al., mixup, arXiv:1710.09412).

    Returns the images, the places of the others, and the share of the first.
    """
    share = _beta(alpha, chance)
    others = sent(torch.randperm(len(images), generator=chance), images.device)
    return images[others].lerp(images, share), others, share


_LEAST = torch.finfo(torch.float32).tiny
"""What torch's gamma draws give for all that is smaller."""


def _beta(alpha: float, chance: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha), by two gamma draws; torch's take no generator otherwise."""
    first, second = torch._standard_gamma(torch.tensor([alpha, alpha]), generator=chance).tolist()
    if min(first, second) > _LEAST:
        return float(first / (first + second))
    # With a small alpha most of them are smaller still. So far down the density is a power, and how far
    # below the least a draw is, as a logarithm, is exponentially distributed.
    below = -torch.rand(2, generator=chance, dtype=torch.float64).neg().log1p() / alpha
    logs = [
        math.log(max(draw, _LEAST)) - (more if draw <= _LEAST else 0.0)
        for draw, more in zip((first, second), below.tolist(), strict=True)
    ]
    return float(torch.sigmoid(torch.tensor(logs[0] - logs[1], dtype=torch.float64)))


def _mirrored(count: int, chance: torch.Generator) -> torch.Tensor:
    """Which of so many images are mirrored."""
    return torch.rand(count, generator=chance) < 0.5


def _cropped(
    images: torch.Tensor, padding: int, chance: torch.Generator, *, is_mirrored: bool
) -> torch.Tensor:
    """A window of the old size at a random place of the padded image, for each image its own.

    `is_mirrored`: half of them the other way round, in the same go over the pixels.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    tops, lefts = torch.randint(2 * padding + 1, (2, count), generator=chance)
    rows = tops[:, None] + torch.arange(height)
    columns = torch.arange(width).expand(count, width)
    if is_mirrored:
        columns = torch.where(_mirrored(count, chance)[:, None], columns.flip(1), columns)
    places = torch.cat([rows * padded.shape[3], lefts[:, None] + columns], 1)
    rows, columns = sent(places, images.device).split([height, width], 1)
    pixels = rows[:, :, None] + columns[:, None, :]
    pixels = pixels.view(count, 1, height * width).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(images.shape)


def _cut_out(images: torch.Tensor, side: int, chance: torch.Generator) -> torch.Tensor:
    """A square around a random place set to the mean (DeVries and Taylor, arXiv:1708.04552)."""
    count, _, height, width = images.shape
    places = torch.rand(2, count, generator=chance)
    tops = (places[0] * height).long()[:, None] - side // 2
    lefts = (places[1] * width).long()[:, None] - side // 2
    rows, columns = torch.arange(height), torch.arange(width)
    inside = torch.cat(
        [(rows >= tops) & (rows < tops + side), (columns >= lefts) & (columns < lefts + side)], 1
    )
    rows, columns = sent(inside, images.device).split([height, width], 1)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
