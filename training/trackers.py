"""TensorBoard and Weights & Biases, for who wants them: the same names as in metrics.jsonl.

Both are found at run time. What they write lies in the job's directory; W&B ``offline`` sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from training.contract import ParameterValue, PilothouseError
from training.notices import warn
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
        self._told: dict[str, Tracker] = {}
        if settings.tensorboard:
            self._told["TensorBoard"] = _Board(_tensorboard(settings.directory))
        if settings.wandb != "disabled":
            self._told["W&B"] = _Run(_wandb(settings, hyperparameters))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Tell them of one epoch."""
        for name in list(self._told):
            self._try(name, lambda tracker: tracker.log(epoch, values))

    def close(self) -> None:
        """Let them write what they still hold. This may take long: W&B waits for its network."""
        for name in list(self._told):
            self._try(name, lambda tracker: tracker.close())

    def _try(self, name: str, what: Callable[[Tracker], None]) -> None:
        """Do it, and where the tracker fails, go on without: the metrics lie in their own file."""
        try:
            what(self._told[name])
        # Whatever a package of others, or the process behind it, makes of it:
        except Exception as error:
            del self._told[name]
            warn(f"{name} gets nothing more, it has failed ({type(error).__name__}: {error})")


class Tracker(Protocol):
    """Something that is told of epochs."""

    def log(self, epoch: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class _Board:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Run:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log({"epoch": epoch, **values}, step=epoch)

    def close(self) -> None:
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
