"""The training loop: epochs, validation, checkpoints, early ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import torch
from torch import nn

from training import IMPORTED, checkpoints
from training.augment import augmented, mixed
from training.batches import Resident, Streamed, divided, fits
from training.compilation import begin_step, compiled, keep_files_in
from training.contract import (
    METRICS_FILE,
    STOP_FILE,
    metric_line,
    parse_metrics,
    write_atomically,
)
from training.data import DataSet, Split, load_data
from training.devices import (
    autocast,
    choose_device,
    gradient_scaler,
    memory_format,
    number_type,
    peak_memory_mb,
    prepare,
)
from training.distributed import Ranks, join, summed, take_from_first
from training.divergence import check_chance, check_loss
from training.models import build_model, parameter_count
from training.norms import fewest_images, share_statistics
from training.optimizers import WeightAverage, build_optimizer, rate_share
from training.options import BadHyperparameter, Options
from training.policies import applied
from training.settings import Settings, check_settings

EVALUATION_BATCH = 500
ASK_EVERY, WATCH_EVERY = 20, 50
"""Steps between two questions to the other processes, and between two looks at the loss."""


class Stopped(Exception):
    """A signal asked the program to end (walltime, preemption, scancel)."""


@dataclass
class Found:
    """What a training has found so far."""

    steps: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    """On the validation images, after each epoch."""
    train_losses: list[float] = field(default_factory=list)
    train_accuracies: list[float] = field(default_factory=list)
    """On the training images as they were shown during the epoch: augmented, with dropout."""
    test_accuracy: float | None = None
    parameters: int | None = None
    samples_per_second: float | None = None
    peak_memory_mb: float | None = None
    first_step_seconds: float | None = None
    """From the program's import to the end of the first optimizer step."""
    resumed_after: int = 0
    """The epoch after which it went on, where it was resumed."""


class Trainer:
    """Trains one network. Reproducible: what is random in an epoch follows from seed and epoch."""

    def __init__(
        self,
        options: Options,
        settings: Settings,
        seed: int,
        found: Found,
        must_stop: Callable[[], bool],
        ranks: Ranks,
    ) -> None:
        """`must_stop` is asked between batches; where it says so, `run` raises Stopped."""
        self._options, self._settings, self._seed = options, settings, seed
        self._found, self._must_stop, self._ranks = found, must_stop, ranks
        # Only the first of several processes writes.
        every = settings.checkpoint_every if ranks.is_first else 0
        self._keeper = checkpoints.Keeper(settings.directory / "checkpoints", every)
        if ranks.is_first:
            checkpoints.clean(settings.directory / "checkpoints")
        self.tell: Callable[[int, Mapping[str, float]], None] = lambda epoch, values: None
        self._began = time.monotonic()
        check_settings(settings)
        if settings.compile is not None:
            keep_files_in(settings.directory, ranks.rank)
        self.device = choose_device(settings.device, ranks.local)
        prepare(self.device, seed, deterministic=settings.deterministic)
        join(ranks, self.device)
        self.data: DataSet = load_data(settings.data, settings.data_dir)
        _check_batch_size(options.batch_size, self.data, ranks.world)
        asked = settings.data_on_device
        self._is_resident = asked == "yes" or (asked == "auto" and fits(self.data, self.device))
        self._train = (
            Resident(self.data.train, self.device)
            if self._is_resident
            else Streamed(self.data.train, self.device, settings.workers)
        )
        self._validation = self._put(self.data.validation)
        self._mean, self._deviation = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (self.data.mean, self.data.deviation)
        )
        model = build_model(options, self.data.shape).to(self.device)
        self._format = memory_format(self.device)
        self.model = model.to(memory_format=self._format)  # type: ignore[call-overload]
        found.parameters = parameter_count(self.model)
        self._numbers = number_type(self.device, settings.precision)
        self._scaler = gradient_scaler(self.device, self._numbers)
        self._optimizer = build_optimizer(self.model, options)
        self._average = WeightAverage(self.model, options.ema) if options.ema else None
        is_shared = settings.sync_batch_norm
        self._fewest = fewest_images(self.model, ranks.world, is_shared=is_shared)
        fast = self.model if ranks.is_alone else self._shared()
        self._network: Callable[[torch.Tensor], torch.Tensor] = fast
        self._compiled = self._network
        if settings.compile is not None:
            may_record = self._is_resident and ranks.is_alone
            self._compiled = compiled(fast, settings.compile, self.device, may_record=may_record)

    def run(self) -> str:
        """Train to the end. Returns ``completed`` or ``pruned``. Raises Diverged."""
        try:
            status = self._epochs()
        finally:
            self._found.peak_memory_mb = peak_memory_mb(self.device)
            self._keeper.write()
        if status == "completed" and self.data.test is not None:
            self._found.test_accuracy = self._accuracy(self._put(self.data.test))
        return status

    def _epochs(self) -> str:
        """All epochs, or as many as a STOP file and the time budget allow."""
        first = 1 + (self._resume() if self._settings.resume else 0)
        path = self._settings.directory / METRICS_FILE
        if self._ranks.is_first:
            _forget_after(path, first - 1)
        else:
            path = Path(os.devnull)
        with open(path, "a", encoding="utf-8") as metrics:
            for epoch in range(first, int(self._settings.epochs) + 1):
                self._one(epoch, metrics)
                if self._agreed((self._settings.directory / STOP_FILE).exists()):
                    return "pruned"
                limit = self._settings.seconds
                if limit is not None and self._agreed(time.monotonic() - self._began > limit):
                    break
        return "completed"

    def _one(self, epoch: int, metrics: TextIO) -> None:
        """One epoch, its validation, its line and its checkpoint."""
        began = time.monotonic()
        loss, train_accuracy = self._epoch(epoch)
        trained = time.monotonic() - began
        accuracy = self._accuracy(self._validation)
        found = self._found
        is_best = not found.accuracies or accuracy > max(found.accuracies)
        found.steps.append(epoch)
        found.accuracies.append(accuracy)
        found.train_losses.append(loss)
        found.train_accuracies.append(train_accuracy)
        found.samples_per_second = len(self.data.train.labels) / trained
        values = {
            "accuracy": accuracy,
            "loss": loss,
            "train_accuracy": train_accuracy,
            "learning_rate": float(self._optimizer.param_groups[0]["lr"]),
            "epoch_seconds": trained,
            "samples_per_second": found.samples_per_second,
            "peak_memory_mb": peak_memory_mb(self.device),
        }
        metrics.write(metric_line(epoch, time.monotonic() - self._began, **values))
        metrics.flush()
        self.tell(epoch, values)
        is_end = epoch == self._settings.epochs
        self._keeper.keep(epoch, lambda: self._state(epoch), is_best=is_best, is_end=is_end)
        chance, images = self._settings.chance_epochs, len(self._validation[1])
        check_chance(found.train_losses, found.accuracies, chance, self.data.classes, images)

    def _epoch(self, epoch: int) -> tuple[float, float]:
        """One pass over the training images: mean loss and accuracy on what it was shown."""
        self.model.train()
        rank, world = self._ranks.rank, self._ranks.world
        seed = (self._seed * 1_000_003 + epoch) % 2**62
        chance = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.data.train.labels), generator=chance)
        batches = divided(order, self._options.batch_size, self._fewest)
        if rank:
            chance.manual_seed(seed + rank * 2**32)  # its images are others: so is what it draws
        torch.manual_seed(seed + rank * 2**32)  # for dropout
        loss_sum = torch.zeros((), device=self.device)
        right_sum = torch.zeros((), device=self.device)
        parts = self._train.epoch([batch[rank::world] for batch in batches], seed)
        for number, (images, labels) in enumerate(parts):
            # Asking the others is a wait for the device: not at each step.
            if (world == 1 or number % ASK_EVERY == 0) and self._agreed(self._must_stop()):
                raise Stopped
            self._set_rate((epoch - 1 + number / len(batches)) / self._settings.epochs)
            size = len(batches[number])
            loss, hits = self._step(images, labels, size, chance)
            loss_sum += loss * size
            right_sum += hits
            if number % WATCH_EVERY == 0 or number == len(batches) - 1:
                check_loss(float(summed(loss.clone())), self._options.loss_limit, epoch)
            if self._found.first_step_seconds is None:
                self._found.first_step_seconds = time.monotonic() - IMPORTED
        count = sum(len(batch) for batch in batches)
        return float(summed(loss_sum)) / count, float(summed(right_sum)) / count

    def _step(
        self, images: torch.Tensor, labels: torch.Tensor, whole: int, chance: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on this process's part of a batch of `whole` images.

        Returns this part's share of the batch's mean loss, and how many were right.
        """
        options = self._options
        pixels = applied(
            images.float() / 255,
            options.policy,
            options.policy_operations,
            options.policy_magnitude,
            chance,
        )
        images = augmented(self._normalized(pixels), options, chance)
        others, share = None, 1.0
        if options.mixup:
            images, others, share = mixed(images, options.mixup, chance)
        images = images.contiguous(memory_format=self._format)
        # Before the network runs: its peak is lower without the last step's gradients.
        self._optimizer.zero_grad(set_to_none=True)
        begin_step(self._settings.compile)
        # A last batch of another size would be compiled anew, for one step an epoch.
        network = self._compiled if whole == options.batch_size else self._network
        with autocast(self.device, self._numbers):
            scores = network(images)
            loss = self._loss(scores, labels)
            if others is not None:
                loss = share * loss + (1 - share) * self._loss(scores, labels[others])
        loss = loss * len(labels) / whole
        # The processes' gradients are averaged: undo that, the losses are shares already.
        self._scaler.scale(loss * self._ranks.world).backward()  # type: ignore[no-untyped-call]
        if options.gradient_clip:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), options.gradient_clip)
        self._scaler.step(self._optimizer)
        if self._average is not None and not self._was_skipped():
            self._average.update()
        self._scaler.update()
        return loss.detach(), (scores.detach().argmax(1) == labels).sum()

    def _was_skipped(self) -> bool:
        """Whether the scaler left the weights as they were. Only with it, in fp16, this is a wait."""
        if not self._scaler.is_enabled():
            return False
        found = self._scaler._found_inf_per_device(self._optimizer).values()
        return any(bool(value) for value in found)

    def _loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(
            scores.float(), labels, label_smoothing=self._options.label_smoothing
        )

    def _shared(self) -> nn.Module:
        """The network with its gradients averaged over the processes."""
        if self._settings.sync_batch_norm:
            share_statistics(self.model)
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(self.model, ids)

    def _agreed(self, here: bool) -> bool:
        """Whether it is so in any of the processes: they must do the same."""
        if self._ranks.is_alone:
            return here
        return bool(summed(torch.tensor(float(here), device=self.device)) > 0)

    def _set_rate(self, done: float) -> None:
        warmup = self._options.warmup_epochs / self._settings.epochs
        share = rate_share(self._options.schedule, done, min(warmup, 1.0))
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * share

    @torch.inference_mode()
    def _accuracy(self, part: tuple[torch.Tensor, torch.Tensor]) -> float:
        """Share of the images of a part that are classified rightly."""
        model = self._average.model if self._average is not None else self.model
        model.eval()
        # Each process's batch normalization may have seen other images: one network is judged, and it
        # is the one that checkpoints keep.
        take_from_first(model.buffers())
        rank, world = self._ranks.rank, self._ranks.world
        images, labels = part[0][rank::world], part[1][rank::world]
        right = torch.zeros((), device=self.device)
        for first in range(0, len(labels), EVALUATION_BATCH):
            here = slice(first, first + EVALUATION_BATCH)
            batch = self._normalized(images[here].to(self.device).float() / 255)
            with autocast(self.device, self._numbers):
                scores = model(batch.contiguous(memory_format=self._format))
            right += (scores.argmax(1) == labels[here].to(self.device)).sum()
        return int(summed(right)) / len(part[1])

    def _put(self, part: Split) -> tuple[torch.Tensor, torch.Tensor]:
        """The part, on the device where data lie there."""
        if not self._is_resident:
            return part.images, part.labels
        return part.images.to(self.device), part.labels.to(self.device)

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        """Of pixels in [0, 1]."""
        return (images - self._mean) / self._deviation

    # -- checkpoints -----------------------------------------------------------------------------

    def _state(self, epoch: int) -> checkpoints.State:
        return {
            "epoch": epoch,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.model.state_dict() if self._average else None,
            "average_steps": self._average.steps if self._average else 0,
            "steps": self._found.steps,
            "accuracies": self._found.accuracies,
            "train_losses": self._found.train_losses,
            "train_accuracies": self._found.train_accuracies,
            **self._origin(),
        }

    def _origin(self) -> checkpoints.State:
        """What a training must have in common with one that it goes on from."""
        return {
            "hyperparameters": vars(self._options),
            "data": self.data.name,
            "seeds": self._seed,
        }

    def _resume(self) -> int:
        """Go back to the newest checkpoint. Returns its epoch; 0 where there is none."""
        state = checkpoints.load(self._settings.directory / "checkpoints")
        epoch = int(state["epoch"]) if state is not None else 0
        total = summed(torch.tensor(epoch, device=self.device))
        if int(total) != epoch * self._ranks.world:
            raise BadHyperparameter(
                "--resume: the processes find different checkpoints; the directory must be one "
                "that all of them see"
            )
        if state is None:
            return 0
        for name, value in self._origin().items():
            if state.get(name) != value:
                raise BadHyperparameter(f"--resume: the checkpoint is of other {name}")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # empty where it was trained in other numbers than fp16
            self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.model.load_state_dict(state["average"])
            self._average.steps = state["average_steps"]
        for name in ("steps", "accuracies", "train_losses", "train_accuracies"):
            getattr(self._found, name)[:] = state[name]
        self._found.resumed_after = epoch
        return epoch


def _check_batch_size(size: int, data: DataSet, world: int) -> None:
    count = len(data.train.labels)
    if size > count:
        raise BadHyperparameter(
            f"hyperparameters.batch_size: {size} is more than the {count} training images of "
            f"{data.name}"
        )
    if size < world:
        raise BadHyperparameter(
            f"hyperparameters.batch_size: {size} is less than the {world} processes that share it"
        )


def _forget_after(path: Path, epoch: int) -> None:
    """Leave only the metrics up to the epoch: what comes after it is trained again, and told anew."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    known = [line for line in lines if any(m.step <= epoch for m in parse_metrics(line)[0])]
    if known != lines:
        write_atomically(path, b"".join(known))
