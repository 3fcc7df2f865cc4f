"""Optimizers, the learning rate's course, and the average of the weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from training.options import Options


def build_optimizer(model: nn.Module, options: Options) -> torch.optim.Optimizer:
    """The optimizer; weight decay for weights, none for biases and normalization."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if options.optimizer == "muon":
        return Muon(groups, options.learning_rate, options.momentum)
    rate = options.learning_rate
    # All weights in few calls: on a CPU torch's default is a loop over them.
    kind = next(model.parameters()).device.type
    fused, foreach = kind == "cuda" or None, kind == "cpu" or None
    if options.optimizer == "sgd":
        nesterov, momentum = options.nesterov and options.momentum > 0, options.momentum
        made = torch.optim.SGD(
            groups, rate, momentum, nesterov=nesterov, foreach=foreach, fused=fused
        )
        _begin_at_rest(made)
        return made
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, rate, foreach=foreach, fused=fused)
    return torch.optim.AdamW(groups, rate, foreach=foreach, fused=fused)


def _begin_at_rest(optimizer: torch.optim.SGD) -> None:
    """Begin with a momentum of zero, from where the first step gives what torch's own beginning gives.

    torch takes the first gradient for it; fused, it takes memory as it comes and lets the step fill it. Where
    fp16's scaler skips that step, for a gradient that overflowed, nothing does: the next would add to it.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def go_on_from(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Be as the optimizer was that gave this state, on whatever device that was.

    In how many calls the weights are moved is the device's matter: a state brings its own along, which a
    scaler of gradients refuses where this optimizer was made for another.
    """
    here = [
        {name: group[name] for name in ("foreach", "fused") if name in group}
        for group in optimizer.param_groups
    ]
    groups = [was | own for was, own in zip(state["param_groups"], here, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})


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
        if self._counts:
            ours, theirs = zip(*self._counts, strict=True)
            torch._foreach_copy_(ours, theirs)


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal (Jordan et al., Muon, 2024).

    So for the hidden layers. The first and the last one, biases and norms take Adam's steps, at a tenth
    of the rate.
    """

    def __init__(self, groups: list[dict[str, Any]], rate: float, momentum: float) -> None:
        """`groups`: weights in the order of their layers, then biases and norms."""
        weights, plain = groups
        first, *hidden, last = weights["params"]
        super().__init__(
            [
                {**weights, "params": hidden, "is_hidden": True},
                {**weights, "params": [first, last], "is_hidden": False},
                {**plain, "is_hidden": False},
            ],
            {"lr": rate, "momentum": momentum},
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step on all groups."""
        for group in self.param_groups:
            move = self._turned if group["is_hidden"] else self._adapted
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(move(parameter, group["momentum"]), alpha=-group["lr"])

    def _turned(self, parameter: nn.Parameter, momentum: float) -> torch.Tensor:
        gradient, mean = parameter.grad, self._kept(parameter, "mean")
        assert gradient is not None
        mean.mul_(momentum).add_(gradient)
        matrix = (gradient + momentum * mean).flatten(1)
        rows, columns = matrix.shape
        turned = _orthogonal(matrix) * max(1.0, rows / columns) ** 0.5
        step: torch.Tensor = turned.reshape(parameter.shape)
        return step

    def _adapted(self, parameter: nn.Parameter, momentum: float) -> torch.Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        mean, square = self._kept(parameter, "mean"), self._kept(parameter, "square")
        state["count"] = count = state.get("count", 0) + 1
        mean.lerp_(gradient, 0.1)
        square.lerp_(gradient.square(), 0.001)
        spread = (square / (1 - 0.999**count)).sqrt_().add_(1e-8)
        step: torch.Tensor = 0.1 * mean / (1 - 0.9**count) / spread
        return step

    def _kept(self, parameter: nn.Parameter, name: str) -> torch.Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        kept: torch.Tensor = state[name]
        return kept


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Nearly the orthogonal factor of a matrix, by five Newton-Schulz steps of the fifth degree."""
    near: torch.Tensor = matrix / (matrix.norm() + 1e-7)
    is_tall = near.shape[0] > near.shape[1]
    near = near.T if is_tall else near
    for _ in range(5):
        square = near @ near.T
        near = 3.4445 * near + (-4.7750 * square + 2.0315 * square @ square) @ near
    return near.T if is_tall else near
