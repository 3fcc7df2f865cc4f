"""The hyperparameters of the reference program: names, types, defaults. Unknown ones are refused."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from training.contract import ParameterValue, PilothouseError

POLICIES = ("none", "randaugment", "trivialaugment")
MAGNITUDES = 30
"""RandAugment's strengths go from 0 to this."""
OPTIMIZERS = ("sgd", "adam", "adamw", "muon")
SCHEDULES = ("constant", "cosine", "onecycle", "step")

ALIASES = {"model_type": "model", "hidden_size": "hidden", "num_layers": "layers"}
"""Other names under which some are known."""


class BadHyperparameter(PilothouseError):
    """A hyperparameter that this program does not know, or a value that it cannot use."""


@dataclass(frozen=True)
class Options:
    """What a trial can choose."""

    model: str = "cnn"
    width: int = 16
    """cnn: channels of the first convolution; each later one has twice as many."""
    layers: int = 2
    """cnn: convolutions."""
    hidden: int = 64
    """cnn: size of the hidden layer."""
    dropout: float = 0.0
    learning_rate: float = 0.01
    """At its highest, where a schedule changes it."""
    optimizer: str = "sgd"
    momentum: float = 0.9
    """sgd and muon."""
    nesterov: bool = True
    """sgd only."""
    weight_decay: float = 0.0
    """Not applied to biases and normalization."""
    batch_size: int = 64
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    """The rate rises linearly over these."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0: none."""
    ema: float = 0.0
    """Decay of the average of the weights that is evaluated; 0: the weights themselves."""
    label_smoothing: float = 0.0
    crop: int = 0
    """Random crops after this much padding, in pixels."""
    flip: bool = False
    """Mirrors half of the images."""
    cutout: int = 0
    """Side of the square that is blanked, in pixels."""
    policy: str = "none"
    """``randaugment`` or ``trivialaugment``: random operations on each image."""
    policy_operations: int = 2
    """randaugment: how many on an image."""
    policy_magnitude: int = 9
    """randaugment: their strength, 0 to 30."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that mixes pairs of images; 0: none."""
    loss_limit: float = 1e4
    """A loss beyond this has diverged."""


def read_options(given: Mapping[str, ParameterValue]) -> Options:
    """The options of a trial. Raises BadHyperparameter that names the fault and the fix."""
    known = {field.name: field for field in fields(Options)}
    values: dict[str, float | int | str | bool] = {}
    for told, value in given.items():
        name = ALIASES.get(told, told)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadHyperparameter(f"hyperparameters.{told}: there is no such one; {hint}")
        values[name] = _typed(told, value, type(getattr(Options, name)))
    options = Options(**values)  # type: ignore[arg-type]
    _check(options)
    return options


def unused(options: Options, given: Mapping[str, ParameterValue]) -> list[str]:
    """Names of what was given and has no effect with the other options."""
    without = {
        "momentum": options.optimizer not in ("sgd", "muon"),
        "nesterov": options.optimizer != "sgd" or not options.momentum,
        "width": options.model != "cnn",
        "layers": options.model != "cnn",
        "hidden": options.model != "cnn",
        "policy_operations": options.policy != "randaugment",
        "policy_magnitude": options.policy != "randaugment",
    }
    return [name for name in given if without.get(ALIASES.get(name, name), False)]


def _typed(name: str, value: ParameterValue, kind: type) -> float | int | str | bool:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise BadHyperparameter(f"hyperparameters.{name}: {value!r} is not of type {kind.__name__}")
    assert value is not None
    return value


def _check(options: Options) -> None:
    fine = {
        "learning_rate": options.learning_rate > 0,
        "momentum": 0 <= options.momentum < 1,
        "weight_decay": options.weight_decay >= 0,
        "batch_size": options.batch_size >= 1,
        "width": options.width >= 1,
        "layers": options.layers >= 1,
        "hidden": options.hidden >= 1,
        "dropout": 0 <= options.dropout < 1,
        "optimizer": options.optimizer in OPTIMIZERS,
        "schedule": options.schedule in SCHEDULES,
        "warmup_epochs": options.warmup_epochs >= 0,
        "gradient_clip": options.gradient_clip >= 0,
        "ema": 0 <= options.ema < 1,
        "label_smoothing": 0 <= options.label_smoothing < 1,
        "crop": options.crop >= 0,
        "cutout": options.cutout >= 0,
        "policy": options.policy in POLICIES,
        "policy_operations": options.policy_operations >= 1,
        "policy_magnitude": 0 <= options.policy_magnitude <= MAGNITUDES,
        "mixup": options.mixup >= 0,
        "loss_limit": options.loss_limit > 0,
    }
    for name, value in vars(options).items():
        if not fine.get(name, True) or (isinstance(value, float) and not math.isfinite(value)):
            raise BadHyperparameter(f"hyperparameters.{name}: {value!r} cannot be used")
