"""``export``: a run's trials as a table or a document for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agents.errors import ConfigurationError
from agents.report.documents import summary_document, trial_document
from agents.report.reading import Reading, read_run
from agents.report.study import finite
from agents.report.write import write_output
from agents.trial import Trial
from scheduler.plain import printable
from scheduler.stages import stage_of
from training.contract import finite_or_none

Format = Literal["csv", "json", "parquet"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A text that begins so is a formula to a spreadsheet (OWASP, CSV injection)."""

Row = Mapping[str, Any]


def export(directory: Path, form: Format, output: Path | None) -> bytes | None:
    """Write the trials of a run to `output`; without one, return what is to be printed.

    Raises ConfigurationError where it cannot be written, or Parquet cannot be made here.
    """
    reading = read_run(directory)
    if form == "parquet" and output is None:
        raise ConfigurationError("--format parquet: name a file with --output FILE")
    content = _CONTENT[form](reading)
    if output is None:
        return content
    write_output(output, content)
    return None


def columns(trial: Trial) -> dict[str, Any]:
    """A trial as one row: numbers as numbers, text as it is. Curves are left to JSON."""
    job, failure = trial.job, trial.failure
    return {
        "trial": trial.number,
        "iteration": trial.iteration,
        "state": trial.state.value,
        "origin": trial.origin,
        "value": trial.value,
        **{f"parameters.{name}": value for name, value in trial.parameters.items()},
        **{f"metrics.{name}": value for name, value in trial.metrics.items()},
        "seconds": trial.seconds,
        "predicted": trial.predicted,
        "rationale": trial.rationale,
        "fallback_reason": trial.fallback_reason,
        "adopted": trial.adopted,
        "confirms": trial.confirms,
        "failure.cause": failure.cause.value if failure else None,
        "failure.stage": stage_of(failure).value if failure else None,
        "failure.message": failure.message if failure else None,
        "warnings": "; ".join(trial.warnings),
        "seed": trial.seed,
        "attempt": job.attempt if job else None,
        "job.id": job.job_id if job else None,
        "job.directory": job.directory if job else None,
        "job.nodes": job.resources.nodes if job else None,
        "created_at": trial.created_at,
        "job.submitted_at": job.submitted_at if job else None,
        "job.started_at": job.started_at if job else None,
        "finished_at": trial.finished_at,
        **{f"environment.{name}": value for name, value in trial.environment.items()},
    }


def table(trials: Sequence[Trial]) -> tuple[list[str], list[Row]]:
    """Names of all columns, each where it first stood, and a row for each trial."""
    rows: list[Row] = [columns(trial) for trial in trials]
    names = dict.fromkeys(name for row in rows for name in row)
    return sorted(names, key=_group), rows


def _group(name: str) -> int:
    """Columns of a kind stand together, whichever trial had them first."""
    if name.startswith("parameters."):
        return 1
    if name.startswith("metrics."):
        return 2
    if name.startswith("environment."):
        return 4
    return 0 if name in ("trial", "iteration", "state", "origin", "value") else 3


def csv_text(trials: Sequence[Trial]) -> str:
    """The table as CSV (RFC 4180), safe to open in a spreadsheet."""
    names, rows = table(trials)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([cell(name) for name in names])
    writer.writerows([[cell(row.get(name)) for name in names] for row in rows])
    return stream.getvalue()


def cell(value: Any) -> Any:
    """A cell's content. Text that a spreadsheet would take for a formula gets a `'` before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return cell(json.dumps(value, ensure_ascii=False, default=str))


def _csv(reading: Reading) -> bytes:
    return csv_text(finite(reading.view).trials).encode()


def _json(reading: Reading) -> bytes:
    view = finite(reading.view)
    document = {
        **summary_document(view, reading.facts),
        "trials": [trial_document(trial) for trial in view.trials],
    }
    text = json.dumps(finite_or_none(document), indent=1, ensure_ascii=False)
    return (printable(text) + "\n").encode()


def _parquet(reading: Reading) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(
            "--format parquet needs pyarrow, which is not installed here: pip install pyarrow, or "
            "use --format csv"
        ) from error
    names, rows = table(finite(reading.view).trials)
    arrays = {name: _column([row.get(name) for row in rows]) for name in names}
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), stream)
    return stream.getvalue()


def _column(values: Sequence[Any]) -> list[Any]:
    """Values of one type: whole and broken numbers become numbers, any other mixture text."""
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if kinds == {int} and any(abs(value) >= 2**63 for value in there):
        kinds = {int, str}
    plain = len(kinds) <= 1 and not kinds & {dict, list, tuple}
    if plain and str not in kinds:
        return list(values)
    return [None if value is None else printable(_text(value)) for value in values]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_CONTENT = {"csv": _csv, "json": _json, "parquet": _parquet}
