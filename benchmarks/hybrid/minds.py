"""Stand-ins for LLMs, named for what they do. Each reads the prompt and gives one point."""

import json
import math
import random
import re

from agents.proposers.endpoint import Reply

WORST = {
    "hpobench": {
        "alpha": (0.3, 1.0),
        "batch_size": (200, 256),
        "depth": (3, 3),
        "learning_rate_init": (1e-5, 2e-5),
        "width": (16, 20),
    },
    "hpolib": {
        "activation_fn_1": "tanh",
        "activation_fn_2": "tanh",
        "batch_size": (8, 9),
        "dropout_1": (0.5, 0.6),
        "dropout_2": (0.5, 0.6),
        "init_lr": (0.07, 0.1),
        "lr_schedule": "const",
        "n_units_1": (16, 20),
        "n_units_2": (16, 20),
    },
    "svm": {
        "C": (1e-3, 2e-3),
        "gamma": (5.0, 10.0),
        "kernel": "sigmoid",
        "degree": (5, 5),
        "coef0": (0.9, 1.0),
    },
    "nasbench201": {f"Op{edge}": "avg_pool_3x3" for edge in range(6)},
}


def _cell(*operations):
    return {f"Op{edge}": operation for edge, operation in enumerate(operations)}


_C3, _C1, _SKIP, _POOL = "nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3"

RULES = {
    "hpobench": (
        {"alpha": 1e-4, "batch_size": 32, "depth": 2, "learning_rate_init": 1e-3, "width": 256},
        {"alpha": 1e-3, "batch_size": 64, "depth": 2, "learning_rate_init": 3e-3, "width": 512},
        {"alpha": 1e-5, "batch_size": 16, "depth": 3, "learning_rate_init": 5e-4, "width": 128},
    ),
    # Anneal the learning rate, little dropout and wide layers for regression, small batches.
    "hpolib": tuple(
        {
            "activation_fn_1": "relu",
            "activation_fn_2": second,
            "batch_size": batch,
            "dropout_1": 0.0,
            "dropout_2": 0.0,
            "init_lr": rate,
            "lr_schedule": "cosine",
            "n_units_1": width,
            "n_units_2": width,
        }
        for second, batch, rate, width in (
            ("relu", 16, 1e-3, 256),
            ("relu", 8, 5e-4, 512),
            ("tanh", 8, 1e-3, 512),
        )
    ),
    # A grid of powers of ten around the usual values, the Gaussian kernel first.
    "svm": (
        {"C": 10.0, "gamma": 0.01, "kernel": "rbf", "degree": 3, "coef0": 0.0},
        {"C": 10.0, "gamma": 0.1, "kernel": "rbf", "degree": 3, "coef0": 0.0},
        {"C": 1.0, "gamma": 0.1, "kernel": "poly", "degree": 2, "coef0": 1.0},
    ),
    # Three by three convolutions, and a shortcut around them as in residual networks.
    "nasbench201": (
        _cell(_C3, _C3, _C3, _SKIP, _C3, _C3),
        _cell(_C3, _C3, _C3, _C3, _C3, _C3),
        _cell(_C3, _SKIP, _C3, _SKIP, _C3, _C3),
    ),
}


def uniform(parameter, chance, low=None, high=None):
    if parameter["type"] == "categorical":
        return chance.choice(parameter["choices"])
    low = parameter["low"] if low is None else low
    high = parameter["high"] if high is None else high
    if parameter.get("scale") == "log":
        value = math.exp(chance.uniform(math.log(low), math.log(high)))
    else:
        value = chance.uniform(low, high)
    whole = parameter["type"] == "int"
    value = round(value) if whole else value
    return min(parameter["high"], max(parameter["low"], value))


def placebo(task, prompt, chance, position):
    return {name: uniform(one, chance) for name, one in task.family.space.items()}


def wrong(task, prompt, chance, position):
    space, worst = task.family.space, WORST[task.family_name]
    point = {
        name: where if isinstance(where, str) else uniform(space[name], chance, *where)
        for name, where in worst.items()
    }
    if task.family_name == "nasbench201":  # else there would be one such point only
        point[chance.choice(list(point))] = chance.choice(["none", "avg_pool_3x3", "skip_connect"])
    return point


def rules(task, prompt, chance, position):
    tried = int(re.search(r"Runs so far: (\d+)", prompt).group(1)) + position
    known = RULES[task.family_name]
    if tried <= len(known):
        return known[max(0, tried - 1)]
    point = _best(task, prompt) or dict(known[0])
    space = task.family.space
    for name in chance.sample(sorted(space), 2):
        point[name] = _step(space[name], point[name], chance)
    return point


def timid(task, prompt, chance, position):
    point = _best(task, prompt) or dict(task.family.default)
    name = chance.choice(sorted(point))
    return {**point, name: _step(task.family.space[name], point[name], chance)}


def _best(task, prompt):
    """The best run that the prompt shows, or None."""
    found = re.search(r"## Best runs.*?\n- run \d+: [^;]+; ([^;\n]+)", prompt, re.DOTALL)
    return _read(task, found.group(1)) if found else None


def _read(task, line):
    texts = dict(pair.split("=") for pair in line.strip().split(", "))
    kinds = {"float": float, "int": int, "categorical": lambda text: text.strip("\"'")}
    return {name: kinds[task.family.space[name]["type"]](text) for name, text in texts.items()}


def _step(parameter, value, chance):
    if parameter["type"] == "categorical":
        return chance.choice(parameter["choices"])
    if parameter.get("scale") == "log":
        value *= math.exp(chance.uniform(-1.1, 1.1))
    else:
        reach = max(1, 0.15 * (parameter["high"] - parameter["low"]))
        value += chance.uniform(-reach, reach)
    value = round(value) if parameter["type"] == "int" else value
    return min(parameter["high"], max(parameter["low"], value))


MINDS = {"placebo": placebo, "wrong": wrong, "rules": rules, "timid": timid}


class StandIn:
    """Answers in an endpoint's place."""

    name = "stand-in"

    def __init__(self, mind, task, seed):
        self._mind, self._task, self._chance = mind, task, random.Random(seed)

    def ask(self, messages, schema, patient):
        if self._mind == "garbage":
            return Reply("As a language model I would try something smaller.", "text")
        count, prompt = schema["properties"]["proposals"]["minItems"], messages[0]["content"]
        mind = MINDS[self._mind]
        points = [mind(self._task, prompt, self._chance, n) for n in range(count)]
        answer = {"proposals": [{"rationale": "", "parameters": point} for point in points]}
        return Reply(json.dumps(answer), "text")

    def hide_secrets(self, text):
        return text
