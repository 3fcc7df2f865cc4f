"""Two objectives, the accuracy and the training time: which sampler finds the better trade-offs?

    python -m benchmarks.hybrid.front TABLES --part held-out --seeds 10

After each budget, the runs that no other run beats as seen are taken for the Pareto front; the score
is the area that their *true means* dominate, as a share of what the whole table's front does. The
first axis goes from the table's median to its best, the second from its slowest to its fastest, as a
logarithm (`log`: twice as fast is worth the same everywhere) or from its 95th percentile in plain seconds
(`linear`). Every arm begins with the same default. `one-objective` is our sampler
told of the first alone.
"""

import argparse
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

from agents.proposers.build import build_sampler
from agents.proposers.pending import with_pending
from agents.proposers.starters import StarterProposer
from agents.trial import StudyView, TrialState
from benchmarks.hybrid import BUDGETS, FIRST_SEED, PARTS, report
from benchmarks.hybrid.arms import Optuna
from benchmarks.hybrid.report import told
from benchmarks.hybrid.tables import Task

ARMS = ("sampler", "one-objective", "optuna-tpe", "optuna-gp", "optuna-nsga2", "random")


class TwoTask(Task):
    """A table with its training times."""

    def __init__(self, folder, name):
        super().__init__(folder, name)
        self._seconds = self.column("time")
        values = np.array([self.sign * cell.mean() for cell in self._cells.values()])
        seconds = np.array([self._seconds[key].mean() for key in self._cells])
        self._value_range = np.quantile(values, 0.5), values.max()
        self._log_range = -np.log(seconds.max()), -np.log(seconds.min())
        self._linear_range = -np.quantile(seconds, 0.95), -seconds.min()
        self._whole = self._areas(values, seconds)

    def seen_both(self, point, chance):
        """One of the trainings: its value and its seconds."""
        cell, seconds = self._cell(point), self._seconds[self.key(point)]
        place = int(chance.integers(len(cell)))
        return float(cell[place]), float(seconds[place % len(seconds)])

    def score(self, points, seen):
        """The areas of what looks like the front, as shares of the table's: log, linear."""
        chosen = front([(self.sign * value, -seconds) for value, seconds in seen])
        true = [
            (self.sign * self.true(points[at]), self._seconds[self.key(points[at])].mean())
            for at in chosen
        ]
        values, seconds = np.array(true).T
        found = self._areas(values, seconds)
        return tuple(part / whole for part, whole in zip(found, self._whole, strict=True))

    def _areas(self, values, seconds):
        first = _share(values, self._value_range)
        return (
            area(first, _share(-np.log(seconds), self._log_range)),
            area(first, _share(-seconds, self._linear_range)),
        )


def _share(values, bounds):
    low, high = bounds
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def front(pairs):
    """Places of the pairs that no other beats in both; larger is better."""
    kept, best = [], -np.inf
    for at in sorted(range(len(pairs)), key=lambda at: (-pairs[at][1], -pairs[at][0])):
        if pairs[at][0] > best:
            kept.append(at)
            best = pairs[at][0]
    return kept


def area(first, second):
    """What points dominate of the unit square."""
    total, best = 0.0, 0.0
    for at in np.lexsort((-first, -second)):
        if first[at] > best:
            total += (first[at] - best) * second[at]
            best = first[at]
    return total


class Ours:
    def __init__(self, task, seed, second):
        settings = task.settings(
            experiment={"id": "bench", "seed": seed},
            proposer={"kind": "sampler"},
            objective={
                "metric": task.family.metric,
                "direction": task.family.direction,
                "second": {"metric": "seconds"} if second else None,
            },
        )
        self._mind = StarterProposer(task.space, [], build_sampler(settings, task.space))
        self._view = StudyView.of(settings, [])

    def propose(self, count):
        proposed = self._mind.propose(self._view, count)
        start = len(self._view.trials)
        view = with_pending(self._view, proposed.proposals)
        self._view = replace(view, sampler_state=proposed.sampler_state)
        return [dict(trial.parameters) for trial in self._view.trials[start:]]

    def tell(self, seen):
        trials = list(self._view.trials)
        for at, (value, seconds) in enumerate(seen, len(trials) - len(seen)):
            trials[at] = replace(
                trials[at], state=TrialState.COMPLETED, value=value, seconds=seconds
            )
        self._view = replace(self._view, trials=trials)


class OptunaOfTwo(Optuna):
    """Optuna with two directions; it is told of pairs."""

    def __init__(self, task, seed, kind):
        samplers = optuna.samplers
        sampler = {
            "optuna-tpe": samplers.TPESampler,
            "optuna-gp": samplers.GPSampler,
            "optuna-nsga2": lambda seed: samplers.NSGAIISampler(seed=seed, population_size=10),
            "random": samplers.RandomSampler,
        }[kind](seed=seed)
        self._study = optuna.create_study(
            directions=[task.family.direction, "minimize"], sampler=sampler
        )
        self._study.enqueue_trial(task.family.default)
        self._space, self._running = task.space, []


def search(arm, task, seed, batch):
    """The scores of one search at each budget."""
    chance = np.random.default_rng(seed)
    ours = arm in ("sampler", "one-objective")
    one = Ours(task, seed, arm == "sampler") if ours else OptunaOfTwo(task, seed, arm)
    points, seen = [], []
    while len(points) < BUDGETS[-1]:
        asked = one.propose(min(batch, BUDGETS[-1] - len(points)))
        told = [task.seen_both(point, chance) for point in asked]
        one.tell(told)
        points, seen = [*points, *asked], [*seen, *told]
    return [task.score(points[:budget], seen[:budget]) for budget in BUDGETS]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path)
    parser.add_argument("--part", choices=("development", "held-out"), default="development")
    parser.add_argument("--first", type=int, default=0, help="seeds to pass over")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--arms", default=",".join(ARMS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arms, found = options.arms.split(","), defaultdict(list)
    for place, name in enumerate(PARTS[options.part]):
        task = TwoTask(options.tables, name)
        for offset in range(options.first, options.first + options.seeds):
            seed = FIRST_SEED[options.part] + 1000 * place + offset
            for arm in arms:
                found[arm].append(search(arm, task, seed, options.batch))
    print(f"{len(found[arms[0]])} searches an arm, {options.batch} at a time\n")
    for place, axis in enumerate(("log", "linear")):
        print(table({arm: np.array(found[arm])[:, :, place] for arm in arms}, axis))


def table(scores, axis):
    first = next(iter(scores.values()))
    rows = [
        [
            arm,
            *(
                told(column, None if values is first else ours)
                for column, ours in zip(values.T, first.T, strict=True)
            ),
        ]
        for arm, values in scores.items()
    ]
    return report.table(BUDGETS, f"share of the front's area, {axis}", rows)


if __name__ == "__main__":
    main()
