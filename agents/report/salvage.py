"""What is left of a run whose ledger is broken: from reports, the log and job directories.

Three sources, each poorer than the one before: iteration reports hold trials whole; the log holds
what was proposed, by whom, and how it ended; job directories hold parameters and results.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.config.model import Settings
from agents.ledger import Ledger
from agents.outcome import outcome_of
from agents.report.remnants import (
    JOB_NAME,
    log_events,
    logged_trials,
    moment,
    reported_trials,
    tasks_of_jobs,
    trial_of_task,
    with_result,
)
from agents.space import SearchSpace
from agents.trial import Proposal, Trial, TrialState
from agents.workspace import Workspace
from scheduler.job import Cause, Failure
from training.contract import Task

RECOVERED = "recovered"
"""Directory in the run for what was saved; nothing else in the run is touched."""

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
    log = list(log_events(workspace.log_file))
    reported, logged = dict(reported_trials(workspace.reports)), logged_trials(log)
    tasks = tasks_of_jobs(workspace.directory)
    trials = {n: trial for n, trial in reported.items() if trial.state.is_finished}
    sources = dict.fromkeys(trials, "iteration reports")
    for number, (task, directory) in tasks.items():
        if number not in trials:
            known = logged.get(number) or trial_of_task(task)
            trials[number] = with_result(known, task, directory, workspace.directory, settings)
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
        now = trial.finished_at or datetime.now(UTC)
        ledger.finish(number, outcome_of(trial), now, trial.job.started_at if trial.job else None)


def _fits(space: SearchSpace, name: str, value: Any) -> bool:
    distribution = space.distributions().get(name)
    try:
        return distribution is None or distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, OverflowError, TypeError):
        return False


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
    first = next((moment(event.get("time")) for event in log), None)
    if first is not None:
        kept["started_at"] = first.isoformat()
    names = (JOB_NAME.search(task.job) for task, _ in tasks.values())
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
