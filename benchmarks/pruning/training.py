"""Trainings of a small network with NumPy: all configurations of one shape at once."""

import itertools

import numpy as np

from benchmarks.pruning import EPOCHS

AXES = {
    "learning_rate": [round(0.001 * 10 ** (0.45 * step), 5) for step in range(8)],
    "schedule": ["constant", "cosine"],
    "momentum": [0.0, 0.9],
    "weight_decay": [1e-5, 1e-2],
    "batch_size": [16, 64, 256],
    "width": [8, 32],
    "depth": [1, 2],
}
SHAPES = ("batch_size", "width", "depth")
OTHERS = tuple(name for name in AXES if name not in SHAPES)
SEEDS = 3
TOGETHER = 4
"""Configurations."""


def keys():
    """Every configuration, as positions on the axes."""
    return list(itertools.product(*(range(len(axis)) for axis in AXES.values())))


def trained(train, judge):
    """Curves of every configuration: by metric, an array of configurations, seeds and epochs. Not
    finite from the epoch on in which a training diverged."""
    found = {}
    for shape in itertools.product(*(range(len(AXES[name])) for name in SHAPES)):
        values = {n: AXES[n][at] for n, at in zip(SHAPES, shape, strict=True)}
        for others, curves in zip(_others(), _of_one_shape(train, judge, **values), strict=True):
            place = dict(zip((*OTHERS, *SHAPES), (*others, *shape), strict=True))
            found[tuple(place[name] for name in AXES)] = curves
    stacked = np.array([found[key] for key in keys()], dtype=np.float32)
    return {"accuracy": stacked[..., 0], "loss": stacked[..., 1]}


def _others():
    return list(itertools.product(*(range(len(AXES[name])) for name in OTHERS)))


def _of_one_shape(train, judge, **shape):
    """Configurations, seeds, epochs, and the two metrics."""
    parts = [_of_some(train, judge, values, **shape) for values in _in_parts()]
    return np.concatenate(parts)


def _in_parts():
    """The other hyperparameters of each configuration, so many at once as a cache holds."""
    values = np.array(
        [
            [
                AXES["learning_rate"][rate],
                AXES["schedule"][schedule] == "cosine",
                AXES["momentum"][momentum],
                AXES["weight_decay"][decay],
            ]
            for rate, schedule, momentum, decay in _others()
        ],
        dtype=np.float32,
    )
    return np.array_split(values, max(1, len(values) // TOGETHER))


def _of_some(train, judge, values, batch_size, width, depth):
    rows, classes = train
    rate, cosine, momentum, decay = (column[:, None, None, None] for column in values.T)
    chances = [np.random.default_rng(seed) for seed in range(SEEDS)]
    targets = np.eye(int(max(classes.max(), judge[1].max())) + 1, dtype=np.float32)[classes]
    sizes = [rows.shape[1], *[width] * depth, targets.shape[1]]
    weights = [_beginning(chances, len(values), a, b) for a, b in itertools.pairwise(sizes)]
    biases = [np.zeros((len(values), SEEDS, 1, size), np.float32) for size in sizes[1:]]
    parameters = [*weights, *biases]
    speeds = [np.zeros_like(each) for each in parameters]
    curves = []
    with np.errstate(all="ignore"):
        for epoch in range(EPOCHS):
            order = np.array([chance.permutation(len(rows)) for chance in chances])
            batches = range(0, len(rows), batch_size)
            for number, start in enumerate(batches):
                part = order[:, start : start + batch_size]
                done = (epoch + number / len(batches)) / EPOCHS
                now = rate * np.where(cosine > 0, 0.5 + 0.5 * np.cos(np.pi * done), 1.0)
                slopes = _slopes(parameters, rows[part], targets[part], depth)
                for each, speed, slope in zip(parameters, speeds, slopes, strict=True):
                    speed *= momentum
                    speed += slope + decay * each
                    each -= now.astype(np.float32) * speed
            curves.append(_judged(parameters, judge, depth))
    return np.moveaxis(np.array(curves), 0, 2)


def _beginning(chances, count, a, b):
    """He's initialization: the same for each configuration, another for each seed."""
    of_seeds = [chance.normal(0.0, np.sqrt(2.0 / a), (a, b)) for chance in chances]
    return np.repeat(np.array(of_seeds, dtype=np.float32)[None], count, axis=0)


def _forward(parameters, rows, depth):
    weights, biases = parameters[: depth + 1], parameters[depth + 1 :]
    layers = [rows]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        layers.append(np.maximum(layers[-1] @ weight + bias, 0.0))
    logits = layers[-1] @ weights[-1] + biases[-1]
    logits -= logits.max(axis=-1, keepdims=True)
    chances = np.exp(logits)
    return layers, chances / chances.sum(axis=-1, keepdims=True)


def _slopes(parameters, rows, targets, depth):
    layers, chances = _forward(parameters, rows, depth)
    error = (chances - targets) / rows.shape[-2]
    of_weights, of_biases = [], []
    for place in range(depth, -1, -1):
        of_weights.insert(0, np.swapaxes(layers[place], -1, -2) @ error)
        of_biases.insert(0, error.sum(axis=-2, keepdims=True))
        if place:
            error = error @ np.swapaxes(parameters[place], -1, -2) * (layers[place] > 0)
    return [*of_weights, *of_biases]


def _judged(parameters, judge, depth):
    """Accuracy and mean negative log likelihood of each network."""
    rows, classes = judge
    _, chances = _forward(parameters, rows, depth)
    right = (chances.argmax(axis=-1) == classes).mean(axis=-1)
    likelihood = chances[..., np.arange(len(rows)), classes]
    loss = -np.log(np.maximum(likelihood, 1e-9)).mean(axis=-1)
    whole = np.isfinite(chances).all(axis=(-1, -2))
    return np.where(whole[..., None], np.stack([right, loss], axis=-1), np.nan)
