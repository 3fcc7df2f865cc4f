"""The reference program against the plainest PyTorch loop and against torchvision's recipe.

`python -m benchmarks training` runs all of it, each figure in processes of its own, the rivals by turns.
`python -m benchmarks.training plain SEED` (or `recipe SEED`, `memory MODEL BATCH`) is one such process.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()
EPOCHS, BATCH, RATE, REPEATS = 4, 64, 0.05, 3
TARGET = 0.8
"""Validation accuracy that all are timed to; training and validation count, imports do not."""
RECIPE_FLAGS = [
    "--policy", "trivialaugment", "--flip", "--label-smoothing", "0.1", "--ema", "0.99",
    "--schedule", "cosine", "--warmup-epochs", "1", "--weight-decay", "1e-4",
]  # fmt: skip
MEMORY = [
    ("cnn", 64), ("cnn", 1024), ("resnet18", 32), ("resnet18", 128), ("resnet34", 32),
    ("resnet50", 32), ("vgg16", 32), ("vgg16", 128), ("densenet121", 32),
]  # fmt: skip

Row = tuple[str, str, str, str]
Run = dict[str, Any]
"""``samples_per_second`` and ``to_target`` (seconds, or None), and ``first_step``."""


def measure() -> list[Row]:
    """All rows of the table."""
    rows: list[Row] = []
    for threads in ("1", "2"):
        ours, plain = _by_turns(threads, [], "plain")
        rows += _compared(f"small CNN, {threads} thread(s)", ours, plain, "plain loop", "1.5 x")
        if threads == "2":
            rows.append(_first_step(ours, plain))
    rows += _cpu()
    ours, recipe = _by_turns("2", RECIPE_FLAGS, "recipe")
    rows += _compared("the recipe, 2 threads", ours, recipe, "torchvision's", "-")
    return rows + [_memory(model, batch) for model, batch in MEMORY]


def _by_turns(threads: str, flags: list[str], rival: str) -> tuple[list[Run], list[Run]]:
    """Our runs and the rival's, one after the other, so that what disturbs one disturbs both."""
    ours, theirs = [], []
    for seed in range(REPEATS):
        ours.append(_ours(threads, flags, seed))
        theirs.append(json.loads(_child(threads, rival, str(seed))))
    return ours, theirs


def _compared(what: str, ours: list[Run], theirs: list[Run], name: str, aim: str) -> list[Row]:
    speeds = [[run["samples_per_second"] for run in runs] for runs in (ours, theirs)]
    own, other = map(max, speeds)  # what else the machine does only ever takes away
    ratios = sorted(a / b for a, b in zip(*speeds, strict=True))
    spread = (
        f"{own / other:.2f} x {name} ({other:.0f} samples/s); {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )
    speed: Row = (what, f"{own:.0f} samples/s", spread, aim)
    return [speed, (f"{what}, to {TARGET:.0%}", _reached(ours), f"{name}: {_reached(theirs)}", "-")]


def _reached(runs: list[Run]) -> str:
    """Each seed's time: which epoch it is in depends on luck, and three are few."""
    times = [run["to_target"] for run in runs]
    return ", ".join("never" if time is None else f"{time:.1f} s" for time in times)


def _first_step(ours: list[Run], plain: list[Run]) -> Row:
    own, other = (min(run["first_step"] for run in runs) for runs in (ours, plain))
    return ("import to first step", f"{own:.2f} s", f"plain loop: {other:.2f} s", "-")


def _cpu() -> list[Row]:
    best = json.loads(_child("1", "cpu"))
    return [
        (
            f"small CNN, 1 thread, {name}, by CPU time",
            f"{best[name]:.0f} samples/CPU s",
            f"{best[name] / best['plain']:.2f} x plain loop ({best['plain']:.0f} samples/CPU s)",
            aim,
        )
        for name, aim in (("fp32", "1.5 x"), ("bf16", "-"))
    ]


def _memory(model: str, batch: int) -> Row:
    before, peak = json.loads(_child("2", "memory", model, str(batch)))
    name = f"memory, {model}, batch {batch}"
    return (name, f"{peak:.0f} MiB", f"{before:.0f} MiB with nothing but torch and data", "-")


def _environment(threads: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": threads}


def _child(threads: str, *words: str) -> str:
    command = [sys.executable, "-m", "benchmarks.training", *words]
    done = subprocess.run(
        command, env=_environment(threads), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _ours(threads: str, flags: list[str], seed: int) -> Run:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "training.train", "--output-dir", directory]
        more = ["--epochs", str(EPOCHS), "--batch-size", str(BATCH), "--learning-rate", str(RATE)]
        whole = [*command, *more, "--seed", str(seed), "--checkpoint-every", "0", *flags]
        subprocess.run(whole, env=_environment(threads), check=True)
        lines = (Path(directory) / "metrics.jsonl").read_text().splitlines()
        result = json.loads((Path(directory) / "results.json").read_text())
    epochs = [json.loads(line) for line in lines]
    # The clock of metrics.jsonl starts before the data are read; the rivals' starts after.
    start = epochs[0]["time"] - epochs[0]["epoch_seconds"]
    return _run(
        [(e["time"] - start, e["accuracy"], e["samples_per_second"]) for e in epochs],
        result["environment"]["first_step_seconds"],
    )


def _run(epochs: list[tuple[float, float, float]], first_step: float) -> Run:
    """Of (seconds so far, accuracy, samples a second): the first epoch warms up and is no speed."""
    return {
        "samples_per_second": max(speed for _, _, speed in epochs[1:]),
        "to_target": next((time for time, accuracy, _ in epochs if accuracy >= TARGET), None),
        "first_step": first_step,
    }


# -- the rivals, each in a process of its own ----------------------------------------------------


def _rival(batches: Any, step: Any, evaluated: Any, epochs: int) -> Run:
    """Times a loop: `batches()` gives one epoch's, `step` learns from one."""
    from training.data import load_data

    validation = load_data("fashion").validation
    images = (validation.images.float() / 255 - 0.286) / 0.353
    told, first_step = [], 0.0
    start = time.perf_counter()
    for _ in range(epochs):
        began, count = time.perf_counter(), 0
        for batch, labels in batches():
            step(batch, labels)
            first_step = first_step or time.perf_counter() - BEGAN
            count += len(labels)
        trained = time.perf_counter() - began
        accuracy = _accuracy(evaluated, images, validation.labels)
        told.append((time.perf_counter() - start, accuracy, count / trained))
    return _run(told, first_step)


def _accuracy(model: Any, images: Any, labels: Any) -> float:
    import torch

    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(part).argmax(1) == truth).sum())
            for part, truth in zip(images.split(500), labels.split(500), strict=True)
        )
    model.train()
    return right / len(labels)


def plain(seed: str) -> Run:
    """The plainest loop, timed."""
    loader, step, model = _plain(int(seed))
    return _rival(lambda: loader, step, model, EPOCHS)


def _plain(seed: int) -> tuple[Any, Any, Any]:
    """A DataLoader over normalized images, a step that reads the loss each time, and the network."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from training.data import load_data
    from training.models import build_model
    from training.options import Options

    torch.manual_seed(seed)
    data = load_data("fashion")
    images = (data.train.images.float() / 255 - 0.286) / 0.353
    loader = DataLoader(TensorDataset(images, data.train.labels), batch_size=BATCH, shuffle=True)
    model = build_model(Options(), data.shape)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, nesterov=True)

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(batch), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return loader, step, model


def cpu() -> dict[str, float]:
    """Samples a CPU second on one thread, the best of epochs that take turns in one process.

    On a machine that does other things as well, this is the figure to trust.
    """
    from training.distributed import Ranks
    from training.options import Options
    from training.settings import Settings
    from training.trainer import Found, Trainer

    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        loader, step, _ = _plain(0)

        def plainly(epoch: int) -> None:
            for batch, labels in loader:
                step(batch, labels)

        loops: dict[str, Any] = {"plain": plainly}
        for precision in ("fp32", "bf16"):
            settings = Settings(Path(directory), EPOCHS, device="cpu", precision=precision)
            options = Options(batch_size=BATCH, learning_rate=RATE)
            trainer = Trainer(options, settings, 0, Found(), lambda: False, Ranks())
            loops[precision] = trainer._epoch
        for epoch in range(1, EPOCHS + 1):
            for name, loop in loops.items():
                began = time.process_time()
                loop(epoch)
                speed = len(trainer.data.train.labels) / (time.process_time() - began)
                best[name] = max(speed, best.get(name, 0.0))
    return best


def recipe(seed: str) -> Run:
    """torchvision's recipe as its documentation describes it: TrivialAugment on each image in a
    worker, SGD with momentum and decay, label smoothing, linear warm-up into a cosine, an average of
    the weights. The same hyperparameters as `RECIPE_FLAGS`, on the same network.
    """
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    from torch.utils.data import DataLoader

    from training.data import load_data
    from training.models import build_model
    from training.options import Options

    torch.manual_seed(int(seed))
    data = load_data("fashion")
    loader = DataLoader(_Pictures(data.train), batch_size=BATCH, shuffle=True, num_workers=2)
    model = build_model(Options(), data.shape)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    steps = len(loader)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=steps)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, (EPOCHS - 1) * steps)
    course = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [steps])
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        loss = criterion(model(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.step()
        average.update_parameters(model)
        loss.item()

    return _rival(lambda: loader, step, average, EPOCHS)


class _Pictures:
    """Images one by one through torchvision's transforms, as its recipe has them."""

    def __init__(self, split: Any) -> None:
        v2 = _torchvision()
        import torch

        self._split = split
        self._transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.TrivialAugmentWide(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.286], [0.353]),
            ]
        )

    def __len__(self) -> int:
        return len(self._split.labels)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return self._transform(self._split.images[place]), int(self._split.labels[place])


def _torchvision() -> Any:
    """Its transforms; the wheel built for CUDA misses operators beside a CPU build of torch."""
    import torch

    global _missing
    try:
        from torchvision.transforms import v2
    except RuntimeError:
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _missing = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            _missing.define(
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        from torchvision.transforms import v2
    return v2


_missing: Any = None
"""Holds the operators that were defined: they last as long as it does."""


def memory(model: str, batch: str) -> tuple[float, float]:
    """MiB of the process before the network is there, and at its highest in two steps."""
    from training.devices import peak_process_memory_mb
    from training.distributed import Ranks
    from training.options import Options
    from training.settings import Settings
    from training.trainer import Found, Stopped, Trainer

    before = peak_process_memory_mb()

    questions = itertools.count()  # one before each step

    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(Path(directory), epochs=1, data="synthetic", device="cpu")
        options = Options(model=model, batch_size=int(batch))
        trainer = Trainer(options, settings, 0, Found(), lambda: next(questions) >= 2, Ranks())
        with contextlib.suppress(Stopped):
            trainer.run()
    return before, peak_process_memory_mb()


if __name__ == "__main__":
    chosen = {"plain": plain, "recipe": recipe, "cpu": cpu, "memory": memory}[sys.argv[1]]
    print(json.dumps(chosen(*sys.argv[2:])))
