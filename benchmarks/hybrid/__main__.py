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

from benchmarks.hybrid import FIRST_SEED, PARTS
from benchmarks.hybrid.arms import search
from benchmarks.hybrid.plot import svg
from benchmarks.hybrid.report import read, report
from benchmarks.hybrid.tables import Task
from benchmarks.hybrid.trained import Digits

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
    run_parser.add_argument("--first", type=int, default=0, help="seeds to pass over")
    run_parser.add_argument("--trials", type=int, default=50)
    run_parser.add_argument("--batches", default="1,8")
    run_parser.add_argument("--arms", default=",".join(ARMS))
    run_parser.add_argument("--sets", help="only these data sets")
    report_parser = verbs.add_parser("report", help="tables, and plots where --plots says")
    report_parser.add_argument("runs", type=Path, nargs="+")
    report_parser.add_argument("--arms", help="only these; searches that all of them have")
    report_parser.add_argument("--plots", type=Path, help="directory for the plots")
    options = parser.parse_args()
    if options.verb == "report":
        show(options)
        return
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    run(options)


def show(options):
    records = [record for path in options.runs for record in read(path)]
    if options.arms:
        records = [one for one in records if one["arm"] in options.arms.split(",")]
    print(report(records))
    if options.plots:
        for batch in sorted({record["batch"] for record in records}):
            (options.plots / f"hybrid-batch-{batch}.svg").write_text(svg(records, batch))


def run(options):
    names, kind = PARTS[options.part], Digits if options.part == "trained" else Task
    done = set()
    if options.out.exists():
        kept = map(json.loads, options.out.read_text().splitlines())
        done = {(one["set"], one["seed"], one["arm"], one["batch"]) for one in kept}
    tasks = [
        kind(options.tables, name)
        for name in names
        if not options.sets or name.split("/")[1] in options.sets.split(",")
    ]
    # Seeds outside, so that a run that is ended early has as many of each data set.
    for position in range(options.first, options.first + options.seeds):
        for task in tasks:
            # Seeds of its own for each data set: else all would begin with the same points.
            seed = FIRST_SEED[options.part] + 1000 * names.index(task.name) + position
            for batch in map(int, options.batches.split(",")):
                for arm in options.arms.split(","):
                    if (task.name, seed, arm, batch) not in done:
                        one(options, task, seed, arm, batch)
        print(f"seed {position} done", file=sys.stderr, flush=True)


def one(options, task, seed, arm, batch):
    began = time.process_time()
    # The same luck for each arm: the k-th trial's draw does not depend on who proposed it.
    result = search(arm, task, seed, options.trials, batch, random.Random(f"{seed}"))
    record = {
        "set": task.name,
        "seed": seed,
        "arm": arm,
        "batch": batch,
        "seconds": round(time.process_time() - began, 3),
        **{name: _rounded(value) for name, value in result.items()},
    }
    with options.out.open("a") as file:
        file.write(json.dumps(record) + os.linesep)


def _rounded(value):
    return [round(one, 6) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
