"""What is left of a run whose ledger is broken: from reports, the log and job directories.

Three sources, each poorer than the one before: iteration reports hold trials whole; the log holds
what was proposed, by whom, and how it ended; job directories hold parameters and results.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from agents.config.model import Settings
from agents.ledger import Ledger
from agents.outcome import Outcome, outcome
from agents.space import SearchSpace
from agents.trial import Job, Origin, PastAttempt, Proposal, Trial, TrialState
from agents.workspace import Workspace
from scheduler.job import Cause, Failure, Observation, Resources
from scheduler.outcome import Circumstances, Unfinished, judge
from training.contract import (
    HYPERPARAMETERS_FILE,
    RESULTS_FILE,
    ContractError,
    Curve,
    Task,
    parse_result,
    parse_task,
)

RECOVERED = "recovered"
"""Directory in the run for what was saved; nothing else in the run is touched."""

_NAME = re.compile(r"-([0-9a-f]{6})-(\d+)\.(\d+)$")
_NOT_FOUND = Failure(Cause.LOST, "the ledger was damaged, and no other file tells of this trial")


@dataclass(frozen=True)
class Salvaged:
    """The trials that were found, in the order of their numbers and without holes."""

    reason: str
    """Why the ledger could not be read."""
    trials: Sequence[Trial]
    kept: Mapping[str, Any]
    """What stood with the study as a whole, as far as it was found."""
    sources: Mapping[str, int]
    """Trials by where they were found."""
    missing: Sequence[int]
    """Numbers of trials of which nothing was found; they stand as failed."""


def salvage(workspace: Workspace, settings: Settings, reason: str) -> Salvaged:
    """Find what the run's other files tell. Reads only."""
    log = list(_events(workspace.log_file))
    reported, logged = dict(_from_reports(workspace.reports)), _from_log(log)
    tasks = _tasks(workspace.directory)
    trials = {n: trial for n, trial in reported.items() if trial.state.is_finished}
    sources = dict.fromkeys(trials, "iteration reports")
    for number, (task, directory) in tasks.items():
        if number not in trials:
            known = logged.get(number) or _from_task(task)
            trials[number] = _with_result(known, task, directory, workspace.directory, settings)
            sources[number] = "job directories"
    for number, trial in logged.items():
        if number not in trials:
            trials[number], sources[number] = trial, "the log"
    missing = [n for n in range(max(trials, default=-1) + 1) if n not in trials]
    whole = {**{n: _missing(n, trials) for n in missing}, **trials}
    ordered = [whole[number] for number in sorted(whole)]
    return Salvaged(reason, ordered, _kept(log, tasks), Counter(sources.values()), missing)


def rebuild(saved: Salvaged, workspace: Workspace, settings: Settings) -> Path:
    """Write a ledger of what was found to ``recovered/study.db`` in the run. Returns its path.

    With it in the place of the broken one, the search can be resumed. Raises LedgerError, OSError.
    """
    directory = workspace.directory / RECOVERED
    directory.mkdir(exist_ok=True)
    unfinished, path = directory / "study.db.new", directory / workspace.study_file.name
    unfinished.unlink(missing_ok=True)
    space = SearchSpace.build(settings.search_space, settings.constraints)
    direction = settings.objective.direction
    ledger = Ledger.open(f"sqlite:///{unfinished}", workspace.first_name, direction, space)
    try:
        for name, value in saved.kept.items():
            ledger.set_attribute(name, value)
        for trial in saved.trials:
            _enter(ledger, space, trial)
    finally:
        ledger.close()
    os.replace(unfinished, path)
    return path


def _enter(ledger: Ledger, space: SearchSpace, trial: Trial) -> None:
    parameters = {n: v for n, v in trial.parameters.items() if _fits(space, n, v)}
    proposal = Proposal(
        parameters,
        trial.origin,
        trial.rationale,
        trial.predicted,
        trial.fallback_reason,
        request=trial.request,
        confirms=trial.confirms,
        adopted=trial.adopted,
        stop_advice=trial.stop_advice,
    )
    number = ledger.add(proposal, trial.iteration, trial.seed)
    if trial.job is not None:
        ledger.record_job(number, trial.job, trial.attempts)
    if trial.state.is_finished:
        ended = Outcome(
            trial.state,
            trial.value,
            trial.metrics,
            trial.curve,
            trial.seconds,
            trial.environment,
            trial.failure,
            trial.warnings,
        )
        now = trial.finished_at or datetime.now(UTC)
        ledger.finish(number, ended, now, trial.job.started_at if trial.job else None)


def _fits(space: SearchSpace, name: str, value: Any) -> bool:
    distribution = space.distributions().get(name)
    try:
        return distribution is None or distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, OverflowError, TypeError):
        return False


# -- iteration reports ------------------------------------------------------------------------------


def _from_reports(reports: Path) -> Iterator[tuple[int, Trial]]:
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
        created_at=_moment(document.get("created_at")),
        finished_at=_moment(document.get("finished_at")),
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
    moments: dict[str, Any] = {name: _moment(document.get(name)) for name in times}
    return Job(**{**document, **moments, "resources": Resources(**document["resources"])})


def _failure(document: Mapping[str, Any] | None) -> Failure | None:
    return Failure(**{**document, "cause": Cause(document["cause"])}) if document else None


# -- the log ----------------------------------------------------------------------------------------


def _events(path: Path) -> Iterator[dict[str, Any]]:
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


def _from_log(events: Sequence[Mapping[str, Any]]) -> dict[int, Trial]:
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
        created_at=_moment(event.get("time")),
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
        finished_at=_moment(event.get("time")),
    )


# -- job directories --------------------------------------------------------------------------------


def _tasks(run: Path) -> dict[int, tuple[Task, Path]]:
    """Of each trial its last attempt's task and directory."""
    found: dict[int, tuple[int, Task, Path]] = {}
    for path in sorted((*run.rglob(HYPERPARAMETERS_FILE), *run.rglob(RESULTS_FILE))):
        task = _task(path)
        if task is None:
            continue
        named = _NAME.search(task.job)
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


def _from_task(task: Task) -> Trial:
    iteration = re.search(r"iter_0*(\d+)", task.job)
    return Trial(
        number=task.trial,
        iteration=int(iteration.group(1)) if iteration else 1,
        state=TrialState.RUNNING,
        parameters=dict(task.hyperparameters),
        origin="user",
        seed=task.seed,
    )


def _with_result(trial: Trial, task: Task, directory: Path, run: Path, settings: Settings) -> Trial:
    """The trial with its job, and with how it ended where its directory tells."""
    named = _NAME.search(task.job)
    job = trial.job or Job(
        task.job, str(directory.relative_to(run)), int(named.group(3)) if named else 1
    )
    trial = replace(trial, job=job, seed=task.seed, parameters=dict(task.hyperparameters))
    result, code = _bytes(directory / RESULTS_FILE), _exit_code(directory)
    if result is None and code is None:
        return trial
    seen = Observation(job.name, None, True, code, result)
    verdict = judge(seen, Circumstances(trial.number, gone_for=1.0, grace=0.0))
    if isinstance(verdict, Unfinished):
        return trial
    ended = outcome(verdict, settings.objective.metric)
    return replace(
        trial,
        state=ended.state,
        value=ended.value,
        metrics=ended.metrics,
        curve=ended.curve,
        seconds=ended.seconds,
        environment=ended.environment,
        failure=ended.failure,
        warnings=tuple(ended.warnings),
        finished_at=_modified(directory / RESULTS_FILE),
    )


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _exit_code(directory: Path) -> int | None:
    try:
        return int((_bytes(directory / "exit_code") or b"").decode())
    except (ValueError, UnicodeDecodeError):
        return None


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


# -- the whole --------------------------------------------------------------------------------------


def _missing(number: int, trials: Mapping[int, Trial]) -> Trial:
    before = [trial.iteration for n, trial in trials.items() if n < number]
    return Trial(
        number=number,
        iteration=max(before, default=1),
        state=TrialState.FAILED,
        parameters={},
        origin="user",
        seed=0,
        failure=_NOT_FOUND,
    )


def _kept(
    log: Sequence[Mapping[str, Any]],
    tasks: Mapping[int, tuple[Task, Path]],
) -> dict[str, Any]:
    """Begin, token, notices and code, without which the search cannot go on as the same one."""
    kept: dict[str, Any] = {}
    first = next((_moment(event.get("time")) for event in log), None)
    if first is not None:
        kept["started_at"] = first.isoformat()
    names = (_NAME.search(task.job) for task, _ in tasks.values())
    token = next((found.group(1) for found in names if found), None)
    if token is not None:
        kept["token"] = token
    notices = [event.get("text") for event in log if event.get("event") == "notice"]
    if notices:
        kept["notices"] = list(dict.fromkeys(str(text) for text in notices))
    for event in log:
        if event.get("event") == "staged":
            about = ("time", "level", "event")
            kept["code"] = {name: value for name, value in event.items() if name not in about}
    return kept


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None
