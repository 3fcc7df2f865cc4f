"""What a newer version of Pilothouse wrote into a ledger, and this one does not know.

Whoever looks leaves it out. Whoever works on the run would write rows again without it, so that run
is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from agents.trial import Job
from scheduler.job import Cause, Failure, Resources

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_JOB = frozenset(field.name for field in fields(Job)) | {"past"}
_RESOURCES = frozenset(field.name for field in fields(Resources))
_FAILURE = frozenset(field.name for field in fields(Failure))
_CAUSES = frozenset(cause.value for cause in Cause)


def job_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """What this version knows of a job's document, without the attempts before it."""
    known = {key: value for key, value in document.items() if key in _JOB and key != "past"}
    resources = {k: v for k, v in document["resources"].items() if k in _RESOURCES}
    return {**known, "resources": Resources(**resources)}


def failure_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """What this version knows of a failure's document. A cause that it has no word for is told."""
    known = {key: value for key, value in document.items() if key in _FAILURE}
    if document["cause"] in _CAUSES:
        return {**known, "cause": Cause(document["cause"])}
    message = f"{document['cause']}: {document['message']}"
    return {**known, "cause": Cause.PROGRAM_ERROR, "message": message}


def unknown(trials: Iterable[FrozenTrial]) -> str | None:
    """The first thing in these rows that this version does not know; None where it knows all."""
    for frozen in trials:
        job = frozen.user_attrs.get("job") or {}
        failure = (frozen.user_attrs.get("outcome") or {}).get("failure")
        for found in (*_of_job(job), *_of_failure(failure)):
            return f"trial {frozen.number} has {found}"
    return None


def _of_job(document: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"job.{key}" for key in document if key not in _JOB)
    resources = document.get("resources", {})
    yield from (f"job.resources.{key}" for key in resources if key not in _RESOURCES)
    for attempt in document.get("past", ()):
        yield from _of_job(attempt["job"])
        yield from _of_failure(attempt["failure"])


def _of_failure(document: Mapping[str, Any] | None) -> Iterator[str]:
    if not document:
        return
    yield from (f"failure.{key}" for key in document if key not in _FAILURE)
    if document["cause"] not in _CAUSES:
        yield f"the failure {document['cause']!r}"
