"""The tables: curves of every configuration on one data set, built once and read back."""

import sys
import time

import numpy as np

from agents.config.model import Settings
from agents.space import SearchSpace
from benchmarks.pruning import EPOCHS, METRICS
from benchmarks.pruning.data import data_set
from benchmarks.pruning.training import AXES, keys, trained

DEFAULT = {
    "learning_rate": 0.01,
    "schedule": "constant",
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "batch_size": 64,
    "width": 16,
    "depth": 1,
}
"""With which every search begins."""
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-3, "high": 1.5, "scale": "log"},
    "schedule": {"type": "categorical", "choices": ["constant", "cosine"]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9},
    "weight_decay": {"type": "float", "low": 1e-5, "high": 1e-2, "scale": "log"},
    "batch_size": {"type": "int", "low": 16, "high": 256, "scale": "log"},
    "width": {"type": "int", "low": 8, "high": 32, "scale": "log"},
    "depth": {"type": "int", "low": 1, "high": 2},
}
WORST = 0.5
"""Quantile of the configurations whose regret is 1."""


def build(folder, names, wheel):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        began = time.process_time()
        np.savez_compressed(folder / f"{name}.npz", **trained(*data_set(name, wheel)))
        print(f"{name}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)


class Task:
    """One objective on one data set: what a training writes down, and what is true."""

    def __init__(self, folder, name, metric):
        self.name, self.metric, self.direction = f"{name}/{metric}", metric, METRICS[metric]
        self.sign = 1.0 if self.direction == "maximize" else -1.0
        with np.load(folder / f"{name}.npz") as kept:
            self._curves = dict(zip(keys(), np.asarray(kept[metric], dtype=float), strict=True))
        means = [self.sign * curves[:, -1].mean() for curves in self._curves.values()]
        known = np.array([mean for mean in means if np.isfinite(mean)])
        self.best = float(known.max())
        self.scale = max(1e-9, self.best - float(np.quantile(known, WORST)))

    def curve(self, point, chance):
        """What one of the trainings of the nearest configuration wrote, up to where it diverged."""
        curves = self._curves[_key(point)]
        values = curves[chance.randrange(len(curves))]
        whole = np.isfinite(values)
        length = EPOCHS if whole.all() else int(whole.argmin())
        return [float(value) for value in values[:length]]

    def regret(self, point):
        """Of a configuration one of whose trainings diverges: as good as the worst that does not."""
        mean = self.sign * float(self._curves[_key(point)][:, -1].mean())
        return (self.best - mean) / self.scale if np.isfinite(mean) else self._worst

    @property
    def _worst(self):
        means = [self.sign * curves[:, -1].mean() for curves in self._curves.values()]
        return (self.best - min(mean for mean in means if np.isfinite(mean))) / self.scale

    def settings(self, **parts):
        space = {name: {**one, "default": DEFAULT[name]} for name, one in SPACE.items()}
        return Settings.model_validate(
            {
                "experiment": {"id": "bench"},
                "objective": {"metric": self.metric, "direction": self.direction},
                "search_space": space,
                "training": {"command": ["true"]},
                **parts,
            }
        )

    @property
    def space(self):
        return SearchSpace.build(self.settings().search_space, [])


def _key(point):
    return tuple(_nearest(name, axis, point[name]) for name, axis in AXES.items())


def _nearest(name, axis, value):
    if isinstance(value, str):
        return axis.index(value)
    logarithmic = SPACE[name].get("scale") == "log"
    place = np.log if logarithmic else float
    return int(np.argmin([abs(place(value) - place(choice)) for choice in axis]))
