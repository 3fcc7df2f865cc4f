"""The training loop: epochs, validation, checkpoints, early ends. A step is in `learner`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from training import IMPORTED, checkpoints
from training.batches import Resident, Streamed, divided, fits
from training.compilation import keep_files_in
from training.contract import (
    METRICS_FILE,
    STOP_FILE,
    metric_line,
    parse_metrics,
    write_atomically,
)
from training.data import DataSet, Split, load_data
from training.devices import (
    choose_device,
    derived_seed,
    describe,
    peak_memory_mb,
    prepare,
    seed_of_rank,
)
from training.distributed import Ranks, join, summed
from training.divergence import check_chance, check_loss
from training.learner import Learner
from training.metrics_file import MetricsFile
from training.models import parameter_count
from training.notices import warn
from training.options import BadHyperparameter, Options
from training.settings import Settings, check_settings

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
    earlier_seconds: float = 0.0
    """What was spent up to then, before this process."""


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
        kept = settings.directory / "checkpoints"
        if ranks.is_first:
            checkpoints.clean(kept)
        self.tell: Callable[[int, Mapping[str, float]], None] = lambda epoch, values: None
        self._began = time.monotonic()
        check_settings(settings)
        is_compiling = settings.compile is not None
        keep_files_in(settings.directory, ranks.rank, is_compiling=is_compiling)
        self.device = choose_device(settings.device, ranks.local)
        # Only the first of several processes writes.
        every = settings.checkpoint_every if ranks.is_first else 0
        is_aside = self.device.type != "cpu"
        self._keeper = checkpoints.Keeper(kept, every, is_aside=is_aside)
        prepare(self.device, seed, deterministic=settings.deterministic)
        self.described = describe(self.device)
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
        may_record = self._is_resident and ranks.is_alone
        self.learner = Learner(
            options, settings, self.data, self.device, ranks, may_record=may_record
        )
        found.parameters = parameter_count(self.learner.model)

    def run(self) -> str:
        """Train to the end. Returns ``completed`` or ``pruned``. Raises Diverged."""
        try:
            status = self._epochs()
        finally:
            self._train.close()
            self._found.peak_memory_mb = peak_memory_mb(self.device)
            self.keep_the_rest()
        if status == "completed" and self.data.test is not None:
            self._found.test_accuracy = self.learner.accuracy(self._put(self.data.test))
        return status

    def keep_the_rest(self) -> None:
        """Write the checkpoint of the epochs that none has yet."""
        self._keeper.write()

    def _epochs(self) -> str:
        """All epochs, or as many as a STOP file and the time budget allow."""
        kept = self._resume() if self._settings.resume else None
        first = 1 + self._found.resumed_after
        path = self._settings.directory / METRICS_FILE
        if self._ranks.is_first:
            earlier = path if kept is None else kept.parents[1] / METRICS_FILE
            _begin_metrics(path, first - 1, earlier)
        metrics = MetricsFile(path if self._ranks.is_first else None)
        for epoch in range(first, int(self._settings.epochs) + 1):
            if epoch > 1 and self._is_late():
                break
            self._one(epoch, metrics)
            if self._agreed((self._settings.directory / STOP_FILE).exists()):
                return "pruned"
        return "completed"

    def _is_late(self) -> bool:
        """Whether the time budget is used up."""
        limit = self._settings.seconds
        return limit is not None and self._agreed(self._seconds() > limit)

    def _seconds(self) -> float:
        """Since the training began, also in a process before this one."""
        return self._found.earlier_seconds + time.monotonic() - self._began

    def _one(self, epoch: int, metrics: MetricsFile) -> None:
        """One epoch, its validation, its line and its checkpoint."""
        began = time.monotonic()
        loss, train_accuracy = self._epoch(epoch)
        trained = time.monotonic() - began
        accuracy = self.learner.accuracy(self._validation)
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
            "learning_rate": self.learner.rate,
            "epoch_seconds": trained,
            "samples_per_second": found.samples_per_second,
            "peak_memory_mb": peak_memory_mb(self.device),
        }
        metrics.add(metric_line(epoch, self._seconds(), **values))
        self.tell(epoch, values)
        is_end = epoch == self._settings.epochs
        self._keeper.keep(epoch, lambda: self._state(epoch), is_best=is_best, is_end=is_end)
        chance, images = self._settings.chance_epochs, len(self._validation[1])
        check_chance(found.train_losses, found.accuracies, chance, self.data.classes, images)

    def _epoch(self, epoch: int) -> tuple[float, float]:
        """One pass over the training images: mean loss and accuracy on what it was shown."""
        self.learner.model.train()
        rank, world = self._ranks.rank, self._ranks.world
        seed = derived_seed(self._seed, epoch)
        chance = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.data.train.labels), generator=chance)
        batches = divided(order, self._options.batch_size, self.learner.fewest)
        own = seed_of_rank(seed, rank)
        if rank:
            chance.manual_seed(own)  # its images are others: so is what it draws
        torch.manual_seed(own)  # for dropout
        loss_sum = torch.zeros((), device=self.device)
        right_sum = torch.zeros((), device=self.device)
        mine = [batch[rank::world] for batch in batches]
        parts = self._train.epoch(mine, own)
        for number, (images, labels) in enumerate(parts):
            # Asking the others is a wait for the device: not at each step.
            if (world == 1 or number % ASK_EVERY == 0) and self._agreed(self._must_stop()):
                raise Stopped
            self.learner.set_rate((epoch - 1 + number / len(batches)) / self._settings.epochs)
            size = len(batches[number])
            loss, hits = self.learner.step(images, labels, size, chance)
            loss_sum.add_(loss, alpha=size)
            right_sum += hits
            if number % WATCH_EVERY == 0 or number == len(batches) - 1:
                check_loss(float(summed(loss.clone())), self._options.loss_limit, epoch)
            if self._found.first_step_seconds is None:
                self._found.first_step_seconds = time.monotonic() - IMPORTED
        count = sum(len(batch) for batch in batches)
        return float(summed(loss_sum)) / count, float(summed(right_sum)) / count

    def _agreed(self, here: bool) -> bool:
        """Whether it is so in any of the processes: they must do the same."""
        if self._ranks.is_alone:
            return here
        return bool(summed(torch.tensor(float(here), device=self.device)) > 0)

    def _put(self, part: Split) -> tuple[torch.Tensor, torch.Tensor]:
        """The part, on the device where data lie there."""
        if not self._is_resident:
            return part.images, part.labels
        return part.images.to(self.device), part.labels.to(self.device)

    # -- checkpoints -----------------------------------------------------------------------------

    def _state(self, epoch: int) -> checkpoints.State:
        return {
            "epoch": epoch,
            "seconds": self._seconds(),
            **self.learner.state(),
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

    def _resume(self) -> Path | None:
        """Go back to the newest checkpoint. Returns its file; None where there is none."""
        earlier = self._settings.resume_from
        kept = checkpoints.find([d / "checkpoints" for d in (self._settings.directory, *earlier)])
        epoch = int(kept.state["epoch"]) if kept is not None else 0
        total = summed(torch.tensor(epoch, device=self.device))
        if int(total) != epoch * self._ranks.world:
            raise BadHyperparameter(
                "--resume: the processes find different checkpoints; the directory must be one "
                "that all of them see"
            )
        if kept is None:
            if earlier and self._ranks.is_first:
                where = ", ".join(map(str, earlier))
                warn(f"--resume: no checkpoint that can be read in {where}; training begins anew")
            return None
        state = kept.state
        for name, value in self._origin().items():
            if state.get(name) != value:
                raise BadHyperparameter(f"--resume: the checkpoint is of other {name}")
        self.learner.go_on_from(state)
        for name in ("steps", "accuracies", "train_losses", "train_accuracies"):
            getattr(self._found, name)[:] = state[name]
        self._found.resumed_after = epoch
        self._found.earlier_seconds = float(state.get("seconds", 0.0))  # old ones have none
        self._keeper.take_over(kept.path)
        return kept.path


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


def _begin_metrics(path: Path, epoch: int, earlier: Path) -> None:
    """Begin with the metrics up to the epoch that an earlier attempt told, in this file or in its own: what
    comes after it is trained again, and told anew."""
    source = earlier if earlier.exists() else path
    if not source.exists():
        return
    lines = source.read_bytes().splitlines(keepends=True)
    known = [line for line in lines if any(m.step <= epoch for m in parse_metrics(line)[0])]
    if known != lines or source != path:
        write_atomically(path, b"".join(known))
