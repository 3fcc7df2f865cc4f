"""Builds the curves; plays searches, one process, and keeps each in a file; then makes tables of it."""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

import optuna

from benchmarks.pruning import BUDGETS, FIRST_SEED, METRICS, PARTS
from benchmarks.pruning.curves import Task, build
from benchmarks.pruning.report import report
from benchmarks.pruning.simulation import Search
from benchmarks.pruning.variants import played_as

ARMS = ("none", "median", "halving")
"""A kind, and settings of `pruner` after it (`halving,reduction_factor=3`)."""
FLEETS = ("1/1", "8/1")
"""Workers, and epochs between two polls."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    build_parser = verbs.add_parser("build", help="train, and keep the curves")
    build_parser.add_argument("curves", type=Path)
    build_parser.add_argument("--part", choices=list(PARTS), action="append")
    build_parser.add_argument("--wheel", type=Path, required=True, help="river 0.22.0")
    run_parser = verbs.add_parser("run", help="play searches that the file does not have yet")
    run_parser.add_argument("curves", type=Path)
    run_parser.add_argument("--part", choices=list(PARTS), default="development")
    run_parser.add_argument("--out", type=Path, required=True)
    run_parser.add_argument("--seeds", type=int, default=5)
    run_parser.add_argument("--first", type=int, default=0, help="seeds to pass over")
    run_parser.add_argument("--epochs", type=int, default=BUDGETS[-1])
    run_parser.add_argument("--arms", nargs="+", default=ARMS)
    run_parser.add_argument("--fleets", nargs="+", default=FLEETS)
    report_parser = verbs.add_parser("report", help="tables")
    report_parser.add_argument("runs", type=Path, nargs="+")
    report_parser.add_argument("--arms", nargs="+", help="only these")
    options = parser.parse_args()
    if options.verb == "build":
        for part in options.part or PARTS:
            build(options.curves, PARTS[part], options.wheel)
    elif options.verb == "report":
        lines = [line for path in options.runs for line in path.read_text().splitlines()]
        print(report([json.loads(line) for line in lines], options.arms))
    else:
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        run(options)


def run(options):
    done = set()
    if options.out.exists():
        kept = map(json.loads, options.out.read_text().splitlines())
        done = {(one["set"], one["seed"], one["arm"], one["fleet"]) for one in kept}
    names = PARTS[options.part]
    tasks = [Task(options.curves, name, metric) for name in names for metric in METRICS]
    # Seeds outside, so that a run that is ended early has as many of each data set.
    for position in range(options.first, options.first + options.seeds):
        for number, task in enumerate(tasks):
            # Seeds of its own for each task: else all would begin with the same points.
            seed = FIRST_SEED[options.part] + 1000 * number + position
            for fleet in options.fleets:
                for arm in options.arms:
                    if (task.name, seed, arm, fleet) not in done:
                        one(options, task, seed, arm, fleet)
        print(f"seed {position} done", file=sys.stderr, flush=True)


def one(options, task, seed, arm, fleet):
    began = time.process_time()
    workers, interval = fleet.split("/")
    with played_as(arm) as pruner:
        fleet_of = (int(workers), float(interval))
        search = Search(task, seed, pruner, *fleet_of, options.epochs).play()
    record = {"set": task.name, "seed": seed, "arm": arm, "fleet": fleet}
    record |= {"seconds": round(time.process_time() - began, 3), **search.results()}
    with options.out.open("a") as file:
        file.write(json.dumps(record) + os.linesep)


if __name__ == "__main__":
    main()
