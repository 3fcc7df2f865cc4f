"""Where a run stands, read from its files; it is never disturbed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from agents import requests
from agents.errors import ConfigurationError
from agents.progress import read_heartbeat
from agents.workspace import Workspace

MOST_REQUESTS = 5


@dataclass(frozen=True)
class RunState:
    """Where a run stands."""

    directory: str
    experiment: str
    state: str
    """``running``, ``waiting``, ``paused``, ``stopped`` (can be resumed), ``submitted`` (an
    experiment whose result is to be harvested) or ``finished``."""
    iteration: int | None
    max_iterations: int | None
    metric: str | None
    best_value: float | None
    best_trial: int | None
    trials: dict[str, int]
    jobs: Sequence[dict[str, Any]]
    waiting: dict[str, Any] | None
    seconds_since_sign_of_life: float | None
    direction: str | None
    elapsed_seconds: float | None
    """Seconds since the search began, at its last sign of life."""
    best_parameters: Mapping[str, Any]
    best_so_far: Sequence[float]
    second_metric: str | None
    front: Sequence[dict[str, Any]]
    """With two objectives the Pareto front, from the best in the second to the best in the first."""
    confirmed: Sequence[dict[str, Any]]
    """The best trials with fresh seeds, the winner first."""
    sources: Mapping[str, Any]
    """By who proposed: number of trials, best value."""
    failures: Mapping[str, int]
    """How many trials failed, by cause, the most frequent first."""
    last_failure: str
    budgets: Sequence[dict[str, Any]]
    doing: str
    doing_since: str | None
    paused: dict[str, Any] | None
    steering: Sequence[dict[str, Any]]
    """The last things that people asked for, and all regions that are forbidden."""
    requests: Sequence[dict[str, Any]]
    """What was asked for and has not been taken yet."""

    @property
    def is_attended(self) -> bool:
        """Whether an orchestrator works on it."""
        return self.state in ("running", "waiting", "paused")


def run_state(workspace: Workspace) -> RunState:
    """Where the run stands, as its own files tell. Raises ConfigurationError where it is none."""
    experiment = workspace.experiment
    if experiment is None:
        raise ConfigurationError(
            f"{workspace.directory} is not a run directory (it has no run.json)"
        )
    beat = read_heartbeat(workspace.progress_file) or {}
    return RunState(
        directory=str(workspace.directory),
        experiment=experiment,
        state=_state(workspace, beat),
        iteration=beat.get("iteration"),
        max_iterations=beat.get("max_iterations"),
        metric=beat.get("metric"),
        best_value=beat.get("best_value"),
        best_trial=beat.get("best_trial"),
        trials=beat.get("trials") or {},
        jobs=beat.get("jobs") or [],
        waiting=beat.get("waiting"),
        seconds_since_sign_of_life=_age(beat),
        direction=beat.get("direction"),
        elapsed_seconds=beat.get("elapsed"),
        best_parameters=beat.get("best_parameters") or {},
        best_so_far=beat.get("best_so_far") or [],
        second_metric=beat.get("second_metric"),
        front=beat.get("front") or [],
        confirmed=beat.get("confirmed") or [],
        sources=beat.get("sources") or {},
        failures=beat.get("failures") or {},
        last_failure=beat.get("last_failure") or "",
        budgets=beat.get("budgets") or [],
        doing=beat.get("doing") or "",
        doing_since=beat.get("doing_since"),
        paused=beat.get("paused"),
        steering=beat.get("steering") or [],
        requests=[*_untaken(workspace)],
    )


def _untaken(workspace: Workspace) -> Iterator[dict[str, Any]]:
    for path in requests.waiting(workspace.directory)[:MOST_REQUESTS]:
        try:
            request = requests.read(path)
        except (OSError, requests.Unreadable):
            continue  # taken meanwhile, or none: the orchestrator sets it aside
        yield {
            "what": request.what,
            "by": request.by,
            "asked_at": request.asked_at.isoformat(),
        }


def _state(workspace: Workspace, beat: Mapping[str, Any]) -> str:
    if not workspace.is_held and workspace.is_finished:
        return "finished"
    if not workspace.is_held:
        return "submitted" if workspace.is_experiment else "stopped"
    if beat.get("waiting"):
        return "waiting"
    return "paused" if beat.get("paused") else "running"


def _age(beat: Mapping[str, Any]) -> float | None:
    written = moment(beat.get("updated_at"))
    return None if written is None else max(0.0, (datetime.now(UTC) - written).total_seconds())


def moment(text: object) -> datetime | None:
    """A moment that progress.json tells; None for what is none, or leaves the time zone open."""
    try:
        told = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if told is None or told.tzinfo is None else told


def resume_command(workspace: Workspace) -> str:
    """What to type to go on with a run."""
    verb = "harvest" if workspace.is_experiment else "resume"
    return f"python -m agents.run {verb} {shlex.quote(str(workspace.directory))}"


def to_json(states: Sequence[RunState]) -> str:
    """For scripts."""
    return json.dumps([asdict(state) for state in states], indent=2, ensure_ascii=False)
