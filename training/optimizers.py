"""Optimizers, the learning rate's course, and the average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import nn

from training.options import Options

Tensors: TypeAlias = Sequence[torch.Tensor]


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
    scaler of gradients refuses where this optimizer was made for another. So is how they lie in memory:
    CUDA's one call refuses momenta that lie otherwise than their weights, as those from MPS do.
    """
    here = [
        {name: group[name] for name in ("foreach", "fused") if name in group}
        for group in optimizer.param_groups
    ]
    groups = [was | own for was, own in zip(state["param_groups"], here, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                kept[name] = torch.empty_like(parameter).copy_(value)


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

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 10))
        ours, theirs = zip(*self._averaged, strict=True)
        torch._foreach_lerp_(ours, theirs, 1 - decay)


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
        """One step on all groups.

        All weights of one at once: one by one, those of ResNet-18 are 1,400 calls, and a device waits for each.
        """
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            if group["weight_decay"]:
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            move = self._turned if group["is_hidden"] else self._adapted
            steps = move(weights, [weight.grad for weight in weights], group["momentum"])
            torch._foreach_add_(weights, steps, alpha=-group["lr"])

    def _turned(self, weights: Tensors, gradients: Tensors, momentum: float) -> Tensors:
        means = self._kept(weights, "mean")
        torch._foreach_mul_(means, momentum)
        torch._foreach_add_(means, gradients)
        return _all_orthogonal(torch._foreach_add(gradients, means, alpha=momentum))

    def _adapted(self, weights: Tensors, gradients: Tensors, momentum: float) -> Tensors:
        means, squares = self._kept(weights, "mean"), self._kept(weights, "square")
        counts = [self.state[weight].get("count", 0) + 1 for weight in weights]
        for weight, count in zip(weights, counts, strict=True):
            self.state[weight]["count"] = count
        torch._foreach_lerp_(means, gradients, 0.1)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 0.001)
        spreads = torch._foreach_div(squares, [1 - 0.999**count for count in counts])
        torch._foreach_sqrt_(spreads)
        torch._foreach_add_(spreads, 1e-8)
        steps = torch._foreach_mul(means, 0.1)
        torch._foreach_div_(steps, [1 - 0.9**count for count in counts])
        torch._foreach_div_(steps, spreads)
        return steps

    def _kept(self, weights: Tensors, name: str) -> Tensors:
        for weight in weights:
            if name not in self.state[weight]:
                self.state[weight][name] = torch.zeros_like(weight)
        return [self.state[weight][name] for weight in weights]


def _all_orthogonal(weights: Tensors) -> Tensors:
    """Each as a matrix of a row for each output made nearly orthogonal; those of one shape at once."""
    turned = list(weights)
    alike: dict[torch.Size, list[int]] = {}
    for place, weight in enumerate(weights):
        alike.setdefault(weight.shape, []).append(place)
    for shape, places in alike.items():
        # In the order in which channels last lie: neither way is a copy.
        matrices = torch.stack([weights[place].movedim(1, -1).flatten(1) for place in places])
        rows, columns = matrices.shape[1:]
        made = _orthogonal(matrices) * max(1.0, rows / columns) ** 0.5
        for place, matrix in zip(places, made.unbind(), strict=True):
            turned[place] = matrix.unflatten(1, (*shape[2:], shape[1])).movedim(-1, 1)
    return turned


def _orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Nearly the orthogonal factors of matrices, by five Newton-Schulz steps of the fifth degree."""
    near: torch.Tensor = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    is_tall = near.shape[1] > near.shape[2]
    near = near.mT if is_tall else near
    for _ in range(5):
        square = near @ near.mT
        # 3.4445 near + (-4.7750 square + 2.0315 square square) near
        bent = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        near = torch.baddbmm(near, bent, near, beta=3.4445)
    return near.mT.contiguous() if is_tall else near
