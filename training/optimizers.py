"""Optimizers, the learning rate's course, and the average of the weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from training.options import Options


def build_optimizer(model: nn.Module, options: Options) -> torch.optim.Optimizer:
    """The optimizer; weight decay for weights, none for biases and normalization."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    rate = options.learning_rate
    if options.optimizer == "sgd":
        nesterov = options.nesterov and options.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=options.momentum, nesterov=nesterov)
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate)
    return torch.optim.AdamW(groups, lr=rate)


def rate_share(schedule: str, done: float, warmup: float) -> float:
    """The learning rate as a share of its highest. Pure.

    `done`: share of the training that is over; `warmup`: share over which the rate rises.
    """
    if schedule == "onecycle":
        warmup = max(warmup, 0.3)
    if done < warmup:
        return max(done / warmup, 1e-3)
    rest = (done - warmup) / (1 - warmup) if warmup < 1 else 1.0
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return 0.1 ** (int(rest * 100) >= 50) * 0.1 ** (int(rest * 100) >= 75)
    return max(0.5 * (1 + math.cos(math.pi * min(rest, 1.0))), 1e-4)


class WeightAverage:
    """An exponential average of a model's weights, corrected for its young age."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 10))
        ours, theirs = self.model.state_dict(), model.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - decay)
            else:
                value.copy_(theirs[name])
