"""The reference training program.

    python -m training.train --hyperparameters JOB_DIRECTORY/hyperparameters.json
    python -m training.train --model resnet18 --learning-rate 0.1 --epochs 50 --output-dir runs/a

Keeps the contract in `training/contract.py`: writes metrics.jsonl and results.json, and nothing
outside its directory. Exit codes: 0 completed or pruned, 1 ended early or failed, 2 bad input.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from training.alarm import first_failure, linger, watch
from training.compilation import COMPILE_MODES
from training.contract import (
    RESULTS_FILE,
    ContractError,
    Curve,
    ErrorReport,
    ParameterValue,
    PilothouseError,
    Result,
    Task,
    accuracy_auc,
    read_task,
    write_result,
)
from training.devices import PRECISIONS, is_out_of_memory
from training.distributed import Ranks, discover, end, leave
from training.divergence import Diverged
from training.environment import environment
from training.options import ALIASES, Options, read_options, unused
from training.settings import Settings
from training.trackers import WANDB_MODES, Trackers
from training.trainer import Found, Stopped, Trainer

EARLIER = "PILOTHOUSE_EARLIER"
"""The variable in which a job script tells of the directory of an earlier attempt."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is asked for. Returns the exit code."""
    began, started = time.monotonic(), datetime.now(UTC)
    try:
        task, settings = read_command(arguments)
        ranks = discover(os.environ)
    except (PilothouseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _remember)
    found = Found()
    trainer: list[Trainer] = []

    def write(status: str, report: ErrorReport | None) -> None:
        if not ranks.is_first:
            return
        seconds = found.earlier_seconds + time.monotonic() - began
        facts = _facts(settings, found, trainer[0] if trainer else None, started)
        result = _result(task, status, found, report, facts, seconds)
        write_result(settings.directory / RESULTS_FILE, result)

    def fail(code: int) -> NoReturn:
        if not ranks.is_first:
            linger()
        end(code)

    def give_up(told: str) -> None:
        # The training itself waits for a process that is gone, and never comes to an end of its own.
        with contextlib.suppress(Exception):  # a full disk is not what the trial failed of
            for each in trainer:
                each.keep_the_rest()
        if told:
            write("failed", ErrorReport(**json.loads(told)))
        fail(1)

    stop_watching = watch(give_up) if not ranks.is_alone else lambda: None
    trackers = contextlib.ExitStack()
    status, report, code = _guarded(task, settings, found, trainer, ranks, trackers)
    if report is not None and status == "failed":
        report = ErrorReport(**json.loads(first_failure(json.dumps(asdict(report)))))
    write(status, report)
    if status != "failed":
        stop_watching()
        leave()
    trackers.close()  # after the result: a tracker may wait for its network for ever
    if status == "failed" and not ranks.is_alone:
        # Who fails alone does not part from the others: they wait for it elsewhere, each for the other.
        fail(code)
    return code


def _facts(
    settings: Settings, found: Found, trainer: Trainer | None, started: datetime
) -> dict[str, Any]:
    return {
        **environment(trainer.described if trainer is not None else {}),
        "data": trainer.data.name if trainer is not None else settings.data,
        "started": started.isoformat(timespec="milliseconds"),
        "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "first_step_seconds": found.first_step_seconds,
        "resumed_after": found.resumed_after,
        "earlier_seconds": round(found.earlier_seconds, 3),
    }


_asked_to_stop = False


def _remember(number: int, frame: FrameType | None) -> None:
    # Raising here could break a file that is being written: the loop looks between batches.
    global _asked_to_stop
    _asked_to_stop = True


def _must_stop() -> bool:
    return _asked_to_stop


def _guarded(
    task: Task,
    settings: Settings,
    found: Found,
    trainer: list[Trainer],
    ranks: Ranks,
    told: contextlib.ExitStack,
) -> tuple[str, ErrorReport | None, int]:
    """Train, and turn every way to end into a status, an error and an exit code.

    `told`: closes the trackers, once that may be.
    """
    try:
        options = read_options(task.hyperparameters)
        trainer.append(Trainer(options, settings, task.seed, found, _must_stop, ranks))
        for name in unused(options, task.hyperparameters) if ranks.is_first else ():
            print(f"warning: hyperparameters.{name} has no effect here", file=sys.stderr)
        tracked = (
            settings if ranks.is_first else replace(settings, tensorboard=False, wandb="disabled")
        )
        trackers = told.enter_context(contextlib.closing(Trackers(tracked, task.hyperparameters)))
        trainer[0].tell = trackers.log
        return trainer[0].run(), None, 0
    except Stopped:
        return "preempted", ErrorReport("Stopped", f"a signal, after epoch {len(found.steps)}"), 1
    except Diverged as error:
        return "diverged", ErrorReport("Diverged", str(error)), 1
    except PilothouseError as error:
        print(f"error: {error}", file=sys.stderr)
        return "failed", ErrorReport(type(error).__name__, str(error)), 2
    except Exception as error:
        if is_out_of_memory(error):
            return _out_of_memory(task, error)
        traceback.print_exc()
        report = ErrorReport(type(error).__name__, str(error), traceback.format_exc())
        return "failed", report, 1


def _out_of_memory(task: Task, error: Exception) -> tuple[str, ErrorReport, int]:
    size = task.hyperparameters.get("batch_size", Options.batch_size)
    told = (str(error).splitlines() or [type(error).__name__])[0]
    message = f"out of memory with batch_size {size}: {told}"
    print(f"error: {message}", file=sys.stderr)
    return "failed", ErrorReport("OutOfMemoryError", message), 1


def _result(
    task: Task,
    status: str,
    found: Found,
    error: ErrorReport | None,
    facts: dict[str, Any],
    seconds: float,
) -> Result:
    metrics: dict[str, float | None] = {
        "test_accuracy": found.test_accuracy,
        "parameters": found.parameters,
        "samples_per_second": found.samples_per_second,
        "peak_memory_mb": found.peak_memory_mb,
    }
    if found.accuracies:
        metrics |= {
            "accuracy_auc": accuracy_auc(found.accuracies, found.steps),
            "final_accuracy": found.accuracies[-1],
            "best_accuracy": max(found.accuracies),
            "train_accuracy": found.train_accuracies[-1],
            "train_loss": found.train_losses[-1],
        }
    return Result(
        status=status,
        metrics={name: value for name, value in metrics.items() if value is not None},
        curve=Curve(tuple(found.steps), tuple(found.accuracies)),
        seconds=seconds,
        hyperparameters=task.hyperparameters,
        environment=facts,
        error=error,
        trial=task.trial,
        job=task.job,
    )


# -- the command line ----------------------------------------------------------------------------


def read_command(arguments: Sequence[str] | None) -> tuple[Task, Settings]:
    """The task and the settings that a command line asks for. Raises ContractError, OSError."""
    given = vars(_parser().parse_args(arguments))
    path: Path | None = given.pop("hyperparameters")
    flags = {name: value for name, value in given.items() if value is not None}
    if path is not None:
        directory = flags.pop("output_dir", path.absolute().parent)
        task = _read_task(path, directory)
    else:
        directory = flags.pop("output_dir", Path()).absolute()
        task = Task("", 0, flags.pop("job_id", ""), 0, {})
    task = replace(task, seed=flags.pop("seed", task.seed))
    flags.pop("job_id", None)
    own = {field.name for field in fields(Options)}
    values: dict[str, ParameterValue] = {n: v for n, v in flags.items() if n in own}
    task = replace(task, hyperparameters={**task.hyperparameters, **values})
    _look_earlier(flags, os.environ.get(EARLIER, ""))
    budget = {name: task.budget[name] for name in ("epochs", "seconds") if name in task.budget}
    rest = {name: value for name, value in flags.items() if name not in own}
    settings = Settings(**{"directory": directory, **budget, **rest})
    directory.mkdir(parents=True, exist_ok=True)
    return task, settings


def _look_earlier(flags: dict[str, Any], variable: str) -> None:
    """Where a resume looks beside its own directory: as the flag says, or else the environment."""
    if "resume_from" in flags:
        flags["resume"], flags["resume_from"] = True, tuple(flags["resume_from"])
    elif "resume" in flags and variable:
        flags["resume_from"] = (Path(variable),)


def _read_task(path: Path, directory: Path) -> Task:
    """The task; where it cannot be read, a result says so. Raises ContractError."""
    try:
        return read_task(path)
    except ContractError as error:
        if directory.is_dir():
            report = ErrorReport(type(error).__name__, str(error))
            result = Result("failed", {}, Curve(), None, error=report)
            write_result(directory / RESULTS_FILE, result)
        raise


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"error: {message} (see --help)", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--hyperparameters", type=Path, metavar="FILE")
    parser.add_argument("--output-dir", type=Path, metavar="DIR")
    parser.add_argument("--job-id", metavar="NAME")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--epochs", "--num_epochs", "--num-epochs", type=int)
    numbers = (
        ("seconds", float),
        ("checkpoint_every", int),
        ("chance_epochs", int),
        ("workers", int),
    )
    words = (("data", str), ("wandb_project", str), ("wandb_name", str))
    for name, kind in (*numbers, *words):
        parser.add_argument(_flag(name), type=kind, dest=name)
    parser.add_argument("--data-dir", type=Path, metavar="DIR")
    parser.add_argument("--resume-from", type=Path, metavar="DIR", action="append")
    parser.add_argument("--device", metavar="NAME")
    parser.add_argument("--precision", choices=["auto", *PRECISIONS])
    parser.add_argument("--data-on-device", choices=["auto", "yes", "no"])
    parser.add_argument("--wandb", choices=WANDB_MODES)
    parser.add_argument("--compile", nargs="?", const="default", choices=COMPILE_MODES)
    for name in ("deterministic", "sync_batch_norm", "resume", "tensorboard"):
        parser.add_argument(_flag(name), action="store_true", default=None, dest=name)
    _add_options(parser)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("hyperparameters")
    others = {name: told for told, name in ALIASES.items()}
    for field in fields(Options):
        assert field.default is not MISSING
        names = [_flag(field.name), f"--{field.name}"]
        if field.name in others:
            names += [_flag(others[field.name]), f"--{others[field.name]}"]
        names = list(dict.fromkeys(names))
        help_text = f"default: {field.default}"
        if isinstance(field.default, bool):
            action = argparse.BooleanOptionalAction
            group.add_argument(
                names[0], dest=field.name, action=action, default=None, help=help_text
            )
        else:
            kind = type(field.default)
            group.add_argument(*names, dest=field.name, type=kind, help=help_text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


if __name__ == "__main__":
    sys.exit(main())
