"""``status`` and ``list``: where runs stand, read from their files; a run is never disturbed."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.errors import ConfigurationError
from agents.progress import read_heartbeat
from agents.screen import duration_text
from agents.workspace import Workspace, runs


@dataclass(frozen=True)
class RunState:
    """Where a run stands."""

    directory: str
    experiment: str
    state: str
    """``running``, ``waiting``, ``stopped`` (can be resumed) or ``finished``."""
    iteration: int | None
    max_iterations: int | None
    metric: str | None
    best_value: float | None
    best_trial: int | None
    trials: dict[str, int]
    jobs: Sequence[dict[str, Any]]
    waiting: dict[str, Any] | None
    seconds_since_sign_of_life: float | None


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
    )


def _state(workspace: Workspace, beat: dict[str, Any]) -> str:
    if is_held(workspace):
        return "waiting" if beat.get("waiting") else "running"
    return "finished" if workspace.is_finished else "stopped"


def is_held(workspace: Workspace) -> bool:
    """Whether an orchestrator on this host works on the run."""
    try:
        with open(workspace.directory / "run.lock", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _age(beat: dict[str, Any]) -> float | None:
    try:
        written = datetime.fromisoformat(beat["updated_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, (datetime.now(UTC) - written).total_seconds())


def status_text(state: RunState) -> str:
    """A few lines for a person."""
    lines = [f"{state.directory}: {state.state}"]
    if state.iteration is not None:
        counts = ", ".join(f"{count} {name}" for name, count in state.trials.items() if count)
        lines.append(f"  iteration {state.iteration} of {state.max_iterations}; trials: {counts}")
    if state.best_value is not None:
        lines.append(f"  best: {state.metric} {state.best_value:.4f} (trial {state.best_trial})")
    for job in state.jobs if state.state in ("running", "waiting") else ():
        step = "" if job.get("step") is None else f", epoch {job['step']}"
        accuracy = job.get("accuracy")
        curve = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        lines.append(f"  trial {job['trial']}: {job['state']}{step}{curve}")
    if state.waiting is not None and state.state == "waiting":
        lines.append(f"  waiting: {state.waiting['what']} ({state.waiting['why']})")
        if state.waiting.get("remedy"):
            lines.append(f"  to go on, type: {state.waiting['remedy']}")
    if state.seconds_since_sign_of_life is not None:
        ago = duration_text(state.seconds_since_sign_of_life)
        lines.append(f"  last sign of life {ago} ago")
    if state.state == "stopped":
        lines.append(f"  to go on: python -m agents.run --resume {state.directory}")
    return "\n".join(lines)


def list_text(base: Path) -> str:
    """One line for each run under `base`."""
    states = [run_state(run) for run in runs(base)]
    if not states:
        return f"no runs under {base}"
    return "\n".join(_line(state) for state in states)


def _line(state: RunState) -> str:
    best = "-" if state.best_value is None else f"{state.best_value:.4f}"
    return f"{state.state:9} {best:>8}  {state.experiment:20} {state.directory}"


def to_json(states: Sequence[RunState]) -> str:
    """For scripts."""
    return json.dumps([asdict(state) for state in states], indent=2)
