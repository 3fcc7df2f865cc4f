"""The file contract between the orchestrator and a training program, version 1.

Standard library only: it is imported on compute nodes that may have nothing but a
training framework, and on orchestrator hosts that have no training framework.

A job's directory holds

* ``hyperparameters.json``: the task, written by the orchestrator (`Task`);
* ``metrics.jsonl``: one JSON object a line and an epoch, appended and flushed (`MetricLine`);
* ``results.json``: the result, written once, by rename (`Result`);
* ``STOP``: written by the orchestrator to ask for an end after the current epoch.

Numbers are finite: what is not is null.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

SCHEMA = 1

HYPERPARAMETERS_FILE = "hyperparameters.json"
METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.json"
EXIT_CODE_FILE = "exit_code"
STOP_FILE = "STOP"

RESULT_STATUSES = ("completed", "pruned", "diverged", "preempted", "failed")

MAX_RESULT_BYTES = 8 * 1024 * 1024
"""A larger ``results.json`` is refused: a curve of 100,000 epochs fits in it."""

ParameterValue: TypeAlias = float | int | str | bool | None
"""What a hyperparameter can be. The same four JSON types on both sides."""


class PilothouseError(Exception):
    """Root of every error that Pilothouse raises on purpose.

    The message says what happened, where, and what to do next.
    """


class ContractError(PilothouseError):
    """A file of the contract is missing a field, has a wrong type or cannot be read."""


@dataclass(frozen=True)
class Task:
    """What one job is asked to train: the content of ``hyperparameters.json``."""

    experiment: str
    trial: int
    job: str
    seed: int
    hyperparameters: Mapping[str, ParameterValue]
    budget: Mapping[str, float | int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}


@dataclass(frozen=True)
class MetricLine:
    """One epoch: its step (epoch number), seconds since the start, and its numbers."""

    step: int
    time: float | None
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Curve:
    """Validation accuracy (or whatever the objective's curve is) over steps."""

    step: Sequence[float] = ()
    accuracy: Sequence[float | None] = ()


@dataclass(frozen=True)
class ErrorReport:
    """Why a training program gave up, in its own words."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Result:
    """What one job found: the content of ``results.json``."""

    status: str
    metrics: Mapping[str, float | None]
    curve: Curve
    seconds: float | None
    hyperparameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: ErrorReport | None = None
    trial: int | None = None
    job: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}


def accuracy_auc(accuracy: Sequence[float], step: Sequence[float]) -> float | None:
    """Area under the accuracy curve, as a fraction of the largest possible area.

    Trapezoid rule over `step` (epochs, increasing), divided by the span, so that
    runs of different length compare. One point is its own area; no point gives None.
    Rewards fast learning as well as a high end.

    Raises ContractError if the lengths differ, a value is not in [0, 1], or `step`
    does not increase.
    """
    if len(accuracy) != len(step):
        raise ContractError(
            f"accuracy has {len(accuracy)} points and step has {len(step)}: write one for each"
        )
    for value in accuracy:
        if not 0.0 <= value <= 1.0:
            raise ContractError(f"accuracy {value!r} is not in [0, 1]: write a fraction")
    if not accuracy:
        return None
    if len(accuracy) == 1:
        return float(accuracy[0])
    area = 0.0
    for left in range(len(step) - 1):
        width = step[left + 1] - step[left]
        if not width > 0:
            raise ContractError(
                f"step {step[left + 1]!r} follows {step[left]!r}: steps must increase"
            )
        area += width * (accuracy[left] + accuracy[left + 1]) / 2
    # Rounding can carry a curve of ones just above 1.
    return min(1.0, area / (step[-1] - step[0]))


def finite_or_none(value: object) -> Any:
    """The value with every non-finite number in it, however deep, replaced by None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite_or_none(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(inner) for inner in value]
    return value


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the whole of it or none: temporary file, fsync, rename."""
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # half a file may be all that a disk had left
            temporary.unlink(missing_ok=True)
        error.filename = str(path)  # a write that fails does not tell, and the other name is gone
        raise


def to_json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON as the contract wants it: UTF-8, finite numbers, a newline at the end."""
    text = json.dumps(finite_or_none(content), indent=2, allow_nan=False, ensure_ascii=False)
    # A lone surrogate (from an undecodable path, say) is no UTF-8: escape it.
    return (text + "\n").encode("utf-8", errors="backslashreplace")


def write_task(path: Path, task: Task) -> None:
    """Write ``hyperparameters.json``."""
    write_atomically(path, to_json_bytes(task.to_json()))


def parse_task(content: bytes) -> Task:
    """Read ``hyperparameters.json``. Raises ContractError that names the field at fault."""
    document = _document(content, HYPERPARAMETERS_FILE)
    where = HYPERPARAMETERS_FILE
    hyperparameters = _object(document, "hyperparameters", where)
    for name, value in hyperparameters.items():
        if not isinstance(value, (float, int, str, bool, type(None))):
            raise ContractError(f"{where}: hyperparameters.{name} must be a number, text or flag")
    return Task(
        experiment=str(document.get("experiment", "")),
        trial=_integer(document, "trial", where),
        job=str(document.get("job", "")),
        seed=_integer(document, "seed", where),
        hyperparameters=hyperparameters,
        budget=_object(document, "budget", where) if "budget" in document else {},
    )


def read_task(path: Path) -> Task:
    """Read ``hyperparameters.json`` from a path. Raises ContractError."""
    try:
        return parse_task(path.read_bytes())
    except OSError as error:
        raise ContractError(f"cannot read {path}: {error.strerror}") from error


def metric_line(step: int, time: float, **values: float | None) -> str:
    """One line of ``metrics.jsonl``, newline included. Flush after each."""
    line = finite_or_none({"step": step, "time": round(time, 3), **values})
    return json.dumps(line, allow_nan=False) + "\n"


def parse_metrics(content: bytes) -> tuple[list[MetricLine], int]:
    """The complete metric lines in `content`, and how many bytes they take.

    The last line may still be being written: it is left for the next call. A line that is
    no metric line (a program printed into the file) is skipped, its bytes counted.
    """
    end = content.rfind(b"\n") + 1
    lines = (_metric_line(raw) for raw in content[:end].splitlines())
    return [line for line in lines if line is not None], end


def _metric_line(raw: bytes) -> MetricLine | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    step = document.pop("step", None)
    if not isinstance(step, int) or isinstance(step, bool) or abs(step) > 2**53:
        return None
    time = _finite_number(document.pop("time", None))
    values = {
        str(name): _finite_number(value)
        for name, value in document.items()
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
    }
    return MetricLine(step=step, time=time, values=values)


def write_result(path: Path, result: Result) -> None:
    """Write ``results.json`` by rename. Call it once, last."""
    write_atomically(path, to_json_bytes(result.to_json()))


def parse_result(content: bytes) -> Result:
    """Read ``results.json``.

    Non-finite and non-numeric metrics become None, since a program in another language may
    write what JSON does not know. Raises ContractError for anything that is no result: empty
    or truncated content, a wrong type, an unknown status, a newer schema.
    """
    if len(content) > MAX_RESULT_BYTES:
        raise ContractError(
            f"{RESULTS_FILE} has {len(content)} bytes, more than {MAX_RESULT_BYTES}: "
            "write long series to a file of their own"
        )
    document = _document(content, RESULTS_FILE)
    where = RESULTS_FILE
    status = document.get("status")
    if status not in RESULT_STATUSES:
        raise ContractError(
            f"{where}: status is {status!r}; it must be one of {', '.join(RESULT_STATUSES)}"
        )
    metrics = _object(document, "metrics", where) if document.get("metrics") is not None else {}
    return Result(
        status=status,
        metrics={name: _finite_number(value) for name, value in metrics.items()},
        curve=_curve(document.get("curve"), where),
        seconds=_duration(document.get("seconds")),
        hyperparameters=_object_or_empty(document, "hyperparameters", where),
        environment=_object_or_empty(document, "environment", where),
        error=_error_report(document.get("error")),
        trial=_integer(document, "trial", where) if document.get("trial") is not None else None,
        job=str(document["job"]) if document.get("job") is not None else None,
    )


def _duration(value: Any) -> float | None:
    """Seconds, or None where they are unknown: a clock that was set back makes them negative."""
    found = _finite_number(value)
    return found if found is None or found >= 0 else None


def _document(content: bytes, name: str) -> dict[str, Any]:
    if not content.strip():
        raise ContractError(f"{name} is empty: write it to a temporary file and rename that")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{name} is not valid JSON (truncated?): {error}") from error
    if not isinstance(document, dict):
        raise ContractError(f"{name} must hold a JSON object, not {type(document).__name__}")
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise ContractError(f"{name} has schema {schema!r}; this version reads {SCHEMA}")
    return document


def _object(document: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise ContractError(f"{where}: {key} must be an object, not {value!r:.80}")
    return value


def _object_or_empty(document: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    return _object(document, key, where) if document.get(key) is not None else {}


def _integer(document: Mapping[str, Any], key: str, where: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ContractError(f"{where}: {key} must be an integer, not {value!r:.80}")
    return value


def _finite_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _curve(value: object, where: str) -> Curve:
    if value is None:
        return Curve()
    if not isinstance(value, dict):
        raise ContractError(f"{where}: curve must be an object with step and accuracy")
    step, accuracy = value.get("step") or [], value.get("accuracy") or []
    if not isinstance(step, list) or not isinstance(accuracy, list):
        raise ContractError(f"{where}: curve.step and curve.accuracy must be lists")
    if len(step) != len(accuracy):
        raise ContractError(
            f"{where}: curve.step has {len(step)} points and curve.accuracy has {len(accuracy)}"
        )
    steps = [_finite_number(point) for point in step]
    if any(point is None for point in steps):
        raise ContractError(f"{where}: curve.step must hold finite numbers")
    return Curve(
        step=tuple(point for point in steps if point is not None),
        accuracy=tuple(_finite_number(point) for point in accuracy),
    )


def _error_report(value: object) -> ErrorReport | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return ErrorReport(type="unknown", message=str(value)[:2000])
    return ErrorReport(
        type=str(value.get("type") or "unknown")[:200],
        message=str(value.get("message") or "")[:2000],
        traceback=str(value.get("traceback") or "")[-20000:],
    )
