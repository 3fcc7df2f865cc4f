"""What a run's files beside its ledger tell of its trials: reports, the log, job directories. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from agents.config.model import Settings
from agents.outcome import ended_as, outcome
from agents.trial import Job, Origin, PastAttempt, Trial, TrialState
from scheduler.job import Cause, Failure, Observation, Resources
from scheduler.outcome import Circumstances, Unfinished, judge
from scheduler.sentinel import PROGRAM, Sentinel, read_sentinel
from training.contract import (
    HYPERPARAMETERS_FILE,
    RESULTS_FILE,
    ContractError,
    Curve,
    Task,
    parse_result,
    parse_task,
)

JOB_NAME = re.compile(r"-([0-9a-f]{6})-(\d+)\.(\d+)$")
"""Token of the search, trial, attempt."""


# -- iteration reports ------------------------------------------------------------------------------


def reported_trials(reports: Path) -> Iterator[tuple[int, Trial]]:
    """The trials of all iteration reports that can be read, by number; a later report comes later."""
    for path in sorted(reports.glob("iteration_*.json")):
        try:
            documents = json.loads(path.read_bytes())["trials"]
            trials = [trial_from_document(document) for document in documents]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half a report: other sources have its trials
        yield from ((trial.number, trial) for trial in trials)


def trial_from_document(document: Mapping[str, Any]) -> Trial:
    """The trial that `agents.report.documents.trial_document` wrote.

    Raises KeyError, TypeError or ValueError for anything else.
    """
    curve, failure, job = document["curve"], document["failure"], document["job"]
    return Trial(
        number=int(document["trial"]),
        iteration=int(document["iteration"]),
        state=TrialState(document["state"]),
        parameters=dict(document["parameters"]),
        origin=_origin(document["origin"]),
        seed=int(document["seed"]),
        rationale=str(document["rationale"]),
        predicted=document["predicted"],
        fallback_reason=document["fallback_reason"],
        confirms=document.get("confirms"),
        adopted=bool(document.get("adopted")),
        stop_advice=document.get("stop_advice"),
        request=document.get("request"),
        job=_job(job) if job else None,
        attempts=tuple(_attempts(document.get("attempts") or ())),
        value=document["value"],
        metrics=dict(document["metrics"]),
        curve=Curve(tuple(curve["step"]), tuple(curve["accuracy"])),
        seconds=document["seconds"],
        environment=dict(document["environment"]),
        failure=_failure(failure),
        warnings=tuple(document["warnings"]),
        created_at=moment(document.get("created_at")),
        finished_at=moment(document.get("finished_at")),
    )


def _attempts(documents: Sequence[Mapping[str, Any]]) -> Iterator[PastAttempt]:
    for document in documents:
        failure = _failure(document["failure"])
        if failure is not None:
            yield PastAttempt(_job(document["job"]), failure)


def _origin(name: Any) -> Origin:
    return name if name in get_args(Origin) else "user"


def _job(document: Mapping[str, Any]) -> Job:
    times = ("submitted_at", "started_at", "ended_at")
    moments: dict[str, Any] = {name: moment(document.get(name)) for name in times}
    return Job(**{**document, **moments, "resources": Resources(**document["resources"])})


def _failure(document: Mapping[str, Any] | None) -> Failure | None:
    if not document:
        return None
    kept = {
        name: value for name, value in document.items() if name != "stage"
    }  # follows from the rest
    return Failure(**{**kept, "cause": Cause(document["cause"])})


# -- the log ----------------------------------------------------------------------------------------


def log_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a log, without lines that are none; nothing where there is no log."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def logged_trials(events: Sequence[Mapping[str, Any]]) -> dict[int, Trial]:
    """What was proposed and how it ended, as the log tells."""
    trials: dict[int, Trial] = {}
    for event in events:
        number = event.get("trial")
        if event.get("event") == "proposed" and isinstance(number, int):
            trials[number] = _proposed(number, event)
        elif event.get("event") == "ended" and number in trials:
            trials[number] = _ended(trials[number], event)
    return trials


def _proposed(number: int, event: Mapping[str, Any]) -> Trial:
    return Trial(
        number=number,
        iteration=int(event.get("iteration") or 1),
        state=TrialState.RUNNING,
        parameters=dict(event.get("parameters") or {}),
        origin=_origin(event.get("origin")),
        seed=0,
        fallback_reason=event.get("fallback_reason"),
        created_at=moment(event.get("time")),
    )


def _ended(trial: Trial, event: Mapping[str, Any]) -> Trial:
    try:
        state, failure = TrialState(event["state"]), _failure(event.get("failure"))
    except (KeyError, ValueError, TypeError):
        return trial
    return replace(
        trial,
        state=state,
        value=event.get("value"),
        seconds=event.get("seconds"),
        failure=failure,
        finished_at=moment(event.get("time")),
    )


# -- job directories --------------------------------------------------------------------------------


def tasks_of_jobs(run: Path) -> dict[int, tuple[Task, Path]]:
    """Of each trial its last attempt's task and directory."""
    found: dict[int, tuple[int, Task, Path]] = {}
    for path in sorted((*run.rglob(HYPERPARAMETERS_FILE), *run.rglob(RESULTS_FILE))):
        task = _task(path)
        if task is None:
            continue
        named = JOB_NAME.search(task.job)
        attempt = int(named.group(3)) if named else 1
        if task.trial not in found or attempt > found[task.trial][0]:
            found[task.trial] = (attempt, task, path.parent)
    return {number: (task, directory) for number, (_, task, directory) in found.items()}


def _task(path: Path) -> Task | None:
    """What the job was to do, from its task or, where jobs ran elsewhere, from its result."""
    try:
        if path.name == HYPERPARAMETERS_FILE:
            return parse_task(path.read_bytes())
        result = parse_result(path.read_bytes())
    except (OSError, ContractError):
        return None
    if result.trial is None or result.job is None:
        return None
    return Task("", result.trial, result.job, 0, result.hyperparameters)


def trial_of_task(task: Task) -> Trial:
    """A trial of which nothing but its job's task is known."""
    iteration = re.search(r"iter_0*(\d+)", task.job)
    return Trial(
        number=task.trial,
        iteration=int(iteration.group(1)) if iteration else 1,
        state=TrialState.RUNNING,
        parameters=dict(task.hyperparameters),
        origin="user",
        seed=task.seed,
    )


def with_result(trial: Trial, task: Task, directory: Path, run: Path, settings: Settings) -> Trial:
    """The trial with its job, and with how it ended where its directory tells."""
    named = JOB_NAME.search(task.job)
    job = trial.job or Job(
        task.job, str(directory.relative_to(run)), int(named.group(3)) if named else 1
    )
    trial = replace(trial, job=job, seed=task.seed, parameters=dict(task.hyperparameters))
    result, ended = _bytes(directory / RESULTS_FILE), _sentinel(directory)
    if result is None and ended is None:
        return trial
    code, by = (ended.code, ended.by) if ended else (None, PROGRAM)
    seen = Observation(job.name, None, True, code, result, ended_by=by)
    verdict = judge(seen, Circumstances(trial.number, gone_for=1.0, grace=0.0))
    if isinstance(verdict, Unfinished):
        return trial
    found = outcome(verdict, *settings.objective.metrics)
    return ended_as(trial, found, _modified(directory / RESULTS_FILE))


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _sentinel(directory: Path) -> Sentinel | None:
    return read_sentinel((_bytes(directory / "exit_code") or b"").decode(errors="replace"))


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def moment(text: Any) -> datetime | None:
    """The time that a text tells, in UTC; None where it tells none."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None
