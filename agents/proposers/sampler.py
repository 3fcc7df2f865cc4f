"""Samplers as a proposer: our own by default, and Optuna's TPE, GP, CMA-ES, QMC, random search."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agents.config.model import SamplerSettings
from agents.errors import ConfigurationError, ProposalRejected
from agents.proposers import Proposed
from agents.proposers.grid import Grid, small_grid
from agents.proposers.pending import with_pending
from agents.space import SearchSpace
from agents.trial import Direction, Proposal, StudyView

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from agents.proposers.improvement import Improvement
    from agents.proposers.mirror import Draw, Mirror

SAMPLER_DRAWS = 16
"""Draws of the configured sampler for one slot. A draw is refused when it breaks a constraint or
repeats a trial; a model that is sure of itself may well suggest the same point each time."""

RANDOM_DRAWS = 2000
"""Uniform draws after that. Where none keeps the constraints, at most about one point in 400 does
(with 99% confidence), and a person should rewrite the space."""

_NAMES = {
    "auto": "expected improvement of a Gaussian process",
    "tpe": "TPE",
    "gp": "Gaussian process",
    "cmaes": "CMA-ES",
    "qmc": "scrambled Sobol sequence",
    "random": "random search",
}


_FRONT = "expected growth of the Pareto front by Gaussian processes"


class SamplerProposer:
    """Asks a sampler about the history, Optuna's about a mirror of it.

    Deterministic: a proposal depends on the settings, the seed and the view alone, never on
    earlier calls. Asking for two at once gives what asking for one gives, and then for one more
    with the first running and its `sampler_state` stored.

    Raises ConfigurationError, at construction, where the sampler needs a library that is missing,
    and from `propose`, where no point of the space keeps the constraints.
    """

    def __init__(
        self, space: SearchSpace, settings: SamplerSettings, seed: int, direction: Direction
    ) -> None:
        _require_libraries(settings)
        self._space = space
        self._settings = settings
        self._seed = seed
        self._direction = direction
        self._mirror: Mirror | None = None
        self._small_grid: Grid | None = None
        self._improvement: Improvement | None = None

    def propose(self, view: StudyView, count: int) -> Proposed:
        view = view.with_earlier
        mirror = self._synced(view)
        proposals: list[Proposal] = []
        for _ in range(count):
            proposal = self._one(mirror, view)
            view = with_pending(view, [proposal])
            mirror.add(view.trials[-1])
            proposals.append(proposal)
        return Proposed(proposals, sampler_state=mirror.study_attrs)

    def _synced(self, view: StudyView) -> Mirror:
        from agents.proposers.mirror import Mirror

        if self._mirror is None:
            self._mirror = Mirror(self._space, self._direction, view.second)
            self._small_grid = small_grid(self._space, self._seed)
        self._mirror.sync(view)
        return self._mirror

    def _one(self, mirror: Mirror, view: StudyView) -> Proposal:
        name, draws = self._draws(mirror, view)
        found = self._search(mirror, draws)
        return Proposal(
            parameters=found.draw.parameters,
            origin="sampler",
            rationale=f"{name}{found.remark}",
            sampler_attrs=found.draw.attrs,
        )

    def _draws(self, mirror: Mirror, view: StudyView) -> tuple[str, Iterator[Draw]]:
        """What the sampler would try next, the best first, not validated; and its name."""
        settings = self._settings
        if settings.kind == "auto":
            from agents.proposers.improvement import Improvement
            from agents.proposers.mirror import Draw

            if self._improvement is None:
                self._improvement = Improvement(self._space, self._seed, settings.startup_trials)
            if self._improvement.covers(view):
                number = len(view.trials)
                ranked = self._improvement.ranked(view, ask_seed(self._seed, number))
                if ranked is None:
                    return _NAMES["qmc"], iter([Draw(self._improvement.spread(view), {})])
                name = _NAMES["auto"] if view.second is None else _FRONT
                return name, (Draw(point, {}) for point in ranked)
            settings = settings.model_copy(update={"kind": "tpe"})
        sampler = make_sampler(
            settings,
            self._space,
            seed=self._seed,
            number=mirror.next_number,
            conditional=mirror.is_conditional,
        )
        return _NAMES[settings.kind], (mirror.ask(sampler) for _ in range(SAMPLER_DRAWS))

    def _search(self, mirror: Mirror, draws: Iterator[Draw]) -> _Found:
        """The sampler's first acceptable draw; else an untried point; else a repeat.

        A repeat is better than an idle slot: it measures the noise, of the model's choice or, without
        one, of the point that was tried least.
        """
        repeat: Draw | None = None
        refused: Sequence[str] = ()
        for raw in draws:
            try:
                draw = self._allowed(raw)
            except ProposalRejected as error:
                refused = error.reasons
                continue
            if not mirror.seen(draw.parameters):
                return _Found(draw)
            repeat = repeat or draw
        others: list[Draw] = []
        for draw in self._others(mirror):
            if not mirror.seen(draw.parameters):
                return _Found(draw, "; its draws broke constraints or repeated, so another point")
            others.append(draw)
        if repeat is None and not others:
            raise _nothing_allowed(refused)
        repeat = repeat or min(others, key=lambda draw: mirror.times(draw.parameters))
        return _Found(repeat, "; every point has been tried, so a repeat")

    def _allowed(self, draw: Draw) -> Draw:
        """The draw, its values in their exact types. Raises ProposalRejected."""
        return replace(draw, parameters=self._space.validate(draw.parameters))

    def _others(self, mirror: Mirror) -> Iterator[Draw]:
        """Allowed points without the model: all of a small space, random ones of a large one."""
        from optuna.samplers import RandomSampler

        from agents.proposers.mirror import Draw

        if self._small_grid is not None:
            yield from (Draw(point, {}) for point in self._small_grid.points())
            return
        uniform = RandomSampler(seed=ask_seed(self._seed, mirror.next_number))
        for _ in range(RANDOM_DRAWS):
            with suppress(ProposalRejected):
                yield self._allowed(mirror.ask(uniform))


def _nothing_allowed(refused: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        "constraints: no point of the search space keeps them in "
        f"{SAMPLER_DRAWS + RANDOM_DRAWS} draws (the last {'; '.join(refused)}): widen the ranges, "
        "or write the parameters so that most of the space is allowed (a ratio of two)"
    )


@dataclass(frozen=True)
class _Found:
    draw: Draw
    remark: str = ""


def ask_seed(seed: int, number: int) -> int:
    """The seed with which the sampler draws trial `number` of a run with this seed (32 bits).

    A seed for each trial, not one stream for the run: the stream's position would be lost in a
    crash.
    """
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def make_sampler(
    settings: SamplerSettings, space: SearchSpace, *, seed: int, number: int, conditional: bool
) -> BaseSampler:
    """A fresh Optuna sampler for trial `number` (samplers keep random state between draws).

    `conditional`: trials of the history have different sets of parameters.
    """
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    own = ask_seed(seed, number)
    startup = settings.startup_trials
    options: dict[str, Any] = {} if startup is None else {"n_startup_trials": startup}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match settings.kind:
            case "tpe" if conditional:
                return samplers.TPESampler(
                    seed=own, multivariate=True, group=True, constant_liar=True, **options
                )
            case "tpe":
                from agents.proposers.mirror import joint_tpe_sampler

                return joint_tpe_sampler(space.distributions(), own, startup)
            case "gp":
                return samplers.GPSampler(seed=own, warn_independent_sampling=False, **options)
            case "cmaes":
                return samplers.CmaEsSampler(seed=own, warn_independent_sampling=False, **options)
            case "qmc":
                from agents.proposers.mirror import sobol_sampler

                return sobol_sampler(space.distributions(), seed)
            case _:
                return samplers.RandomSampler(seed=own)


def _require_libraries(settings: SamplerSettings) -> None:
    """Raise ConfigurationError where the sampler's library is not installed."""
    needs = {"gp": "torch", "cmaes": "cmaes", "qmc": "scipy"}.get(settings.kind)
    if needs is None or importlib.util.find_spec(needs) is not None:
        return
    extra = "pilothouse[training]" if needs == "torch" else needs
    raise ConfigurationError(
        f"proposer.sampler.kind: {settings.kind} needs {needs}, which is not installed here: "
        f"run `pip install '{extra}'`, or choose tpe"
    )
