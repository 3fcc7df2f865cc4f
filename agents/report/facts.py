"""What a report says about a run besides its trials. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents.config.model import Parameter, Settings
from agents.config.resolved import with_references
from agents.elapsed import spans
from agents.report.usage import Usage
from agents.tradeoff import SECONDS
from agents.trial import Second

BY_TIME = Second(SECONDS, "minimize")


@dataclass(frozen=True)
class RunFacts:
    """The circumstances of a run. All texts are shown as they are, so none may hold a secret."""

    experiment: str
    description: str
    run_directory: str
    started_at: datetime
    """UTC."""
    updated_at: datetime
    """UTC; the moment the report speaks of."""
    elapsed_seconds: float
    stop_reason: str | None
    """A sentence with its numbers; None while the search goes on."""
    notices: Sequence[str]
    """What a person was told during the run, such as an LLM that was away."""
    configuration: str
    """The resolved configuration as YAML."""
    environment: Mapping[str, str]
    """Host, Python and packages of the orchestrator."""
    git: Mapping[str, str | bool | None]
    """Commit, branch and whether there were changes; empty where there is no repository."""
    parameters: Mapping[str, Parameter]
    """The search space, in the order of the configuration."""
    second: Second = BY_TIME
    """What the objective is weighed against."""
    command: Sequence[str] = ()
    """The training command as it is configured."""
    working_directory: str = ""
    """Of the training command, where one is configured."""
    budget: Mapping[str, float | int] = field(default_factory=dict)
    """What each training may use, such as epochs."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """The snapshot of the training code: path, digest, files, git; empty where none was staged."""
    steering: Sequence[Mapping[str, Any]] = ()
    """What people asked for while the search ran: what, by, asked_at, taken_at, effect."""
    usage: Usage = field(default_factory=Usage)
    """What the LLM was asked, and what it cost."""
    idle: Sequence[tuple[datetime, datetime]] = ()
    """When nobody was at work: `elapsed_seconds` leaves these times out."""


def run_facts(
    settings: Settings,
    kept: Mapping[str, Any],
    *,
    configuration: str,
    run_directory: str,
    started_at: datetime,
    updated_at: datetime,
    elapsed_seconds: float,
    stop_reason: str | None,
    usage: Usage,
) -> RunFacts:
    """The facts of a run from its configuration and from what is `kept` with its study.

    Of `settings` it shows what `configuration` does: references in place of secrets.
    """
    shown = with_references(settings, configuration)
    return RunFacts(
        experiment=settings.experiment.id,
        description=shown.experiment.description,
        run_directory=run_directory,
        started_at=started_at,
        updated_at=updated_at,
        elapsed_seconds=elapsed_seconds,
        stop_reason=stop_reason,
        notices=tuple(kept.get("notices", ())),
        configuration=configuration,
        environment=kept.get("environment", {}),
        git=kept.get("git", {}),
        parameters=settings.search_space,
        second=Second.of(settings)
        or Second(settings.report.second_metric, settings.report.second_direction),
        command=tuple(shown.training.command),
        working_directory=str(shown.training.directory or ""),
        budget=settings.training.budget,
        code=kept.get("code") or {},
        steering=tuple(entry for entry in kept.get("steering", ()) if isinstance(entry, Mapping)),
        usage=usage,
        idle=spans(kept),
    )
