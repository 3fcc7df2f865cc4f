"""What stands between an LLM's proposals and the cluster: a model of the runs so far.

A proposal is refused where even with luck it would be clearly worse than what is known without it: with
one objective than the sampler's best candidate, with two than a run that is better in both.

Imports NumPy, SciPy and Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import gt
from typing import Protocol

from agents.proposers.goals import is_constant, is_logarithmic, second_alone
from agents.proposers.surrogate import Surrogate, inside
from agents.report.numbers import number, parameters_text
from agents.space import SearchSpace
from agents.tradeoff import on_the_front
from agents.trial import Proposal, StudyView, Trial, sign
from training.contract import ParameterValue

OPTIMISM = 1.0
"""Standard deviations by which an uncertain point is credited, for both sides alike."""
LENIENCY = 0.5
"""Standard deviations of the objective by which the LLM may be worse while little is known; it
shrinks with the square root of the trials."""

Point = Mapping[str, ParameterValue]


class Doubt(Protocol):
    """What is asked about a proposal."""

    def objection(self, proposal: Proposal) -> str | None:
        """Why the proposal is refused, or None."""
        ...

    def expected(self, parameters: Point) -> str:
        """What the model expects of a point, in words."""
        ...


@dataclass(frozen=True)
class Gate:
    """Takes or refuses what an LLM proposes, and shows it what the sampler would do."""

    doubt: Doubt
    pool: Sequence[Proposal]
    """The sampler's candidates."""
    surrogate: Surrogate

    @classmethod
    def of(cls, space: SearchSpace, view: StudyView, pool: Sequence[Proposal]) -> Gate | None:
        """None while too little is known."""
        known = view.with_earlier
        first = Surrogate.of(space, known)
        if first is None:
            return None
        # A run outside the space, which was changed since, is nothing that could be had instead.
        here = inside(space, known)
        if view.second is None or is_constant(here):
            return cls(OneDoubt(first, pool, known), pool, first)
        second = Surrogate.of(space, second_alone(here))
        if second is None:
            return None
        return cls(TwoDoubts(first, second, here, len(view.earlier)), pool, first)

    def hints(self) -> list[str]:
        """The candidates that would pass, a line each, for the LLM."""
        passing = [one for one in self.pool if self.objection(one) is None]
        return [
            f"{parameters_text(one.parameters)}; expected {self.expected(one.parameters)}"
            for one in passing
        ]

    def marked(self, proposal: Proposal) -> Proposal:
        """The proposal; as adopted, where it is one of the candidates."""
        near = self.surrogate.encoder.near
        is_candidate = any(near(proposal.parameters, one.parameters) for one in self.pool)
        return replace(proposal, adopted=is_candidate)

    def objection(self, proposal: Proposal) -> str | None:
        return self.doubt.objection(proposal)

    def expected(self, parameters: Point) -> str:
        return self.doubt.expected(parameters)


class OneDoubt:
    """Whether the upper bound of a proposal is clearly below the best candidate's."""

    def __init__(self, surrogate: Surrogate, pool: Sequence[Proposal], view: StudyView) -> None:
        self._surrogate = surrogate
        self._pool = pool
        self._sign = sign(view.direction)
        self._bar = max((self._bound(one) for one in pool), default=float("-inf"))
        self._slack = surrogate.scale * _slack(view)

    def objection(self, proposal: Proposal) -> str | None:
        if self._bound(proposal) >= self._bar - self._slack:
            return None
        best = max(self._pool, key=self._bound)
        return (
            f"the model of the runs so far expects {self.expected(proposal.parameters)} here, and "
            f"{self.expected(best.parameters)} of the candidate {parameters_text(best.parameters)}"
        )

    def expected(self, parameters: Point) -> str:
        expected = self._surrogate.predict(parameters)
        return f"{number(self._sign * expected.mean, 4)} +- {number(expected.deviation, 2)}"

    def _bound(self, proposal: Proposal) -> float:
        expected = self._surrogate.predict(proposal.parameters)
        return expected.mean + OPTIMISM * expected.deviation


class TwoDoubts:
    """Whether some run on the front is better than a proposal's upper bounds, in both objectives."""

    def __init__(
        self, first: Surrogate, second: Surrogate, view: StudyView, earlier: int = 0
    ) -> None:
        """`earlier`: so many trials, the first ones, are of other searches."""
        assert view.second is not None
        self._earlier = earlier
        self._first, self._second, self._view = first, second, view
        self._name = view.second.metric
        self._signs = sign(view.direction), sign(view.second.direction)
        self._is_logarithmic = is_logarithmic(view)
        self._slack = _slack(view)
        self._front = [(trial, self._means(trial.parameters)) for trial in on_the_front(view)]

    def objection(self, proposal: Proposal) -> str | None:
        bounds = self._bounds(proposal.parameters)
        better = next((t for t, at in self._front if all(map(gt, at, bounds))), None)
        if better is None:
            return None
        return (
            f"the model of the runs so far expects {self.expected(proposal.parameters)} here, and "
            f"{self.expected(better.parameters)} of {self._name_of(better)}, which is better in both"
        )

    def expected(self, parameters: Point) -> str:
        first, second = self._first.predict(parameters), self._second.predict(parameters)
        other = self._signs[1] * second.mean
        if self._is_logarithmic:
            other, doubt = math.exp(other), f"a factor of {number(math.exp(second.deviation), 3)}"
        else:
            doubt = f"+- {number(second.deviation, 2)}"
        mean = number(self._signs[0] * first.mean, 4)
        return f"{mean} +- {number(first.deviation, 2)}, {self._name} {number(other, 3)} ({doubt})"

    def _name_of(self, trial: Trial) -> str:
        number = trial.number - self._earlier
        return f"run {number}" if number >= 0 else "a run of an earlier search"

    def _bounds(self, parameters: Point) -> list[float]:
        """How good a run of the front must be in each objective to be clearly better."""
        models = self._first, self._second
        pairs = [(model, model.predict(parameters)) for model in models]
        return [p.mean + OPTIMISM * p.deviation + self._slack * m.scale for m, p in pairs]

    def _means(self, parameters: Point) -> tuple[float, float]:
        return self._first.predict(parameters).mean, self._second.predict(parameters).mean


def _slack(view: StudyView) -> float:
    """In standard deviations of the objective."""
    return LENIENCY * math.sqrt(8 / max(8, len(view.completed)))
