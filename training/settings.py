"""How a training runs, apart from its hyperparameters: data, length, device, files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    compile: bool = False
    deterministic: bool = False
    checkpoint_every: int = 1
    """Epochs; 0: no checkpoints."""
    resume: bool = False
    """Go on from the checkpoint in the directory, if there is one."""
    chance_epochs: int = 10
    """So many epochs at the level of guessing, with a loss no better, are a divergence; 0: never."""
    tensorboard: bool = False
    wandb: str = "disabled"
    """``disabled``, ``offline`` or ``online``."""
    wandb_project: str = "pilothouse"
    wandb_name: str | None = None
    """None: the name of the directory."""
