"""Which proposer a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from agents.config.model import Settings
from agents.proposers import Proposer
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.grid import GridProposer
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer, WithoutLlm
from agents.proposers.prompt import task_card
from agents.proposers.sampler import SamplerProposer
from agents.proposers.starters import StarterProposer
from agents.schedule import quota
from agents.space import SearchSpace


def build_proposer(
    settings: Settings, space: SearchSpace, exchanges: Path, allowed: SearchSpace | None = None
) -> Proposer:
    """The proposer of `settings.proposer`, with the user's starters in front.

    `exchanges`: directory for the exchanges with an LLM; made when the first one happens.
    `allowed`: what people have left of the space since the search began.
    Raises ConfigurationError, also for a key's environment variable that is not set.
    """
    left = allowed or space
    sampler = build_sampler(settings, left)
    mind = sampler
    if settings.proposer.kind != "sampler":
        mind = _with_llm(settings, left, sampler, exchanges)
    return StarterProposer(space, settings.initial_trials, mind, left)


def build_sampler(settings: Settings, space: SearchSpace) -> Proposer:
    """The configured sampler alone."""
    seed = settings.experiment.seed
    if settings.proposer.sampler.kind == "grid":
        return GridProposer(space, seed)
    return SamplerProposer(space, settings.proposer.sampler, seed, settings.objective.direction)


def _with_llm(
    settings: Settings, space: SearchSpace, sampler: Proposer, exchanges: Path
) -> Proposer:
    if settings.llm.base_url is None and settings.llm.model is None:
        return WithoutLlm(sampler, wanted=settings.proposer.kind != "auto")
    card = task_card(
        space,
        settings.objective.metric,
        settings.objective.direction,
        quota(settings.loop),
        settings.experiment.description,
        settings.training.budget,
    )
    advisor = Advisor(
        space,
        card,
        Endpoint(settings.llm),
        ExchangeLog(exchanges),
        settings.llm.repair_attempts,
    )
    if settings.proposer.kind == "llm":
        return LlmProposer(advisor, sampler)
    return HybridProposer(space, advisor, sampler, quota(settings.loop))
