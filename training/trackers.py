"""TensorBoard and Weights & Biases, for who wants them: the same names as in metrics.jsonl.

Both are found at run time. What they write lies in the job's directory; W&B ``offline`` sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.contract import ParameterValue, PilothouseError
from training.settings import Settings

WANDB_MODES = ("disabled", "offline", "online")


class NoTracker(PilothouseError):
    """A tracker was asked for that cannot be had."""


class Trackers:
    """All trackers that the settings ask for; none is the common case."""

    def __init__(self, settings: Settings, hyperparameters: Mapping[str, ParameterValue]) -> None:
        """Raises NoTracker where one is missing or does not begin."""
        if settings.wandb not in WANDB_MODES:
            raise NoTracker(f"--wandb: {settings.wandb!r} is none of {', '.join(WANDB_MODES)}")
        self._board = _tensorboard(settings.directory) if settings.tensorboard else None
        self._run = _wandb(settings, hyperparameters) if settings.wandb != "disabled" else None

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Tell them of one epoch."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, epoch)
            self._board.flush()
        if self._run is not None:
            self._run.log({"epoch": epoch, **values}, step=epoch)

    def close(self) -> None:
        """Let them write what they still hold."""
        if self._board is not None:
            self._board.close()
        if self._run is not None:
            self._run.finish()


def _tensorboard(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise NoTracker(_missing("--tensorboard", "tensorboard")) from error
    return SummaryWriter(str(directory / "tensorboard"))


def _wandb(settings: Settings, hyperparameters: Mapping[str, ParameterValue]) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise NoTracker(_missing(f"--wandb {settings.wandb}", "wandb")) from error
    try:
        return wandb.init(
            project=settings.wandb_project,
            name=settings.wandb_name or settings.directory.name,
            dir=str(settings.directory),
            config=dict(hyperparameters),
            mode=settings.wandb,  # type: ignore[arg-type]
        )
    except wandb.Error as error:
        raise NoTracker(
            f"--wandb {settings.wandb}: {error}; `wandb login` on this machine, or use offline"
        ) from error


def _missing(flag: str, package: str) -> str:
    return (
        f"{flag}: {package} is not installed where the training runs: `pip install {package}` there "
        "(or this project's extra `trackers`), or leave the flag out"
    )
