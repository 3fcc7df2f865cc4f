"""The figures for a GPU, as a table in Markdown: ResNet-18 on images of CIFAR-100's shape."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from benchmarks.training.cases import Case, Run
from benchmarks.training.children import child, reached
from benchmarks.training.processor import RECIPE_FLAGS
from benchmarks.training.utilization import Watch

Row = tuple[str, str, str, str]
MEMORY_MODELS = ("cnn", "resnet18", "resnet34", "resnet50", "vgg16", "densenet121")
VARIANTS = {
    "as it comes": [],
    "fp32": ["--precision", "fp32"],
    "compiled": ["--compile"],
    "graphs": ["--compile", "reduce-overhead"],
    "data by workers": ["--data-on-device", "no"],
    "with checkpoints": ["--checkpoint-every", "1"],
}


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    case: Case
    batches: tuple[int, ...]
    variants: tuple[str, ...]
    memory_models: tuple[str, ...]
    repeats: int
    until: float = math.inf
    """The monotonic clock: no run begins after it."""

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until


@dataclass(frozen=True)
class Timed:
    """Runs of one rival over the seeds, and how busy the device was in each."""

    runs: list[Run]
    busy: list[float | None]
    why: list[str]
    """Of each run: why it is not known how busy the device was."""

    @property
    def speed(self) -> float:
        return max(run.samples_per_second for run in self.runs)


def print_table(plan: Plan) -> None:
    """Measure, and print each row once it is known: a run that is cut off has shown something."""
    print(_head(plan), flush=True)
    for row in _rows(plan):
        print(f"| {' | '.join(row)} |", flush=True)


def _rows(plan: Plan) -> Iterator[Row]:
    for batch in plan.batches:
        yield from _speeds(plan, replace(plan.case, batch=batch))
    if not plan.is_over:
        yield from _recipe(plan)
    for model in plan.memory_models:
        for batch in plan.batches:
            if plan.is_over:
                yield ("the rest", "left out", "--minutes are over", "-")
                return
            yield _memory(replace(plan.case, model=model, batch=batch))


def _speeds(plan: Plan, case: Case) -> Iterator[Row]:
    """Our variants and the plainest loop by turns, on one batch size."""
    parts = {"plain": ("plain", []), **{name: ("ours", VARIANTS[name]) for name in plan.variants}}
    timed = _by_turns(plan, case, parts)
    plain = timed.pop("plain", None)
    for name in plan.variants:
        what = f"{case.model}, batch {case.batch}, {name}"
        if name in timed and not timed[name].runs:
            yield (what, "left out", "--minutes were over", "-")
        elif name in timed:
            aim = "3 x" if name == "as it comes" else "-"
            yield from _compared(case, what, timed[name], plain, "plain loop", aim)
        else:
            yield (what, "failed", "its message is on stderr", "-")


def _recipe(plan: Plan) -> Iterator[Row]:
    case = replace(plan.case, batch=plan.batches[0])
    parts = {"ours": ("ours", RECIPE_FLAGS), "recipe": ("recipe", [])}
    timed = _by_turns(plan, case, parts)
    if "ours" in timed and timed["ours"].runs:
        what = f"{case.model}, batch {case.batch}, torchvision's recipe"
        rival = f"its loop with {case.workers} workers"
        yield from _compared(case, what, timed["ours"], timed.get("recipe"), rival, "-")


def _by_turns(plan: Plan, case: Case, parts: dict[str, tuple[str, list[str]]]) -> dict[str, Timed]:
    """Who failed is left out: a rival that runs out of memory costs its own rows only.

    Who had no time has no runs.
    """
    timed = {name: Timed([], [], []) for name in parts}
    for seed in range(plan.repeats):
        for name in list(timed):
            if plan.is_over:
                return timed
            what, flags = parts[name]
            try:
                with Watch(case.device) as watch:
                    run = Run(**child(what, replace(case, seed=seed), *flags))
            except subprocess.CalledProcessError:
                del timed[name]
                continue
            timed[name].runs.append(run)
            timed[name].busy.append(watch.mean(*run.measured))
            timed[name].why.append(watch.why)
    return timed


def _compared(
    case: Case, what: str, own: Timed, other: Timed | None, rival: str, aim: str
) -> Iterator[Row]:
    def beside(tell: Callable[[Timed], str]) -> str:
        if other is None:
            return f"{rival}: failed"
        return f"{rival}: {tell(other) if other.runs else 'left out'}"

    ratio = f"{own.speed / other.speed:.2f} x " if other and other.runs else ""
    yield (what, _speed(own), ratio + beside(_speed), aim)
    target = f"validation accuracy {case.target:.0%}"
    yield (
        f"{what}, to {target}",
        reached(own.runs),
        beside(lambda timed: reached(timed.runs)),
        "-",
    )
    busy_aim = "> 90%" if aim != "-" else "-"
    yield (f"{what}, device busy", _busy(own), beside(_busy), busy_aim)
    yield (f"{what}, import to first step", _first_step(own), beside(_first_step), "-")
    yield (f"{what}, peak memory", _peak(own), beside(_peak), "-")


def _speed(timed: Timed) -> str:
    speeds = ", ".join(f"{run.samples_per_second:,.0f}" for run in timed.runs)
    return f"{speeds} samples/s"


def _busy(timed: Timed) -> str:
    known = [f"{share:.0f}%" for share in timed.busy if share is not None]
    reasons = sorted({why.replace("|", "/") for why in timed.why if why})
    unknown = ": ".join(["not sampled", *reasons[:1]])
    return ", ".join(known) or unknown


def _first_step(timed: Timed) -> str:
    return f"{min(run.first_step for run in timed.runs):.2f} s"


def _peak(timed: Timed) -> str:
    return f"{max(run.peak_memory_mb for run in timed.runs):,.0f} MiB"


def _memory(case: Case) -> Row:
    name = f"peak memory, {case.model}, batch {case.batch}, two steps"
    try:
        _, peak = child("memory", case)
    except subprocess.CalledProcessError:
        return (name, "failed", "its message is on stderr", "-")
    return (name, f"{peak:,.0f} MiB", "data included", "-")


def _head(plan: Plan) -> str:
    case, facts = plan.case, child("facts", plan.case)
    commit = facts.get("git_commit", "unknown")[:10] + "+" * bool(facts.get("git_changed"))
    versions = f"torch {facts['torch']}" + (f", CUDA {facts['cuda']}" if "cuda" in facts else "")
    return f"""\
# The reference training program on {facts["device_name"]}: measured

`python -m benchmarks.training {" ".join(sys.argv[1:])}`, {date.today()}, commit {commit}, {versions}, one
device ({case.device}) of {facts["device_count"]}, {facts["cpus"]} CPUs. Data: {case.data}, {facts["images"]:,} images
for training, {case.epochs} epochs. {plan.repeats} run(s) of each rival, by turns, each in a process of its own, on
the same device; of a run, the best epoch after the first. The device is "busy" when any kernel runs, as its
driver says, from the end of the first epoch to the end of the last, validation included.

| figure | value | baseline | aim |
|---|--:|--:|--:|"""


def facts(case: Case) -> dict[str, object]:
    """Where it was measured."""
    import torch

    from benchmarks.training.cases import data_of
    from training.devices import describe
    from training.environment import environment

    return {
        **environment(describe(torch.device(case.device))),
        "images": len(data_of(case).train.labels),
    }
