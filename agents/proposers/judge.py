"""What becomes of an LLM's answer: each proposal is taken, or refused with the reason. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agents.errors import LlmError, ProposalRejected
from agents.proposers.answer import Suggestion, plain_text, read_answer, withheld
from agents.proposers.chat import Reply
from agents.proposers.edges import hugging
from agents.proposers.meant import as_meant
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView
from training.contract import ParameterValue

MOST_JUDGED = 4
"""Proposals that are looked at for each one that is wanted; some models write many."""
MAX_REASON = 200
"""Characters of one reason for a refusal."""

Objection: TypeAlias = Callable[[Proposal], str | None]


def agreed(proposal: Proposal) -> str | None:
    """No objection."""
    return None


@dataclass
class Verdict:
    """What became of one answer."""

    accepted: list[Proposal] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    objections: int = 0
    """Faults that are objections to a proposal that is valid."""

    @property
    def reason(self) -> str:
        """All faults in one line."""
        return " | ".join(self.faults)

    @property
    def is_objection(self) -> bool:
        """Whether nothing but objections stands against what was proposed."""
        return self.objections == len(self.faults)


class Judge:
    """Takes proposals that lie in the space, repeat no trial, hug no corner and meet no objection."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def judge(
        self,
        reply: Reply,
        wanted: int,
        view: StudyView,
        taken: Sequence[Proposal] = (),
        objects: Objection = agreed,
    ) -> Verdict:
        """The first `wanted` good proposals of an answer, and what is wrong with those before them.

        `taken`: of earlier answers, not to be repeated. `objects` tells what is wrong with a valid
        proposal beside the space, or None.
        """
        verdict = Verdict()
        try:
            suggestions = read_answer(reply.text, self._space.names)
        except LlmError as error:
            verdict.faults.append(f"{error}{withheld(reply.text, reply.finish_reason)}")
            return verdict
        for suggestion in suggestions[: MOST_JUDGED * wanted]:
            if len(verdict.accepted) == wanted:
                return verdict
            try:
                known = [*taken, *verdict.accepted]
                verdict.accepted.append(self._checked(suggestion, view, known, objects))
            except ProposalRejected as error:
                verdict.objections += isinstance(error, _Objected)
                reasons = [plain_text(reason, MAX_REASON) for reason in error.reasons]
                verdict.faults.append("; ".join(reasons))
        if not verdict.faults and len(suggestions) < wanted:
            verdict.faults.append(f"{wanted} proposals were asked for, {len(suggestions)} came")
        return verdict

    def _checked(
        self,
        suggestion: Suggestion,
        view: StudyView,
        known: Sequence[Proposal],
        objects: Objection,
    ) -> Proposal:
        parameters = self._space.validate(self._applying(suggestion.parameters))
        repeated = self._repeated(parameters, view, known)
        if repeated is not None:
            raise ProposalRejected([repeated])
        cornered = hugging(self._space, view, parameters)
        if cornered is not None:
            raise ProposalRejected([cornered])
        proposal = Proposal(
            parameters, "llm", rationale=suggestion.rationale, predicted=suggestion.predicted
        )
        objection = objects(proposal)
        if objection is not None:
            raise _Objected([objection])
        return proposal

    def _applying(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As it was meant, and without values that mean nothing beside the others (a momentum with Adam): many a server
        makes a model write one for each key."""
        known = self._space.parameters
        meant = as_meant(known, given)
        active = self._space.active(meant)
        return {n: value for n, value in meant.items() if n in active or n not in known}

    def _repeated(
        self,
        parameters: Mapping[str, ParameterValue],
        view: StudyView,
        known: Sequence[Proposal],
    ) -> str | None:
        from agents.proposers.encoding import Encoder

        encoder = Encoder(self._space.distributions())
        for trial in view.trials:
            if self._space.same(parameters, trial.parameters):
                return f"run {trial.number} has had exactly these values ({trial.state.value})"
            known_here = self._space.contains(trial.parameters)
            if known_here and encoder.near(parameters, trial.parameters):
                return f"run {trial.number} is so near that nothing new would be learnt"
        if any(encoder.near(parameters, other.parameters) for other in known):
            return "your answer has these values twice"
        return None


class _Objected(ProposalRejected):
    """Inside the space, and objected to."""
