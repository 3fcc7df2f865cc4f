"""The shape of progress.json: what a reader may rely on. Pure.

The file may be another program's, another version's, or half of one that a file system put together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[object], bool]

GREATEST = 1e300
"""A number beyond it has no use here, and cannot always be shown."""


def has_shape(document: Mapping[str, Any]) -> bool:
    """Whether all that is there is what `agents.progress` writes; keys may be missing or null."""
    return all(document.get(key) is None or fits(document[key]) for key, fits in _KEYS.items())


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= GREATEST


def _any_row(value: object) -> bool:
    return isinstance(value, dict)


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def _by_name(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(check(item) for item in value.values())


def _row(_optional: Mapping[str, Check] | None = None, **required: Check) -> Check:
    """A mapping that has the required keys; the optional ones may be missing or null."""
    checks = {**required, **{key: _or_null(check) for key, check in (_optional or {}).items()}}
    return lambda value: (
        isinstance(value, dict) and all(check(value.get(key)) for key, check in checks.items())
    )


# A metric that was no number is null.
_CURVE = _list_of(_or_null(_number))
_JOB = _row(
    {"job_id": _text, "step": _number, "accuracy": _number, "reason": _text, "origin": _text,
     "curve": _CURVE},
    trial=_number, state=_text,
)  # fmt: skip
_TAKEN = _row(
    {"id": _text, "verb": _text}, what=_text, by=_text, asked_at=_text, effect=_text,
    refused=lambda value: isinstance(value, bool),
)  # fmt: skip
_KEYS: Mapping[str, Check] = {
    "updated_at": _text,
    "experiment": _text,
    "iteration": _number,
    "max_iterations": _number,
    "metric": _text,
    "elapsed": _number,
    "direction": _text,
    "trials": _by_name(_number),
    "jobs": _list_of(_JOB),
    "best_value": _number,
    "best_trial": _number,
    "best_parameters": _any_row,
    "best_so_far": _CURVE,
    "second_metric": _text,
    "front": _list_of(_row(trial=_number, value=_number, second=_number)),
    "confirmed": _list_of(_row({"deviation": _number}, trial=_number, mean=_number, runs=_number)),
    "sources": _by_name(_row({"best": _number}, trials=_number)),
    "failures": _by_name(_number),
    "last_failure": _text,
    "budgets": _list_of(_row(name=_text, used=_number, limit=_number)),
    "doing": _text,
    "doing_since": _text,
    "waiting": _row({"remedy": _text, "since": _text}, what=_text, why=_text),
    "paused": _row({"taken_at": _text}, by=_text),
    "steering": _list_of(_TAKEN),
}
