"""The data sets: scikit-learn's, and three that come inside the wheel of river 0.22.0. Real are digits,
breast_cancer, wine, phishing and segments; the others are made."""

import csv
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np

TRAINED_ON = 300
"""Rows at most: so few that a configuration matters."""
JUDGED_BY = 500


def data_set(name, wheel):
    """Rows to train on and to judge by, standardized, and their classes as numbers."""
    rows, classes = LOADERS[name](wheel)
    order = np.random.default_rng(0).permutation(len(rows))
    rows = np.asarray(rows, dtype=np.float32)[order]
    classes = np.unique(np.asarray(classes)[order], return_inverse=True)[1]
    trained_on = min(TRAINED_ON, len(rows) * 3 // 5)
    spread = rows[:trained_on].std(axis=0)
    rows = (rows - rows[:trained_on].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    rows = np.clip(rows, -5, 5)
    end = trained_on + JUDGED_BY
    return (rows[:trained_on], classes[:trained_on]), (
        rows[trained_on:end],
        classes[trained_on:end],
    )


def _bundled(name):
    def load(wheel):
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")(return_X_y=True)

    return load


def _made(name, **options):
    def load(wheel):
        from sklearn import datasets

        return getattr(datasets, f"make_{name}")(random_state=0, **options)

    return load


def _of_river(name):
    def load(wheel):
        with zipfile.ZipFile(Path(wheel)) as archive:
            raw = archive.read(f"river/datasets/{name}")
        if name.endswith(".gz"):
            text = gzip.decompress(raw)
        else:
            with zipfile.ZipFile(io.BytesIO(raw)) as inner:
                text = inner.read(inner.namelist()[0])
        return _PARSERS[name](text.decode().splitlines())

    return load


def _table(lines):
    """The class in the last column, under a head."""
    table = [row for row in csv.reader(lines) if row]
    return [[float(value) for value in row[:-1]] for row in table[1:]], [r[-1] for r in table[1:]]


def _libsvm(lines):
    """`class 1:value 2:value`."""
    split = [line.split() for line in lines if line.strip()]
    return [[float(v.split(":")[1]) for v in row[1:]] for row in split], [row[0] for row in split]


_PARSERS = {"phishing.csv.gz": _table, "segment.csv.zip": _table, "banana.zip": _libsvm}

LOADERS = {
    "digits": _bundled("digits"),
    "breast_cancer": _bundled("breast_cancer"),
    "phishing": _of_river("phishing.csv.gz"),
    "hastie": _made("hastie_10_2", n_samples=1400),
    "classification": _made(
        "classification", n_samples=1400, n_features=20, n_informative=6, n_classes=4
    ),
    "segments": _of_river("segment.csv.zip"),
    "bananas": _of_river("banana.zip"),
    "wine": _bundled("wine"),
    "gaussian_quantiles": _made("gaussian_quantiles", n_samples=1400, n_features=6, n_classes=4),
    "noisy_classification": _made(
        "classification", n_samples=1400, n_features=30, n_informative=8, flip_y=0.15
    ),
}
