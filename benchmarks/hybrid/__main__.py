"""Runs arms on tables, one process, and keeps each search in a file; then makes tables of it."""

import argparse
import json
import os
import random
import sys
import time
import warnings
from pathlib import Path

import optuna

from benchmarks.hybrid import DEVELOPMENT, FIRST_SEED, HELD_OUT
from benchmarks.hybrid.arms import search
from benchmarks.hybrid.tables import Task

ARMS = (
    "random",
    "optuna-tpe",
    "cma-es",
    "nevergrad",
    "sampler",
    "llm:rules",
    "hybrid:placebo",
    "hybrid:wrong",
    "hybrid:rules",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run_parser = verbs.add_parser("run", help="run searches that the file does not have yet")
    run_parser.add_argument("tables", type=Path)
    run_parser.add_argument("--part", choices=list(FIRST_SEED), default="development")
    run_parser.add_argument("--out", type=Path, required=True)
    run_parser.add_argument("--seeds", type=int, default=10)
    run_parser.add_argument("--trials", type=int, default=50)
    run_parser.add_argument("--batches", default="1,8")
    run_parser.add_argument("--arms", default=",".join(ARMS))
    run_parser.add_argument("--sets", help="only these data sets")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    run(options)


def run(options):
    names = DEVELOPMENT if options.part == "development" else HELD_OUT
    done = set()
    if options.out.exists():
        kept = map(json.loads, options.out.read_text().splitlines())
        done = {(one["set"], one["seed"], one["arm"], one["batch"]) for one in kept}
    for position, name in enumerate(names):
        if options.sets and name.split("/")[1] not in options.sets.split(","):
            continue
        task = Task(options.tables, name)
        # Seeds of their own for each data set: else its first points would be those of all others.
        first = FIRST_SEED[options.part] + 1000 * position
        for seed in range(first, first + options.seeds):
            for batch in map(int, options.batches.split(",")):
                for arm in options.arms.split(","):
                    if (name, seed, arm, batch) not in done:
                        one(options, task, seed, arm, batch)
        print(f"{name} done", file=sys.stderr, flush=True)


def one(options, task, seed, arm, batch):
    began = time.process_time()
    # The same luck for each arm: the k-th trial's draw does not depend on who proposed it.
    curve, counts = search(arm, task, seed, options.trials, batch, random.Random(f"{seed}"))
    record = {
        "set": task.name,
        "seed": seed,
        "arm": arm,
        "batch": batch,
        "regret": [round(value, 6) for value in curve],
        "seconds": round(time.process_time() - began, 3),
        **counts,
    }
    with options.out.open("a") as file:
        file.write(json.dumps(record) + os.linesep)


if __name__ == "__main__":
    main()
