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
    # All weights in few calls: on a CPU torch's default is a loop over them.
    kind = next(model.parameters()).device.type
    fused, foreach = kind == "cuda" or None, kind == "cpu" or None
    if options.optimizer == "sgd":
        nesterov, momentum = options.nesterov and options.momentum > 0, options.momentum
        return torch.optim.SGD(
            groups, rate, momentum, nesterov=nesterov, foreach=foreach, fused=fused
        )
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, rate, foreach=foreach, fused=fused)
    return torch.optim.AdamW(groups, rate, foreach=foreach, fused=fused)


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
        """`model` is changed in place from here on, as optimizers and `load_state_dict` do."""
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._decay = decay
        self.steps = 0
        ours, theirs = self.model.state_dict().values(), model.state_dict().values()
        pairs = list(zip(ours, theirs, strict=True))
        self._averaged = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        self._counts = [pair for pair in pairs if not pair[0].dtype.is_floating_point]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 10))
        ours, theirs = zip(*self._averaged, strict=True)
        torch._foreach_lerp_(ours, theirs, 1 - decay)
        for own, other in self._counts:
            own.copy_(other)
