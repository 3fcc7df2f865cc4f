"""A network that learns: one step on a batch, how often it is right, and what a checkpoint keeps of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from training.augment import augmented, mixed
from training.compilation import begin_step, compiled
from training.data import DataSet
from training.devices import autocast, gradient_scaler, memory_format, number_type, sent
from training.distributed import Ranks, summed, take_from_first
from training.models import build_model
from training.norms import fewest_images, share_statistics
from training.optimizers import WeightAverage, build_optimizer, go_on_from, rate_share
from training.options import Options
from training.policies import applied
from training.settings import Settings

EVALUATION_BATCH = 500


class Learner:
    """The network and all that changes with it: optimizer, scaler of gradients, average of the weights.

    Knows nothing of epochs: what is random in a step comes from the generator that the step is given.
    """

    def __init__(
        self,
        options: Options,
        settings: Settings,
        data: DataSet,
        device: torch.device,
        ranks: Ranks,
        *,
        may_record: bool,
    ) -> None:
        """`may_record`: each step is the same work at the same places; see `compilation`."""
        self._options, self._settings = options, settings
        self._device, self._ranks = device, ranks
        self._mean, self._deviation = (
            torch.tensor(values, device=device)[:, None, None]
            for values in (data.mean, data.deviation)
        )
        self._format = memory_format(device)
        model = build_model(options, data.shape).to(device)
        self.model = model.to(memory_format=self._format)  # type: ignore[call-overload]
        self._numbers = number_type(device, settings.precision)
        self._scaler = gradient_scaler(device, self._numbers)
        self._optimizer = build_optimizer(self.model, options)
        self._average = WeightAverage(self.model, options.ema) if options.ema else None
        is_shared = settings.sync_batch_norm
        self.fewest = fewest_images(self.model, ranks.world, is_shared=is_shared)
        """With fewer images than these a batch cannot be learned from."""
        fast = self.model if ranks.is_alone else self._shared()
        self._network: Callable[[torch.Tensor], torch.Tensor] = fast
        self._compiled = self._network
        if settings.compile is not None:
            self._compiled = compiled(fast, settings.compile, device, may_record=may_record)

    @property
    def judged(self) -> nn.Module:
        """The network whose accuracy counts: the average of the weights, where there is one."""
        return self._average.model if self._average is not None else self.model

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def state(self) -> dict[str, Any]:
        """What a training goes on from: tensors that the next step changes."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.model.state_dict() if self._average else None,
            "average_steps": self._average.steps if self._average else 0,
        }

    def go_on_from(self, state: dict[str, Any]) -> None:
        """Be as the learner was that gave this state."""
        self.model.load_state_dict(state["model"])
        go_on_from(self._optimizer, state["optimizer"])
        if state["scaler"]:  # empty where it was trained in other numbers than fp16
            self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.model.load_state_dict(state["average"])
            self._average.steps = state["average_steps"]

    def set_rate(self, done: float) -> None:
        """Set the learning rate for the step after this share of the training."""
        warmup = self._options.warmup_epochs / self._settings.epochs
        share = rate_share(self._options.schedule, done, min(warmup, 1.0))
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * share

    def step(
        self, images: torch.Tensor, labels: torch.Tensor, whole: int, chance: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on this process's part of a batch of `whole` images.

        Returns this part's share of the batch's mean loss, and how many were right.
        """
        options = self._options
        pixels = applied(
            images / 255,
            options.policy,
            options.policy_operations,
            options.policy_magnitude,
            chance,
        )
        images = augmented(self._normalized(pixels), options, chance)
        others, share = None, 1.0
        if options.mixup:
            images, others, share = mixed(images, options.mixup, chance)
        images = images.to(self._numbers, memory_format=self._format)
        # Before the network runs: its peak is lower without the last step's gradients.
        self._optimizer.zero_grad(set_to_none=True)
        begin_step(self._settings.compile)
        # A last batch of another size would be compiled anew, for one step an epoch.
        network = self._compiled if whole == options.batch_size else self._network
        with autocast(self._device, self._numbers):
            scores = network(images)
            loss = self._loss(scores, labels)
            if others is not None:
                loss = torch.lerp(self._loss(scores, labels[others]), loss, share)
        part = len(labels) / whole
        # The processes' gradients are averaged, and each mean is over this one's images.
        self._scaler.scale(_times(loss, part * self._ranks.world)).backward()  # type: ignore[no-untyped-call]
        if options.gradient_clip:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), options.gradient_clip)
        self._scaler.step(self._optimizer)
        if self._average is not None and not self._was_skipped():
            self._average.update()
        self._scaler.update()
        return _times(loss.detach(), part), (scores.detach().argmax(1) == labels).sum()

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
        ids = [self._device.index] if self._device.type == "cuda" else None
        # Statistics of batch normalization are taken from the first process where they are used, which
        # is in judging: before each step they would be as many messages for nothing.
        known = inspect.signature(nn.parallel.DistributedDataParallel).parameters
        word = "forward_sync_buffers"  # torch 2.13's; before it the other
        buffers: dict[str, Any] = {word if word in known else "broadcast_buffers": False}
        return nn.parallel.DistributedDataParallel(
            self.model, ids, gradient_as_bucket_view=True, **buffers
        )

    @torch.inference_mode()
    def accuracy(self, part: tuple[torch.Tensor, torch.Tensor]) -> float:
        """Share of the images of a part that are classified rightly."""
        model = self.judged
        model.eval()
        # Each process's batch normalization may have seen other images: one network is judged, and it
        # is the one that checkpoints keep.
        take_from_first(model.buffers())
        rank, world = self._ranks.rank, self._ranks.world
        images, labels = part[0][rank::world], part[1][rank::world]
        right = torch.zeros((), device=self._device)
        for first in range(0, len(labels), EVALUATION_BATCH):
            here = slice(first, first + EVALUATION_BATCH)
            batch = self._normalized(sent(images[here], self._device) / 255)
            with autocast(self._device, self._numbers):
                scores = model(batch.to(self._numbers, memory_format=self._format))
            right += (scores.argmax(1) == sent(labels[here], self._device)).sum()
        return int(summed(right)) / len(part[1])

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        """Of pixels in [0, 1]."""
        return (images - self._mean) / self._deviation


def _times(value: torch.Tensor, factor: float) -> torch.Tensor:
    """Their product: nothing to do for a device where the factor is one, as it is of one process."""
    return value if factor == 1.0 else value * factor
