"""What others would use for this job, each as its package comes and by its own ask and tell.

None of them is needed for anything else: an arm imports its package when it is run. They do not all
agree on the versions of what they build on, so each had better get an environment of its own.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.hybrid import FIELD
from benchmarks.hybrid.tables import Family, Task

Point = dict[str, Any]


class Peer:
    """The default configuration first, then what the package proposes; it is told what to minimize."""

    def __init__(self, task: Task, seed: int) -> None:
        self._family, self._sign = task.family, task.sign
        self._folder = tempfile.TemporaryDirectory()
        self._running: list[Any] = []

    def tell(self, values: Sequence[float]) -> None:
        for one, value in zip(self._running, values, strict=True):
            self._told(one, -self._sign * value)

    def _told(self, one: Any, cost: float) -> None:
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self._folder.cleanup()


class DeepHyper(Peer):
    """Its centralized search by a model (CBO), which maximizes."""

    def __init__(self, arm: str, task: Task, seed: int, trials: int) -> None:
        from deephyper.hpo import CBO, HpProblem

        super().__init__(task, seed)
        self._search = CBO(
            HpProblem(config_space(task.family)),
            random_state=seed,
            log_dir=self._folder.name,
            initial_points=[task.family.default],
        )

    def propose(self, count: int) -> list[Point]:
        self._running = [plain(self._family, one) for one in self._search.ask(count)]
        return self._running

    def tell(self, values: Sequence[float]) -> None:
        seen = [self._sign * value for value in values]
        self._search.tell(list(zip(self._running, seen, strict=True)))


class Smac(Peer):
    """SMAC3's facade for hyperparameters: as it comes, it runs the best again; `smac-once` does not."""

    def __init__(self, arm: str, task: Task, seed: int, trials: int) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        super().__init__(task, seed)
        self._space = config_space(task.family)
        scenario = Scenario(
            self._space,
            output_directory=self._folder.name,
            n_trials=trials,
            seed=seed,
            deterministic=arm == "smac-once",
        )
        self._smac = HyperparameterOptimizationFacade(scenario, logging_level=False)
        self._ahead: list[Any] = []
        self._started = False

    def propose(self, count: int) -> list[Point]:
        if not self._started:
            self._ahead = self._beginning()
            self._started = True
        self._ahead += [self._smac.ask() for _ in range(count - len(self._ahead))]
        self._running, self._ahead = self._ahead[:count], self._ahead[count:]
        return [plain(self._family, dict(one.config)) for one in self._running]

    def _beginning(self) -> list[Any]:
        """The default, with the seed of what would be first: SMAC compares what has seeds in common."""
        from ConfigSpace import Configuration
        from smac.runhistory import TrialInfo

        first = self._smac.ask()
        default = Configuration(self._space, values=self._family.default)
        return [TrialInfo(default, seed=first.seed), first]

    def _told(self, one: Any, cost: float) -> None:
        from smac.runhistory import TrialValue

        self._smac.tell(one, TrialValue(cost=cost), save=False)


class HyperOpt(Peer):
    """Its TPE, driven as Ray Tune's HyperOptSearch does: one at a time, with what still runs known."""

    def __init__(self, arm: str, task: Task, seed: int, trials: int) -> None:
        import numpy as np
        from hyperopt import Domain
        from hyperopt.fmin import generate_trials_to_calculate

        super().__init__(task, seed)
        self._space = {name: _hyperopt(name, one) for name, one in task.family.space.items()}
        self._domain = Domain(lambda point: 0.0, self._space)
        self._luck = np.random.default_rng(seed)
        self._trials = generate_trials_to_calculate([_indices(task.family, task.family.default)])
        self._trials.refresh()
        self._started = False

    def propose(self, count: int) -> list[Point]:
        numbers = [] if self._started else [0]
        self._started = True
        self._running = [*numbers, *(self._next() for _ in range(count - len(numbers)))]
        return [self._point(number) for number in self._running]

    def _next(self) -> int:
        from hyperopt import tpe

        (number,) = self._trials.new_trial_ids(1)
        self._trials.refresh()
        seed = self._luck.integers(2**31 - 1)
        documents = tpe.suggest([number], self._domain, self._trials, seed, verbose=False)
        self._trials.insert_trial_docs(documents)
        self._trials.refresh()
        return int(number)

    def _point(self, number: int) -> Point:
        from hyperopt import space_eval

        values = self._trials.trials[number]["misc"]["vals"]
        point = space_eval(self._space, {name: value[0] for name, value in values.items()})
        return plain(self._family, point)

    def _told(self, one: Any, cost: float) -> None:
        from hyperopt import JOB_STATE_DONE, STATUS_OK

        self._trials.trials[one].update(
            state=JOB_STATE_DONE, result={"loss": cost, "status": STATUS_OK}
        )
        self._trials.refresh()


class Hebo(Peer):
    """HEBO: a Gaussian process on warped values, and an evolved front of acquisition functions."""

    def __init__(self, arm: str, task: Task, seed: int, trials: int) -> None:
        import numpy as np
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        super().__init__(task, seed)
        # It draws from both libraries' own luck.
        np.random.seed(seed)
        torch.manual_seed(seed)
        parts = [{"name": name, **_hebo(one)} for name, one in task.family.space.items()]
        self._mind = HEBO(DesignSpace().parse(parts), scramble_seed=seed)
        self._started = False

    def propose(self, count: int) -> list[Point]:
        first = [] if self._started else [dict(self._family.default)]
        self._started = True
        rest = count - len(first)
        asked = self._mind.suggest(n_suggestions=rest).to_dict("records") if rest else []
        self._running = [*first, *(plain(self._family, one) for one in asked)]
        return self._running

    def tell(self, values: Sequence[float]) -> None:
        import numpy as np
        import pandas as pd

        costs = np.array([[-self._sign * value] for value in values])
        self._mind.observe(pd.DataFrame(self._running), costs)


PEERS: dict[str, type[DeepHyper] | type[Smac] | type[HyperOpt] | type[Hebo]] = dict(
    zip(FIELD, (DeepHyper, Smac, Smac, HyperOpt, Hebo), strict=True)
)
REQUIREMENTS: Mapping[type, str] = {
    DeepHyper: "deephyper==0.13.2",
    Smac: "smac==2.4.1",
    HyperOpt: "hyperopt==0.3.0",
    Hebo: "HEBO==0.3.6",
}


def peer(arm: str, task: Task, seed: int, trials: int) -> Peer:
    """The arm of that name. Ends the program with what to install where its package is missing."""
    kind = PEERS[arm]
    try:
        return kind(arm, task, seed, trials)
    except ModuleNotFoundError as error:
        line = f"pip install {REQUIREMENTS[kind]}"
        raise SystemExit(f"the arm {arm} needs {error.name}, which is missing: {line}") from error


def plain(family: Family, point: Mapping[str, Any]) -> Point:
    """In our order and types, and not outside by a rounding error."""
    return {name: _plain(one, point[name]) for name, one in family.space.items()}


def _plain(one: Mapping[str, Any], value: Any) -> Any:
    if one["type"] == "categorical":
        return str(value)
    inside = min(max(value, one["low"]), one["high"])
    return round(inside) if one["type"] == "int" else float(inside)


def config_space(family: Family) -> Any:
    """For DeepHyper and SMAC alike."""
    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

    space = ConfigurationSpace()
    for name, one in family.space.items():
        if one["type"] == "categorical":
            space.add(Categorical(name, one["choices"]))
            continue
        kind = Integer if one["type"] == "int" else Float
        space.add(kind(name, (one["low"], one["high"]), log=one.get("scale") == "log"))
    return space


def _hyperopt(name: str, one: Mapping[str, Any]) -> Any:
    from hyperopt import hp, pyll

    if one["type"] == "categorical":
        return hp.choice(name, one["choices"])
    low, high, whole = one["low"], one["high"], one["type"] == "int"
    if one.get("scale") == "log":
        ends = math.log(low), math.log(high)
        return (
            pyll.scope.int(hp.qloguniform(name, *ends, 1)) if whole else hp.loguniform(name, *ends)
        )
    return hp.uniformint(name, low, high) if whole else hp.uniform(name, low, high)


def _indices(family: Family, point: Point) -> Point:
    """HyperOpt knows a choice by its place."""
    places = {name: one.get("choices") for name, one in family.space.items()}
    return {name: places[name].index(v) if places[name] else v for name, v in point.items()}


def _hebo(one: Mapping[str, Any]) -> dict[str, Any]:
    if one["type"] == "categorical":
        return {"type": "cat", "categories": one["choices"]}
    ends = {"lb": one["low"], "ub": one["high"]}
    whole = one["type"] == "int"
    if one.get("scale") == "log":
        return {"type": "pow_int" if whole else "pow", "base": 10, **ends}
    return {"type": "int" if whole else "num", **ends}
