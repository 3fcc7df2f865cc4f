"""Augmentation of whole batches, on whatever device they are. Only training images come here."""

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
        mirrored = _mirrored(images, chance)
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
    return share * images + (1 - share) * images[others], others, share


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


def _mirrored(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Which images of the batch are mirrored."""
    return sent(torch.rand(len(images), generator=chance) < 0.5, images.device)


def _cropped(
    images: torch.Tensor, padding: int, chance: torch.Generator, *, is_mirrored: bool
) -> torch.Tensor:
    """A window of the old size at a random place of the padded image, for each image its own.

    `is_mirrored`: half of them the other way round, in the same go over the pixels.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    places = torch.randint(2 * padding + 1, (2, count), generator=chance)
    tops, lefts = sent(places, images.device)
    rows = tops[:, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(count, width)
    if is_mirrored:
        columns = torch.where(_mirrored(images, chance)[:, None], columns.flip(1), columns)
    columns = lefts[:, None] + columns
    pixels = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    pixels = pixels.view(count, 1, height * width).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(images.shape)


def _cut_out(images: torch.Tensor, side: int, chance: torch.Generator) -> torch.Tensor:
    """A square around a random place set to the mean (DeVries and Taylor, arXiv:1708.04552)."""
    count, _, height, width = images.shape
    places = sent(torch.rand(2, count, generator=chance), images.device)
    tops = (places[0] * height).long()[:, None] - side // 2
    lefts = (places[1] * width).long()[:, None] - side // 2
    rows = torch.arange(height, device=images.device)[None]
    columns = torch.arange(width, device=images.device)[None]
    inside = ((rows >= tops) & (rows < tops + side))[:, :, None] & (
        (columns >= lefts) & (columns < lefts + side)
    )[:, None, :]
    return images.masked_fill(inside[:, None], 0.0)
