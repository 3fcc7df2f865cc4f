"""Which proposer a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from agents.config.model import Settings
from agents.proposers import Proposer
from agents.proposers.grid import GridProposer
from agents.proposers.sampler import SamplerProposer
from agents.proposers.starters import StarterProposer
from agents.space import SearchSpace


def build_proposer(settings: Settings, space: SearchSpace, exchanges: Path) -> Proposer:
    """The proposer of `settings.proposer`, with the user's starters in front.

    `exchanges`: directory for the exchanges with an LLM; made when the first one happens.
    Raises ConfigurationError, also for a key's environment variable that is not set.
    """
    sampler = build_sampler(settings, space)
    return StarterProposer(space, settings.initial_trials, sampler)


def build_sampler(settings: Settings, space: SearchSpace) -> Proposer:
    """The configured sampler alone."""
    seed = settings.experiment.seed
    if settings.proposer.sampler.kind == "grid":
        return GridProposer(space, seed)
    return SamplerProposer(space, settings.proposer.sampler, seed, settings.objective.direction)
