"""What a report says about a run besides its trials. Data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.config.model import Parameter


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
