"""What all rivals train, on which data and device, and what a run of one tells."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

MADE_UP = "synthetic, CIFAR-100's shape"
"""100 classes of 3 x 32 x 32 pixels, each a pattern under noise: says how fast, not how well."""


@dataclass(frozen=True)
class Case:
    """One training, the same for all rivals."""

    model: str = "cnn"
    data: str = "fashion"
    data_dir: str | None = None
    images: int = 0
    """How many of made-up data, for training; a ninth of it is for validation, as of CIFAR-100 here."""
    batch: int = 64
    rate: float = 0.05
    epochs: int = 4
    target: float = 0.8
    """Validation accuracy that all are timed to; training and validation count, imports do not."""
    device: str = "cpu"
    workers: int = 2
    """Of the recipe's loader, which augments image by image."""
    seed: int = 0

    @property
    def kind(self) -> str:
        """Of device: ``cuda``, without its number."""
        return self.device.partition(":")[0]


@dataclass(frozen=True)
class Run:
    """What one training in a process of its own has shown."""

    samples_per_second: float
    to_target: float | None
    """Seconds; None where it was not reached."""
    first_step: float
    """Seconds from the import to the end of the first step."""
    measured: tuple[float, float]
    """The monotonic clock, of all processes, at the ends of the first epoch and of the last."""
    peak_memory_mb: float
    accuracy: float


def run_of(
    epochs: list[tuple[float, float, float]],
    target: float,
    first_step: float,
    ends: list[float],
    peak: float,
) -> dict[str, Any]:
    """A `Run` as JSON has it, of (seconds so far, accuracy, samples a second) for each epoch.

    The first epoch warms up (kernels are chosen, compiled, memory is taken) and is no speed.
    """
    reached = (time for time, accuracy, _ in epochs if accuracy >= target)
    best = max(speed for _, _, speed in epochs[1:])
    run = Run(best, next(reached, None), first_step, (ends[0], ends[-1]), peak, epochs[-1][1])
    return asdict(run)


def add_made_up(images: int) -> None:
    """Let the program know the made-up data under their name."""
    from training.data import DATA_SETS, DataSet
    from training.data.synthetic import load

    def made_up(folder: Path | None) -> DataSet:
        return replace(load(images, images // 9, classes=100), name=MADE_UP, test=None)

    DATA_SETS[MADE_UP] = made_up


def data_of(case: Case) -> Any:
    """The data set of a case."""
    from training.data import load_data

    if case.data == MADE_UP:
        add_made_up(case.images)
    return load_data(case.data, Path(case.data_dir) if case.data_dir else None)


def synchronize(device: Any) -> None:
    """Wait for all that a device still has to do: a clock that is read before it tells nothing."""
    import torch

    if device.type in ("cuda", "xpu"):
        (torch.cuda if device.type == "cuda" else torch.xpu).synchronize(device)
