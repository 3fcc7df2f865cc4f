"""On a GPU node: `python -m benchmarks.training > benchmarks/results/training-gpu.md`.

Before it, `python -m benchmarks.training try` tells what works there. The figures of a CPU with the embedded
data set are `python -m benchmarks training`.
"""

import argparse
import json
import math
import os
import sys
import time
from typing import Any

from benchmarks.training import accelerator, attempts, ours, rivals
from benchmarks.training.cases import MADE_UP, Case

PARTS = {
    "ours": ours.ours,
    "plain": rivals.plain,
    "recipe": rivals.recipe,
    "memory": ours.memory,
    "facts": accelerator.facts,
    "attempt": attempts.attempt,
}


def main(words: list[str]) -> None:
    """One part in this process, or the whole table."""
    if words[:1] == ["cpu"]:
        print(json.dumps(ours.cpu()))
    elif words[:1] == ["try"]:
        attempts.main(words[1:], _device)
    elif words and words[0] in PARTS:
        told = PARTS[words[0]](Case(**json.loads(words[1])), *words[2:])
        print(json.dumps(told))
    else:
        accelerator.print_table(_plan(words))


def _plan(words: list[str]) -> accelerator.Plan:
    given = _parser().parse_args(words)
    data = {"data": "cifar100", "data_dir": given.data_dir} if given.data_dir else {"data": MADE_UP}
    case = Case(
        model=given.model,
        **data,
        images=given.images,
        epochs=given.epochs,
        target=given.target,
        device=_device(given.device),
        workers=given.workers,
    )
    variants, models = tuple(given.variants), tuple(given.memory_models)
    until = time.monotonic() + 60 * given.minutes
    return accelerator.Plan(case, tuple(given.batch_sizes), variants, models, given.repeats, until)


def _device(name: str) -> str:
    from training.devices import BadDevice, choose_device

    try:
        return str(choose_device(name))
    except BadDevice as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def add(name: str, told: str, **how: Any) -> None:
        parser.add_argument(name, help=told, **how)

    add("--device", "cuda, cuda:1, xpu, cpu; auto: what is there", default="auto")
    add("--data-dir", "CIFAR-100's folder; without, data of its shape are made up")
    add("--images", "made-up images for training", type=int, default=45_000)
    add("--model", "the network that is timed", default="resnet18")
    add("--batch-sizes", "each is timed", type=int, nargs="+", default=[128, 512])
    add("--epochs", "of each run; the first warms up", type=int, default=6)
    add("--target", "validation accuracy that is timed to", type=float, default=0.5)
    add("--repeats", "seeds", type=int, default=3)
    add("--minutes", "no run begins later", type=float, default=math.inf)
    add("--workers", "of the recipe's loader", type=int, default=min(cpus, 16))
    names = list(accelerator.VARIANTS)
    add("--variants", "of our program", nargs="+", choices=names, default=names)
    models = accelerator.MEMORY_MODELS
    add("--memory-models", "networks whose memory is told", nargs="*", default=models)
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
