"""RandAugment (Cubuk et al., arXiv:1909.13719) and TrivialAugment (Müller and Hutter,
arXiv:2103.10158), for whole batches on whatever device they are.

Each image draws its own operations. They are done for all images that drew the same one at once, on
pixels in [0, 1]; what a shift uncovers is grey. Equalization is left out: it needs a histogram for each
image, and both papers do as well without any single operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from training.devices import sent
from training.options import MAGNITUDES

Operation = Callable[[torch.Tensor, torch.Tensor, bool], torch.Tensor]
"""``operation(images, strengths, wide)``: strengths in [-1, 1], one for each image."""


def applied(
    images: torch.Tensor, policy: str, number: int, magnitude: int, chance: torch.Generator
) -> torch.Tensor:
    """The batch (n, c, h, w), pixels in [0, 1], after the policy.

    `number` operations of strength `magnitude` for each image (RandAugment); one of a random
    strength from a wider range (TrivialAugment).
    """
    if policy == "none":
        return images
    wide = policy == "trivialaugment"
    for _ in range(1 if wide else number):
        which = torch.randint(len(OPERATIONS), (len(images),), generator=chance)
        signs = torch.randint(2, (len(images),), generator=chance) * 2.0 - 1.0
        sizes = torch.randint(MAGNITUDES + 1, (len(images),), generator=chance) / MAGNITUDES
        strengths = signs * (sizes if wide else magnitude / MAGNITUDES)
        images = _each(images, which, strengths, wide)
    return images


def _each(
    images: torch.Tensor, which: torch.Tensor, strengths: torch.Tensor, wide: bool
) -> torch.Tensor:
    # `which` and `strengths` are still on the host: to ask the device who drew what would be a wait
    # for it at each operation.
    order = which.argsort(stable=True)
    counts = torch.bincount(which, minlength=len(OPERATIONS)).tolist()
    places = torch.split(sent(order, images.device), counts)
    sizes = torch.split(sent(strengths[order], images.device), counts)
    changed = torch.empty_like(images)
    for operation, own, strength in zip(OPERATIONS, places, sizes, strict=True):
        if len(own):
            changed[own] = operation(images[own], strength, wide).clamp(0.0, 1.0)
    return changed


def _identity(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return images


def _shear_x(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return _moved(images, {(0, 1): strengths * (0.99 if wide else 0.3)})


def _shear_y(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return _moved(images, {(1, 0): strengths * (0.99 if wide else 0.3)})


def _shift_x(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    # In units of half a side: a third of the side, the whole of it where wide.
    return _moved(images, {(0, 2): strengths * (2.0 if wide else 2 / 3)})


def _shift_y(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return _moved(images, {(1, 2): strengths * (2.0 if wide else 2 / 3)})


def _turned(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    angles = strengths * math.radians(135 if wide else 30)
    sines = angles.sin()
    cells = {(0, 0): angles.cos(), (1, 1): angles.cos(), (0, 1): -sines, (1, 0): sines}
    return _moved(images, cells)


def _moved(images: torch.Tensor, cells: dict[tuple[int, int], torch.Tensor]) -> torch.Tensor:
    matrix = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    for (row, column), values in cells.items():
        matrix[:, row, column] = values
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = functional.grid_sample(
        images - 0.5, grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return moved + 0.5


def _blend(
    from_: torch.Tensor, to: torch.Tensor, strengths: torch.Tensor, wide: bool
) -> torch.Tensor:
    """1 + strength of the way from one picture to another: beyond it, or back from it."""
    share = 1.0 + strengths[:, None, None, None] * (0.99 if wide else 0.9)
    return from_ + (to - from_) * share


def _brightness(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return _blend(torch.zeros_like(images), images, strengths, wide)


def _contrast(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return _blend(_grey(images).mean((2, 3), keepdim=True), images, strengths, wide)


def _colour(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return _blend(_grey(images), images, strengths, wide)


def _grey(images: torch.Tensor) -> torch.Tensor:
    """As bright as they look (ITU-R 601), which is what both papers' programs take from PIL."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _sharpness(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    # As PIL does: the margin stays, and the middle of nine pixels counts five times.
    smooth = images.clone()
    inner = smooth[:, :, 1:-1, 1:-1]
    inner.mul_(4 / 13).add_(functional.avg_pool2d(images, 3, stride=1), alpha=9 / 13)
    return _blend(smooth, images, strengths, wide)


def _posterize(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    bits = 8 - (strengths.abs() * (6 if wide else 4)).round()
    levels = (2.0**bits)[:, None, None, None]
    return (images * 255 / 256 * levels).floor() / levels * 256 / 255


def _solarize(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    limit = (1.0 - strengths.abs())[:, None, None, None]
    return torch.where(images >= limit, 1.0 - images, images)


def _autocontrast(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


OPERATIONS: tuple[Operation, ...] = (
    _identity, _shear_x, _shear_y, _shift_x, _shift_y, _turned, _brightness, _contrast, _colour,
    _sharpness, _posterize, _solarize, _autocontrast,
)  # fmt: skip
