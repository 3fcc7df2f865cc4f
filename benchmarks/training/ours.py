"""The reference program in a process of its own, as a person starts it, and its memory."""

import contextlib
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.training.cases import MADE_UP, Case, add_made_up, data_of, run_of


def ours(case: Case, *flags: str) -> dict[str, Any]:
    """One training by `python -m training.train` with the case's flags and these."""
    from training.train import main
    from training.trainer import Trainer

    if case.data == MADE_UP:
        add_made_up(case.images)
    ends: list[float] = []
    one = Trainer._one

    def timed(trainer: Trainer, *given: Any) -> None:
        one(trainer, *given)  # its accuracy is a number: the device is done by then
        ends.append(time.monotonic())

    Trainer._one = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as directory:
        code = main(_arguments(case, directory, flags))
        if code:
            raise SystemExit(code)
        lines = (Path(directory) / "metrics.jsonl").read_text().splitlines()
        result = json.loads((Path(directory) / "results.json").read_text())
    epochs = [json.loads(line) for line in lines]
    # The clock of metrics.jsonl starts before the data are read; the rivals' starts after.
    start = epochs[0]["time"] - epochs[0]["epoch_seconds"]
    return run_of(
        [(e["time"] - start, e["accuracy"], e["samples_per_second"]) for e in epochs],
        case.target,
        result["environment"]["first_step_seconds"],
        ends,
        result["metrics"]["peak_memory_mb"],
    )


def _arguments(case: Case, directory: str, flags: tuple[str, ...]) -> list[str]:
    folder = ["--data-dir", case.data_dir] if case.data_dir else []
    return [
        "--output-dir", directory, "--model", case.model, "--data", case.data, *folder,
        "--device", case.device, "--epochs", str(case.epochs), "--batch-size", str(case.batch),
        "--learning-rate", str(case.rate), "--seed", str(case.seed), "--checkpoint-every", "0",
        *flags,
    ]  # fmt: skip


def memory(case: Case) -> tuple[float, float]:
    """MiB of the process before the network is there, and the device's peak in two steps."""
    from training.devices import peak_process_memory_mb
    from training.distributed import Ranks
    from training.options import Options
    from training.settings import Settings
    from training.trainer import Found, Stopped, Trainer

    data = data_of(case)
    before, found = peak_process_memory_mb(), Found()
    questions = itertools.count()  # one before each step
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(Path(directory), epochs=1, data=data.name, device=case.device)
        options = Options(model=case.model, batch_size=case.batch)
        trainer = Trainer(options, settings, 0, found, lambda: next(questions) >= 2, Ranks())
        with contextlib.suppress(Stopped):
            trainer.run()
    assert found.peak_memory_mb is not None
    return before, found.peak_memory_mb


def cpu() -> dict[str, float]:
    """Samples a CPU second on one thread, the best of epochs that take turns in one process.

    On a machine that does other things as well, this is the figure to trust.
    """
    from benchmarks.training.rivals import plain_parts
    from training.distributed import Ranks
    from training.options import Options
    from training.settings import Settings
    from training.trainer import Found, Trainer

    case = Case()
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        loader, step, _ = plain_parts(case, data_of(case))

        def plainly(epoch: int) -> None:
            for batch, labels in loader:
                step(batch, labels)

        loops: dict[str, Any] = {"plain": plainly}
        for precision in ("fp32", "bf16"):
            settings = Settings(Path(directory), case.epochs, device="cpu", precision=precision)
            options = Options(batch_size=case.batch, learning_rate=case.rate)
            trainer = Trainer(options, settings, 0, Found(), lambda: False, Ranks())
            loops[precision] = trainer._epoch
        for epoch in range(1, case.epochs + 1):
            for name, loop in loops.items():
                began = time.process_time()
                loop(epoch)
                speed = len(trainer.data.train.labels) / (time.process_time() - began)
                best[name] = max(speed, best.get(name, 0.0))
    return best
