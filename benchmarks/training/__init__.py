"""The reference program against the plainest PyTorch loop and against torchvision's recipe.

`python -m benchmarks training`: on a CPU, the small data set. `python -m benchmarks.training --device cuda`:
on an accelerator, images of CIFAR-100's shape, as a table in Markdown.
"""

import time

BEGAN = time.monotonic()
"""Before torch is imported: from here the rivals' first step counts, as ours does."""


def measure() -> list[tuple[str, str, str, str]]:
    """The rows for a CPU."""
    from benchmarks.training import processor

    return processor.measure()
