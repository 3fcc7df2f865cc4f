"""RandAugment (Cubuk et al., arXiv:1909.13719) and TrivialAugment (Müller and Hutter,
arXiv:2103.10158), for whole batches on whatever device they are.

Each image draws its own operations. They are done for all images that drew the same one at once, and of
those that move it for all together, on pixels in [0, 1]; what a shift uncovers is grey. Equalization is
left out: it needs a histogram for each image, and both papers do as well without any single operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from training.devices import sent
from training.options import MAGNITUDES

Operation = Callable[[torch.Tensor, torch.Tensor, bool], torch.Tensor]
"""``operation(images, strengths, wide)``: strengths in [-1, 1], one for each image."""
Cells = dict[tuple[int, int], torch.Tensor]
"""Cells of matrices, by row and column: a value for each image."""


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
    strengths = strengths[order]
    # Images of one operation are side by side between the two ways, each of which is one launch.
    there, back = sent(torch.stack([order, order.argsort()]), images.device)
    sorted_ = images[there]
    first = counts[0]
    moving = sum(counts[1 : 1 + len(MOVES)])
    still, own, others = sorted_.split([first, moving, len(which) - first - moving])
    changed = [still]
    if moving:  # all in one go, whichever way each moves
        sizes = strengths[first : first + moving].split(counts[1 : 1 + len(MOVES)])
        changed.append(_moved(own, _matrices(MOVES, sizes, wide)))
    left = counts[1 + len(MOVES) :]
    sizes = sent(strengths, images.device)[first + moving :].split(left)
    for operation, own, strength in zip(COLOURS, others.split(left), sizes, strict=True):
        if len(own):
            changed.append(operation(own, strength, wide))
    return torch.cat(changed)[back].clamp_(0.0, 1.0)


def _identity(images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
    return images


@dataclass(frozen=True)
class Move:
    """An operation that shows what is at another place."""

    cells: Callable[[torch.Tensor, bool], Cells]
    """What its matrices have in place of the identity's, for strengths on the host."""

    def __call__(self, images: torch.Tensor, strengths: torch.Tensor, wide: bool) -> torch.Tensor:
        """As an `Operation`."""
        return _moved(images, _matrices([self], [strengths], wide))


def _shear_x(strengths: torch.Tensor, wide: bool) -> Cells:
    return {(0, 1): strengths * (0.99 if wide else 0.3)}


def _shear_y(strengths: torch.Tensor, wide: bool) -> Cells:
    return {(1, 0): strengths * (0.99 if wide else 0.3)}


def _shift_x(strengths: torch.Tensor, wide: bool) -> Cells:
    # In units of half a side: a third of the side, the whole of it where wide.
    return {(0, 2): strengths * (2.0 if wide else 2 / 3)}


def _shift_y(strengths: torch.Tensor, wide: bool) -> Cells:
    return {(1, 2): strengths * (2.0 if wide else 2 / 3)}


def _turned(strengths: torch.Tensor, wide: bool) -> Cells:
    angles = strengths * math.radians(135 if wide else 30)
    sines = angles.sin()
    return {(0, 0): angles.cos(), (1, 1): angles.cos(), (0, 1): -sines, (1, 0): sines}


def _matrices(moves: Sequence[Move], sizes: Sequence[torch.Tensor], wide: bool) -> torch.Tensor:
    """Where each image's pixels come from, on the host; `sizes`: of each move the strengths."""
    matrices = torch.eye(2, 3).repeat(sum(map(len, sizes)), 1, 1)
    parts = matrices.split([len(strengths) for strengths in sizes])
    for move, strengths, part in zip(moves, sizes, parts, strict=True):
        for (row, column), values in move.cells(strengths, wide).items():
            part[:, row, column] = values
    return matrices


def _moved(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    there = sent(matrices, images.device)
    grid = functional.affine_grid(there, list(images.shape), align_corners=False)
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


MOVES = tuple(Move(cells) for cells in (_shear_x, _shear_y, _shift_x, _shift_y, _turned))
COLOURS: tuple[Operation, ...] = (
    _brightness, _contrast, _colour, _sharpness, _posterize, _solarize, _autocontrast,
)  # fmt: skip
OPERATIONS: tuple[Operation, ...] = (_identity, *MOVES, *COLOURS)
