"""Starts each figure in a process of its own, with what it measures as JSON on the command line."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

from benchmarks.training.cases import Case, Run

REPEATS = 3


def child(what: str, case: Case | None = None, *flags: str, threads: str | None = None) -> Any:
    """What a part of the benchmark tells; `threads` None: as many as torch takes."""
    words = [what, *([json.dumps(asdict(case))] if case is not None else []), *flags]
    limit = {"OMP_NUM_THREADS": threads} if threads else {}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", *words],
        env={**os.environ, **limit},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def by_turns(
    case: Case, flags: list[str], rival: str, threads: str | None
) -> tuple[list[Run], list[Run]]:
    """Our runs and the rival's, one after the other, so that what disturbs one disturbs both."""
    ours, theirs = [], []
    for seed in range(REPEATS):
        one = replace(case, seed=seed)
        ours.append(Run(**child("ours", one, *flags, threads=threads)))
        theirs.append(Run(**child(rival, one, threads=threads)))
    return ours, theirs


def reached(runs: list[Run]) -> str:
    """Each seed's time: which epoch it is in depends on luck, and three are few."""
    times = [run.to_target for run in runs]
    return ", ".join("never" if time is None else f"{time:.1f} s" for time in times)
