"""An LLM as a gated advisor over an optimizer that is always on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agents.proposers import Proposed, Proposer
from agents.proposers.advisor import Advisor
from agents.proposers.judge import Objection, agreed
from agents.proposers.llm import Filling
from agents.proposers.standing import leads, standing, start_trials
from agents.proposers.timid import timid
from agents.space import SearchSpace
from agents.trial import StudyView

if TYPE_CHECKING:
    from agents.proposers.gate import Gate

POOL = 6
"""Candidates of the sampler that the LLM sees."""


class HybridProposer:
    """Some slots are the LLM's (`standing`), the others the sampler's, which fills all gaps too.

    In its slots the LLM sees the sampler's candidates with what a Gaussian process expects of them.
    It may take one or propose its own; the gate refuses one that would be clearly worse even with
    luck. An LLM that never gets anything through leaves exactly the sampler's search.
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
        if len(view.with_earlier.completed) < start_trials(self._dimensions):
            return None
        from agents.proposers.gate import Gate

        pool = self._sampler.propose(view, POOL).proposals
        return Gate.of(self._space, view, pool)
