"""The reference training program: ``python -m training.train --hyperparameters FILE``.

Keeps the contract in `training/contract.py`; results go beside the file that it is given.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from training.contract import (
    METRICS_FILE,
    RESULTS_FILE,
    STOP_FILE,
    ContractError,
    Curve,
    ErrorReport,
    Result,
    Task,
    accuracy_auc,
    metric_line,
    read_task,
    write_result,
)
from training.fashion import Split, load
from training.options import Options, read_options
from training.small_cnn import SmallCnn

DEFAULT_EPOCHS = 4


class Stopped(BaseException):
    """A signal asked the program to end (walltime, preemption, scancel)."""


class Diverged(Exception):
    """The loss is not finite any more."""


@dataclass
class Progress:
    """What a trial has found so far."""

    began: float = field(default_factory=time.monotonic)
    steps: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    loss: float | None = None

    def seconds(self) -> float:
        return time.monotonic() - self.began


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what the task asks for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--hyperparameters", type=Path, required=True, metavar="FILE")
    path: Path = parser.parse_args(arguments).hyperparameters
    directory = path.absolute().parent
    try:
        task = read_task(path)
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    progress = Progress()
    try:
        status = _train(task, directory, progress)
        error = None
    except Stopped:
        status = "preempted"
        error = ErrorReport("Stopped", f"SIGTERM after epoch {len(progress.steps)}")
    except Diverged as caught:
        status, error = "diverged", ErrorReport("Diverged", str(caught))
    except Exception as caught:
        status = "failed"
        error = ErrorReport(type(caught).__name__, str(caught), traceback.format_exc())
        traceback.print_exc()
    write_result(directory / RESULTS_FILE, _result(task, status, progress, error))
    return 0 if status in ("completed", "pruned") else 1


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _train(task: Task, directory: Path, progress: Progress) -> str:
    options = read_options(task.hyperparameters)
    torch.manual_seed(task.seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train, validation = load("train"), load("validation")
    model = SmallCnn(options.width, options.dropout)
    optimizer = _optimizer(model, options)
    shuffle = torch.Generator().manual_seed(task.seed)
    with open(directory / METRICS_FILE, "a", encoding="utf-8") as metrics:
        for epoch in range(1, int(task.budget.get("epochs", DEFAULT_EPOCHS)) + 1):
            loss = _epoch(model, optimizer, train, options.batch_size, shuffle)
            accuracy = _accuracy(model, validation)
            progress.steps.append(epoch)
            progress.accuracies.append(accuracy)
            progress.loss = loss
            metrics.write(
                metric_line(
                    epoch,
                    progress.seconds(),
                    accuracy=accuracy,
                    loss=loss,
                    learning_rate=options.learning_rate,
                )
            )
            metrics.flush()
            if (directory / STOP_FILE).exists():
                return "pruned"
    return "completed"


def _optimizer(model: nn.Module, options: Options) -> torch.optim.Optimizer:
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=rate, momentum=options.momentum, weight_decay=decay
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimizer]
    return kind(model.parameters(), lr=rate, weight_decay=decay)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Split,
    batch_size: int,
    shuffle: torch.Generator,
) -> float:
    """One pass over the training images. Returns the mean loss. Raises Diverged."""
    model.train()
    total = 0.0
    for batch in torch.randperm(len(train.labels), generator=shuffle).split(batch_size):
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(train.images[batch]), train.labels[batch])
        if not math.isfinite(loss.item()):
            raise Diverged(f"the loss became {loss.item()}; a smaller learning rate may help")
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(train.labels)


@torch.inference_mode()
def _accuracy(model: nn.Module, validation: Split) -> float:
    model.eval()
    guesses = torch.cat([model(images).argmax(1) for images in validation.images.split(500)])
    return int((guesses == validation.labels).sum()) / len(validation.labels)


def _result(task: Task, status: str, progress: Progress, error: ErrorReport | None) -> Result:
    metrics: dict[str, float | None] = {"train_loss": progress.loss}
    if progress.accuracies:
        metrics |= {
            "accuracy_auc": accuracy_auc(progress.accuracies, progress.steps),
            "final_accuracy": progress.accuracies[-1],
            "best_accuracy": max(progress.accuracies),
        }
    return Result(
        status=status,
        metrics=metrics,
        curve=Curve(tuple(progress.steps), tuple(progress.accuracies)),
        seconds=progress.seconds(),
        hyperparameters=task.hyperparameters,
        environment=_environment(),
        error=error,
        trial=task.trial,
        job=task.job,
    )


def _environment() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
