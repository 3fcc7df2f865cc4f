"""How a training runs, apart from its hyperparameters: data, length, device, files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from training.contract import PilothouseError


class BadSetting(PilothouseError):
    """A setting that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """What the command line, or the task's budget, says."""

    directory: Path
    """Where everything that is written goes."""
    epochs: int = 4
    seconds: float | None = None
    """Time budget: no epoch begins after it."""
    data: str = "fashion"
    data_dir: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    """``auto`` (bf16 on CUDA and XPU), ``fp32``, ``bf16``, ``fp16`` (with scaled gradients)."""
    data_on_device: str = "auto"
    """``yes``: whole; ``no``: workers bring batches; ``auto``: where a quarter of the device's free
    memory holds it."""
    workers: int = 2
    """Processes that bring batches, where the data do not lie on the device."""
    compile: str | None = None
    """``default`` or ``reduce-overhead``; None: not at all."""
    deterministic: bool = False
    sync_batch_norm: bool = False
    """Of several processes: normalize over the images of all."""
    checkpoint_every: int = 1
    """Epochs; 0: no checkpoints."""
    resume: bool = False
    """Go on from the checkpoint in the directory, if there is one."""
    resume_from: tuple[Path, ...] = ()
    """Where else to look for one then, in this order: the directories of earlier attempts."""
    chance_epochs: int = 10
    """So many epochs at the level of guessing, with a loss no better, are a divergence; 0: never."""
    tensorboard: bool = False
    wandb: str = "disabled"
    """``disabled``, ``offline`` or ``online``."""
    wandb_project: str = "pilothouse"
    wandb_name: str | None = None
    """None: the name of the directory."""


def check_settings(settings: Settings) -> None:
    """Raises BadSetting that names the flag: a task's budget is no better than who wrote it."""
    epochs = settings.epochs
    if not (_is_number(epochs) and 1 <= epochs < math.inf and epochs == int(epochs)):
        raise BadSetting(f"epochs is {epochs!r}: train for one whole epoch or more")
    if settings.seconds is not None and not (_is_number(settings.seconds) and settings.seconds > 0):
        raise BadSetting(f"seconds is {settings.seconds!r}: it must be a number above 0")
    for name in ("checkpoint_every", "chance_epochs", "workers"):
        value = getattr(settings, name)
        if value < 0:
            raise BadSetting(f"--{name.replace('_', '-')}: {value} cannot be used; 0 or more can")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
