"""Is it worth its trials to run the best few again before one is named (`confirm:`)?

    python -m benchmarks.hybrid.again TABLES --part held-out --first 400 --seeds 60

At equal cost: `n` trials and the best-looking is named, or `n` less the repeats, which then decide. Two
questions: how good is what is named, and how far is the number beside it from the truth. Both as
regret: 1 is the distance of the default configuration to the table's best. The sampler alone, one
trial at a time. A repeat draws from the same few trainings of a cell, so it may be the one that was seen.
"""

import argparse
import random
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

from agents.confirm import candidates, confirmed
from agents.trial import StudyView
from benchmarks.hybrid import BUDGETS, FIRST_SEED, PARTS, report
from benchmarks.hybrid.arms import ended, played
from benchmarks.hybrid.report import told
from benchmarks.hybrid.tables import Task

PLANS = ((2, 2), (3, 1), (3, 2))
"""How many of the best run again, and how often each."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path)
    parser.add_argument("--part", choices=("development", "held-out"), default="development")
    parser.add_argument("--first", type=int, default=0, help="seeds to pass over")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    named, told = defaultdict(list), defaultdict(list)
    names = PARTS[options.part]
    for place, name in enumerate(names):
        task = Task(options.tables, name)
        for offset in range(options.first, options.first + options.seeds):
            seed = FIRST_SEED[options.part] + 1000 * place + offset
            for key, (truth, number) in search(task, seed).items():
                named[key].append(truth)
                told[key].append(truth - number)
    print(f"{len(names)} data sets, {len(names) * options.seeds} searches\n")
    print(table(named, "regret of what is named"))
    print(table(told, "by how much its number is too good"))


def search(task, seed):
    """By plan and budget: the true regret of what is named, and the regret that its number tells."""
    points, values, _ = played("sampler", task, seed, BUDGETS[-1], 1, random.Random(f"{seed}"))
    found = {}
    for budget in BUDGETS:
        seen = [task.sign * value for value in values[:budget]]
        best = seen.index(max(seen))
        found[None, budget] = task.regret(points[best]), regret_of(task, values[best])
        for plan in PLANS:
            if budget >= 4 * plan[0] * plan[1]:
                found[plan, budget] = named_after(task, points, values, budget, plan, seed)
    return found


def named_after(task, points, values, budget, plan, seed):
    """What the product names where the last trials of the budget are repeats of the best before."""
    few, often = plan
    luck = random.Random(f"again {seed}")
    left = budget - few * often
    pairs = zip(points[:left], values[:left], strict=True)
    trials = [ended(number, point, value) for number, (point, value) in enumerate(pairs)]
    view = StudyView("bench", task.family.metric, task.family.direction, trials)
    for one in candidates(view, few):
        for _ in range(often):
            value = task.seen(one.parameters, luck)
            again = ended(len(trials), one.parameters, value)
            trials.append(replace(again, confirms=one.number))
    winner = confirmed(replace(view, trials=trials))[0]
    return task.regret(winner.trial.parameters), regret_of(task, winner.mean)


def regret_of(task, value):
    return (task.best - task.sign * value) / task.scale


def table(cells, head):
    """A row for each plan, a column for each budget; p: against naming without repeats."""
    rows = []
    for plan in (None, *PLANS):
        row = ["the best run" if plan is None else f"{plan[0]} of the best, {plan[1]} times again"]
        for budget in BUDGETS:
            if (plan, budget) not in cells:
                row.append("")
                continue
            ours, plain = np.array(cells[plan, budget]), np.array(cells[None, budget])
            row.append(told(ours, None if plan is None else plain))
        rows.append(row)
    return report.table(BUDGETS, head, rows)


if __name__ == "__main__":
    main()
