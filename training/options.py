"""The hyperparameters of the reference program: names, types, defaults. Unknown ones are refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from training.contract import ParameterValue, PilothouseError

OPTIMIZERS = ("sgd", "adam", "adamw")


class BadHyperparameter(PilothouseError):
    """A hyperparameter that this program does not know, or a value it cannot use."""


@dataclass(frozen=True)
class Options:
    """What a trial can choose."""

    learning_rate: float = 0.01
    optimizer: str = "sgd"
    momentum: float = 0.9
    """Only for sgd."""
    weight_decay: float = 0.0
    batch_size: int = 64
    width: int = 16
    """Channels of the first layer; the second has twice as many."""
    dropout: float = 0.0


def read_options(given: Mapping[str, ParameterValue]) -> Options:
    """The options of a trial. Raises BadHyperparameter that names the fault and the fix."""
    known = {field.name: field for field in fields(Options)}
    values: dict[str, float | int | str] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadHyperparameter(f"hyperparameters.{name}: there is no such one; {hint}")
        default = getattr(Options, name)
        values[name] = _typed(name, value, type(default))
    options = Options(**values)  # type: ignore[arg-type]
    _check(options)
    return options


def _typed(name: str, value: ParameterValue, kind: type) -> float | int | str:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise BadHyperparameter(f"hyperparameters.{name}: {value!r} is not of type {kind.__name__}")
    return value  # type: ignore[return-value]


def _check(options: Options) -> None:
    faults = {
        "learning_rate": options.learning_rate > 0,
        "momentum": 0 <= options.momentum < 1,
        "weight_decay": options.weight_decay >= 0,
        "batch_size": options.batch_size >= 1,
        "width": options.width >= 1,
        "dropout": 0 <= options.dropout < 1,
        "optimizer": options.optimizer in OPTIMIZERS,
    }
    for name, fine in faults.items():
        if not fine:
            value = getattr(options, name)
            raise BadHyperparameter(f"hyperparameters.{name}: {value!r} cannot be used")
