"""All that the program can do, once on a device, with little to do: `python -m benchmarks.training try`."""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.training.cases import MADE_UP, Case, add_made_up
from benchmarks.training.children import child

PICTURES = ["--crop", "4", "--flip", "--cutout", "8", "--label-smoothing", "0.1"]
NETWORKS = ("cnn", "resnet18", "resnet34", "resnet50", "vgg16", "densenet121")
SEVERAL = ["--mixup", "0.4", "--gradient-clip", "1", "--dropout", "0.2", "--schedule", "cosine"]
ATTEMPTS: dict[str, tuple[str, list[str]]] = {
    **{name: ("once", ["--model", name]) for name in NETWORKS},
    "augmented": ("once", [*PICTURES, *SEVERAL]),
    "fp32": ("once", ["--model", "resnet18", "--precision", "fp32"]),
    "bf16": ("once", ["--precision", "bf16", "--ema", "0.9"]),
    "fp16": ("once", ["--precision", "fp16", "--gradient-clip", "1"]),
    "fp16 adamw": ("once", ["--precision", "fp16", "--optimizer", "adamw"]),
    "fp16 muon": ("waiting", ["--precision", "fp16", "--optimizer", "muon", "--ema", "0.9"]),
    "adam": ("once", ["--optimizer", "adam", "--weight-decay", "0.01"]),
    "muon": ("once", ["--model", "resnet18", "--optimizer", "muon", "--ema", "0.9"]),
    "randaugment": ("once", ["--policy", "randaugment"]),
    "trivialaugment": ("once", ["--policy", "trivialaugment"]),
    "workers": ("waiting", ["--data-on-device", "no", "--workers", "2", *PICTURES]),
    "no workers": ("waiting", ["--data-on-device", "no", "--workers", "0"]),
    "deterministic": ("once", ["--model", "resnet18", "--deterministic", *PICTURES]),
    "deterministic vgg16": ("once", ["--model", "vgg16", "--deterministic"]),
    "compile": ("once", ["--model", "resnet18", "--compile", *PICTURES]),
    "compile fp16": ("once", ["--compile", "--precision", "fp16", "--dropout", "0.2"]),
    "graphs": ("once", ["--model", "resnet18", "--compile", "reduce-overhead", "--ema", "0.9"]),
    "resumed": ("resumed", ["there", "there"]),
    "resumed on a CPU": ("resumed", ["there", "cpu"]),
    "resumed from a CPU": ("resumed", ["cpu", "there"]),
    "the CPU's numbers": ("compared", ["--precision", "fp32", "--ema", "0.9"]),
    "out of memory": ("narrow", ["--model", "resnet50", "--batch-size", "1000"]),
}
ONLY_ON = {"graphs": ("cuda",), "out of memory": ("cuda", "xpu", "mps")}
"""Of these there is nothing to try elsewhere."""
IMAGES, BATCH, EPOCHS = 1100, 128, 3
CLOSE = 0.01
"""So near is the first epoch's loss to the CPU's: TF32 has ten bits, and they add up over nine steps."""
WARM = 9
"""Steps of the first epoch, in which kernels are chosen, compiled and recorded."""


def main(words: list[str], device: Callable[[str], str]) -> None:
    """Try what is asked for, tell a line for each, and end with 1 where one has failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training try", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="+", choices=list(ATTEMPTS), metavar="NAME")
    given = parser.parse_args(words)
    case = Case(
        data=MADE_UP, images=IMAGES, batch=BATCH, epochs=EPOCHS, device=device(given.device)
    )
    names = [n for n in given.only or ATTEMPTS if case.kind in ONLY_ON.get(n, (case.kind,))]
    failed = 0
    for name in names:
        began = time.monotonic()
        how, flags = ATTEMPTS[name]
        try:
            told = child("attempt", case, how, *flags)
        except subprocess.CalledProcessError as error:
            told = f"ended with {error.returncode}; its message is on stderr"
        failed += bool(told)
        print(f"{name}: {told or 'ok'} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{failed} of {len(names)} failed on {case.device}", flush=True)
    sys.exit(bool(failed))


def attempt(case: Case, how: str, *flags: str) -> str:
    """What is wrong with it; nothing where all is well."""
    add_made_up(case.images)
    with tempfile.TemporaryDirectory() as directory:
        told: str = WAYS[how](case, Path(directory), list(flags))
    return told


def _once(case: Case, directory: Path, flags: list[str]) -> str:
    """No step of it may wait for the device."""
    _forbid_waits()
    return _wrong(_train(case, directory, flags))


def _waiting(case: Case, directory: Path, flags: list[str]) -> str:
    return _wrong(_train(case, directory, flags))


def _resumed(case: Case, directory: Path, places: list[str]) -> str:
    (directory / "STOP").touch()
    first, second = (case.device if place == "there" else place for place in places)
    found = _train(replace(case, device=first), directory, PICTURES)
    if found.status != "pruned":
        return f"the first part: {_wrong(found) or found.status}"
    (directory / "STOP").unlink()
    found = _train(replace(case, device=second), directory, [*PICTURES, "--resume"])
    after = found.environment.get("resumed_after")
    return _wrong(found) or ("" if after == 1 else f"resumed after {after}")


def _compared(case: Case, directory: Path, flags: list[str]) -> str:
    losses = []
    for device in (case.device, "cpu"):
        found = _train(replace(case, device=device, epochs=1), directory / device, flags)
        if wrong := _wrong(found):
            return wrong
        losses.append(found.metrics["train_loss"])
    own, cpus = losses
    return "" if abs(own - cpus) < CLOSE * cpus else f"the loss is {own}, on the CPU {cpus}"


def _narrow(case: Case, directory: Path, flags: list[str]) -> str:
    import torch

    device = () if case.kind == "mps" else (torch.device(case.device),)
    getattr(torch, case.kind).set_per_process_memory_fraction(0.005, *device)
    found = _train(case, directory, flags)
    if found.error is not None and found.error.type == "OutOfMemoryError":
        return ""
    return f"in little memory: {found.status}, {found.error}"


WAYS: dict[str, Callable[[Case, Path, list[str]], str]] = {
    "once": _once,
    "waiting": _waiting,
    "resumed": _resumed,
    "compared": _compared,
    "narrow": _narrow,
}


def _train(case: Case, directory: Path, flags: list[str]) -> Any:
    from training.contract import RESULTS_FILE, parse_result
    from training.train import main as train

    words = [
        "--output-dir", str(directory), "--data", case.data, "--device", case.device,
        "--epochs", str(case.epochs), "--batch-size", str(case.batch), "--seed", str(case.seed),
        "--learning-rate", "0.01", *flags,
    ]  # fmt: skip
    train(words)
    return parse_result((directory / RESULTS_FILE).read_bytes())


def _wrong(found: Any) -> str:
    if found.status == "completed":
        return ""
    error = found.error
    return found.status + (f": {error.type}: {error.message.splitlines()[0]}" if error else "")


def _forbid_waits() -> None:
    """Let each step after the first epoch fail that asks a CUDA device for a value."""
    import torch

    from training.learner import Learner

    step, numbers = Learner.step, itertools.count()

    def watched(self: Learner, *given: Any) -> Any:
        if not torch.cuda.is_initialized() or next(numbers) < WARM:
            return step(self, *given)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(self, *given)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    Learner.step = watched  # type: ignore[method-assign]
