"""Where a run stands, for people and other programs: data, and the file progress.json.

Whatever looks at a run from outside (`status`, `watch`) reads that file alone: its size does not
grow with the search, and reading it disturbs nobody.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.progress_shape import has_shape
from agents.trial import StudyView, TrialState
from training.contract import ParameterValue, finite_or_none

SCHEMA = 1


@dataclass(frozen=True)
class Waiting:
    """What the run waits for, since it is away, and what a person can do about it."""

    what: str
    """``ssh``, ``scheduler``, ``ssh login`` …"""
    why: str
    remedy: str = ""
    since: datetime | None = None
    """UTC."""


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
    origin: str = ""
    curve: Sequence[float] = ()
    """The objective (or the accuracy) over the epochs so far, thinned."""
    never_starts: bool = False
    """It waits in vain, by the batch system's word."""


@dataclass(frozen=True)
class Budget:
    """Something that the search may use up."""

    name: str
    """``iterations``, ``trials``, ``time``, ``node-hours``."""
    used: float
    limit: float


@dataclass(frozen=True)
class Source:
    """What came of one kind of proposer."""

    trials: int
    best: float | None


@dataclass(frozen=True)
class Compromise:
    """A trial on the Pareto front of two objectives."""

    trial: int
    value: float
    second: float


@dataclass(frozen=True)
class Again:
    """What came of running a trial again."""

    trial: int
    mean: float
    deviation: float | None
    runs: int


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run."""

    experiment: str
    iteration: int
    max_iterations: int
    metric: str
    elapsed: float
    """Seconds since the start."""
    direction: str = "maximize"
    trials: Mapping[str, int] = field(default_factory=dict)
    """Number of trials by state."""
    jobs: Sequence[JobLine] = ()
    best_value: float | None = None
    best_trial: int | None = None
    best_parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    best_so_far: Sequence[float] = ()
    """The best objective after each completed trial, thinned."""
    second_metric: str | None = None
    front: Sequence[Compromise] = ()
    """With two objectives the Pareto front, from the best in the second to the best in the first."""
    confirmed: Sequence[Again] = ()
    """The best trials with fresh seeds, the winner first."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """By who proposed: ``llm``, ``sampler`` …"""
    failures: Mapping[str, int] = field(default_factory=dict)
    """How many trials failed, by cause, the most frequent first."""
    last_failure: str = ""
    """``trial 3: the program ended with exit code 1``"""
    budgets: Sequence[Budget] = ()
    doing: str = ""
    """The node of the loop: ``propose``, ``wait`` …"""
    doing_since: datetime | None = None
    """UTC."""
    waiting: Waiting | None = None
    paused: Mapping[str, Any] | None = None
    """Who paused it (``by``) and when (``taken_at``)."""
    steering: Sequence[Mapping[str, Any]] = ()
    """The last things that people asked for, as the ledger has them."""


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
            "schema": SCHEMA,
            "updated_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            **asdict(progress),
        }
    )
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(document, default=_plain), encoding="utf-8")
    os.replace(temporary, path)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def read_heartbeat(path: Path) -> dict[str, Any] | None:
    """The last sign of life; None where there is none that can be read and understood."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and has_shape(document) else None
