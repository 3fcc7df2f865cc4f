"""When a training has gone where it does not come back from."""

from __future__ import annotations

import math
from collections.abc import Sequence


class Diverged(Exception):
    """Going on would only cost hours."""


def check_loss(loss: float, limit: float, epoch: int) -> None:
    """Raises Diverged where a batch's loss is not finite, or beyond the limit."""
    if not math.isfinite(loss) or loss > limit:
        raise Diverged(
            f"the loss became {loss:.3g} in epoch {epoch}, the limit is {limit:g}; a smaller "
            "learning rate may help"
        )


def check_chance(
    losses: Sequence[float], accuracies: Sequence[float], epochs: int, classes: int, images: int
) -> None:
    """Raises Diverged after `epochs` at the level of guessing with a loss that no longer falls.

    `losses` of training and `accuracies` on `images` validation images, after each epoch so far;
    `epochs` 0: never.
    """
    if not epochs or len(losses) < epochs:
        return
    share = 1 / classes
    noise = 3 * math.sqrt(share * (1 - share) / images)
    best, loss = max(accuracies[-epochs:]), losses[-1]
    falls = loss < 0.999 * losses[-epochs]
    if best <= share + noise and loss >= math.log(classes) - 0.01 and not falls:
        raise Diverged(
            f"the accuracy has been that of guessing ({best:.3f}) for {epochs} epochs, the loss "
            f"is {loss:.3g}; a smaller learning rate may help"
        )
