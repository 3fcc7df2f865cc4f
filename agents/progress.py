"""Where a run stands, for people and other programs: data, and the file progress.json."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.trial import StudyView, TrialState
from training.contract import ParameterValue, finite_or_none


@dataclass(frozen=True)
class Waiting:
    """What the run waits for, since it is away, and what a person can do about it."""

    what: str
    """``ssh``, ``scheduler``, ``ssh login`` …"""
    why: str
    remedy: str = ""


@dataclass(frozen=True)
class JobLine:
    """One job in flight."""

    trial: int
    state: str
    job_id: str | None
    step: int | None = None
    """The last epoch it reported."""
    accuracy: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run."""

    experiment: str
    iteration: int
    max_iterations: int
    metric: str
    elapsed: float
    """Seconds since the start."""
    trials: Mapping[str, int] = field(default_factory=dict)
    """Number of trials by state."""
    jobs: Sequence[JobLine] = ()
    best_value: float | None = None
    best_trial: int | None = None
    best_parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    doing: str = ""
    """The node of the loop: ``propose``, ``wait`` …"""
    waiting: Waiting | None = None


def trials_by_state(view: StudyView) -> dict[str, int]:
    """Number of trials by state, every state named."""
    counts = {state.value: 0 for state in TrialState}
    for trial in view.trials:
        counts[trial.state.value] += 1
    return counts


def write_heartbeat(path: Path, progress: Progress) -> None:
    """Write progress.json by rename: a sign of life for other programs and other hosts."""
    document = finite_or_none(
        {
            "schema": 1,
            "updated_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            **asdict(progress),
        }
    )
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    os.replace(temporary, path)


def read_heartbeat(path: Path) -> dict[str, Any] | None:
    """The last sign of life; None where there is none that can be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
