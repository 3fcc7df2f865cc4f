"""An LLM as a gated advisor over an optimizer that is always on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agents.proposers import Proposed, Proposer
from agents.proposers.advisor import Advisor
from agents.proposers.judge import Objection, agreed
from agents.proposers.llm import Filling
from agents.proposers.standing import leads, standing, start_trials
from agents.proposers.timid import timid
from agents.report.numbers import number, parameters_text
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView
from training.contract import ParameterValue

if TYPE_CHECKING:
    from agents.proposers.surrogate import Surrogate

POOL = 6
"""Candidates of the sampler that the LLM sees."""
OPTIMISM = 1.0
"""Standard deviations by which an uncertain point is credited, for both sides alike."""
LENIENCY = 0.5
"""Standard deviations of the objective by which the LLM may be worse while little is known; it
shrinks with the square root of the trials."""


class HybridProposer:
    """Some slots are the LLM's (`standing`), the others the sampler's, which fills all gaps too.

    In its slots the LLM sees the sampler's candidates with what a Gaussian process expects of them.
    It may take one or propose its own; the gate refuses one whose upper bound is clearly below the
    best candidate's. An LLM that never gets anything through leaves exactly the sampler's search.
    """

    def __init__(
        self, space: SearchSpace, advisor: Advisor, sampler: Proposer, planned: int
    ) -> None:
        self._space = space
        self._advisor = advisor
        self._sampler = sampler
        self._filling = Filling(sampler)
        self._planned = planned
        self._dimensions = sum(not d.single() for d in space.distributions().values())

    def propose(self, view: StudyView, count: int) -> Proposed:
        earned = standing(view, count, self._planned, self._dimensions)
        slots = earned.slots
        if slots == 0:
            return self._sampler.propose(view, count)
        gate = self._gate(view)
        hints = gate.hints() if gate is not None else ()
        objection = gate.objection if gate is not None else self._at_first(view)
        expected = gate.expected if gate is not None else None
        advice = self._advisor.consult(view, slots, hints, objection, earned.reason, expected)
        if gate is not None:
            advice = replace(advice, accepted=[gate.marked(one) for one in advice.accepted])
        return self._filling.around(advice, view, count, slots)

    def _at_first(self, view: StudyView) -> Objection:
        """What is asked of the LLM's seeds; one whose own run is the best may stay near it."""
        if leads(view):
            return agreed
        return lambda proposal: timid(self._space, view, proposal.parameters)

    def _gate(self, view: StudyView) -> Gate | None:
        if len(view.completed) < start_trials(self._dimensions):
            return None
        from agents.proposers.surrogate import Surrogate

        surrogate = Surrogate.of(self._space, view)
        if surrogate is None:
            return None
        pool = self._sampler.propose(view, POOL).proposals
        return Gate(surrogate, pool, len(view.completed), view.direction == "minimize")


class Gate:
    """Takes or refuses what an LLM proposes, by the posterior of a model of the runs so far."""

    def __init__(
        self, surrogate: Surrogate, pool: Sequence[Proposal], completed: int, minimize: bool
    ) -> None:
        self._surrogate = surrogate
        self._pool = pool
        self._sign = -1.0 if minimize else 1.0
        self._bar = max((self._bound(one) for one in pool), default=float("-inf"))
        self._slack = LENIENCY * surrogate.scale * (8 / max(8, completed)) ** 0.5

    def hints(self) -> list[str]:
        """The candidates that would pass, a line each, for the LLM."""
        passing = [one for one in self._pool if self.objection(one) is None]
        return [
            f"{parameters_text(one.parameters)}; expected {self._expected(one)}" for one in passing
        ]

    def marked(self, proposal: Proposal) -> Proposal:
        """The proposal; as adopted, where it is one of the candidates."""
        near = self._surrogate.encoder.near
        is_candidate = any(near(proposal.parameters, one.parameters) for one in self._pool)
        return replace(proposal, adopted=is_candidate)

    def objection(self, proposal: Proposal) -> str | None:
        """Why the proposal is refused, or None."""
        if self._bound(proposal) >= self._bar - self._slack:
            return None
        best = max(self._pool, key=self._bound)
        return (
            f"the model of the runs so far expects {self._expected(proposal)} here, and "
            f"{self._expected(best)} of the candidate {parameters_text(best.parameters)}"
        )

    def expected(self, parameters: Mapping[str, ParameterValue]) -> str:
        """What the model expects of a point, in words."""
        return self._expected(Proposal(parameters, "llm"))

    def _bound(self, proposal: Proposal) -> float:
        expected = self._surrogate.predict(proposal.parameters)
        return expected.mean + OPTIMISM * expected.deviation

    def _expected(self, proposal: Proposal) -> str:
        expected = self._surrogate.predict(proposal.parameters)
        return f"{number(self._sign * expected.mean, 4)} +- {number(expected.deviation, 2)}"
