"""Which proposer a configuration asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from agents.config.model import Settings
from agents.proposers import Proposer
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.grid import GridProposer
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer, WithoutLlm
from agents.proposers.prompt import TaskCard, require_room, task_card
from agents.proposers.replay import Replay
from agents.proposers.sampler import SamplerProposer
from agents.proposers.starters import StarterProposer
from agents.proposers.template import prompt_template
from agents.report.numbers import duration
from agents.schedule import quota
from agents.space import SearchSpace
from agents.trial import Second
from agents.words import count
from agents.workspace import Workspace


def build_proposer(
    settings: Settings,
    space: SearchSpace,
    exchanges: Path,
    allowed: SearchSpace | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Proposer:
    """The proposer of `settings.proposer`, with the user's starters in front.

    `exchanges`: directory for the exchanges with an LLM; made when the first one happens.
    `allowed`: what people have left of the space since the search began. `sleep`: how to wait before
    an endpoint is asked again; what it raises ends the proposing.
    Raises ConfigurationError, also for a key's environment variable that is not set.
    """
    left = allowed or space
    sampler = build_sampler(settings, left)
    mind = sampler
    if settings.proposer.kind != "sampler":
        mind = _with_llm(settings, left, sampler, exchanges, sleep)
    return StarterProposer(space, settings.initial_trials, mind, left)


def build_sampler(settings: Settings, space: SearchSpace) -> Proposer:
    """The configured sampler alone."""
    seed = settings.experiment.seed
    if settings.proposer.sampler.kind == "grid":
        return GridProposer(space, seed)
    return SamplerProposer(space, settings.proposer.sampler, seed, settings.objective.direction)


def _with_llm(
    settings: Settings,
    space: SearchSpace,
    sampler: Proposer,
    exchanges: Path,
    sleep: Callable[[float], None],
) -> Proposer:
    llm = settings.llm
    if llm.base_url is None and llm.model is None and llm.replay is None:
        return WithoutLlm(sampler, wanted=settings.proposer.kind != "auto")
    card = build_card(settings, space)
    template = prompt_template(llm.prompt)
    require_room(card, template, llm.prompt_tokens)
    replay = Replay(Workspace(llm.replay).exchanges) if llm.replay is not None else None
    advisor = Advisor(
        space,
        card,
        replay or Endpoint(llm, sleep),
        ExchangeLog(exchanges, llm.prices),
        llm.repair_attempts,
        template=template,
        prompt_tokens=llm.prompt_tokens,
        tools=llm.tools,
    )
    if settings.proposer.kind == "llm":
        return LlmProposer(advisor, sampler)
    return HybridProposer(space, advisor, sampler, quota(settings.loop))


def build_card(settings: Settings, space: SearchSpace) -> TaskCard:
    """The task as the LLM is told of it."""
    return task_card(
        space,
        settings.objective.metric,
        settings.objective.direction,
        quota(settings.loop),
        settings.experiment.description,
        settings.training.budget,
        _hardware(settings),
        settings.stop.node_hours,
        Second.of(settings),
    )


def _hardware(settings: Settings) -> str:
    """What one trial gets, as far as the configuration tells."""
    resources = settings.cluster.resources
    kind = f" {resources.gpu_type}" if resources.gpu_type else ""
    each = [
        f"{amount}{unit}"
        for amount, unit in ((resources.gpus, f"{kind} GPUs"), (resources.cpus, " CPU cores"))
        if amount is not None
    ]
    words = count(resources.nodes, "node") + (f" with {' and '.join(each)} each" if each else "")
    if resources.walltime is not None:
        words += f", {duration(resources.walltime)} at most"
    return words
