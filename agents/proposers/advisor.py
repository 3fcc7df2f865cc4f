"""An LLM that is asked for proposals: the question, the answer, what was wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agents.errors import LlmError, ProposalRejected
from agents.proposers.answer import Suggestion, plain_text, read_answer
from agents.proposers.breaker import Breaker
from agents.proposers.endpoint import Endpoint, EndpointAway, Message, Reply
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.prompt import TaskCard, answer_schema, render_prompt
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView, Trial
from training.contract import ParameterValue

MAX_QUOTED = 4_000
"""Characters of its own answer that the LLM sees again with what was wrong with it."""

Objection: TypeAlias = Callable[[Proposal], str | None]


def agreed(proposal: Proposal) -> str | None:
    """No objection."""
    return None


@dataclass(frozen=True)
class Advice:
    """What a consultation came to."""

    accepted: Sequence[Proposal]
    trouble: str | None = None
    """Why there are fewer than were asked for."""
    is_fault: bool = False
    """Whether the endpoint or its answers are to blame, rather than an objection."""


class Advisor:
    """Asks an LLM for proposals and lets none pass unseen. Each exchange is kept.

    What the LLM proposes passes `SearchSpace.validate`, repeats no trial and is not objected to,
    or it goes back with the reasons, at most `repair_attempts` times.
    """

    def __init__(
        self,
        space: SearchSpace,
        card: TaskCard,
        endpoint: Endpoint,
        log: ExchangeLog,
        repair_attempts: int,
    ) -> None:
        self._space = space
        self._card = card
        self._endpoint = endpoint
        self._log = log
        self._repair_attempts = repair_attempts
        self._breaker = Breaker()

    def consult(
        self,
        view: StudyView,
        count: int,
        hints: Sequence[str] = (),
        objects: Objection = agreed,
        occasion: str = "",
    ) -> Advice:
        """At most `count` proposals of the LLM, and why there are not more.

        `hints`: lines about candidates, shown to the LLM. `objects` tells what is wrong with a
        valid proposal beside the space, or None. `occasion`: why the LLM is asked, for the record.
        """
        talk = _Talk(view, count, hints, objects, occasion)
        if self._breaker.lets_pass():
            self._hold(talk)
        else:
            talk.trouble = self._breaker.reason
        if len(talk.accepted) == count:
            return Advice(talk.accepted)
        return Advice(talk.accepted, talk.trouble, is_fault=not talk.objected)

    def _hold(self, talk: _Talk) -> None:
        """Ask, and ask again about what was wrong, until the slots are full or it is enough."""
        messages: list[Message] = [
            {
                "role": "user",
                "content": render_prompt(self._card, talk.view, talk.count, talk.hints),
            }
        ]
        for _ in range(1 + self._repair_attempts):
            missing = talk.count - len(talk.accepted)
            try:
                reply = self._ask(talk, messages, missing)
            except EndpointAway as error:
                talk.trouble, talk.objected = str(error), False
                self._breaker.failed(talk.trouble)
                return
            self._breaker.worked()
            verdict = self._judge(talk, reply, missing)
            self._keep(talk, messages, reply=reply, verdict=verdict)
            if len(talk.accepted) == talk.count:
                return
            talk.objected = verdict.objections == len(verdict.faults)
            talk.trouble = f"the LLM's proposal was refused: {plain_text(verdict.reason, 300)}"
            messages += [
                {"role": "assistant", "content": reply.text[:MAX_QUOTED] or "(nothing)"},
                {"role": "user", "content": _complaint(verdict, talk)},
            ]

    def _ask(self, talk: _Talk, messages: Sequence[Message], missing: int) -> Reply:
        schema = answer_schema(self._space, missing)
        try:
            return self._endpoint.ask(messages, schema, patient=self._breaker.is_closed)
        except EndpointAway as error:
            self._keep(talk, messages, error=str(error))
            raise

    def _judge(self, talk: _Talk, reply: Reply, missing: int) -> _Verdict:
        """Take over what is good; the verdict tells what was not."""
        try:
            suggestions = read_answer(reply.text, self._space.names)
        except LlmError as error:
            cut = reply.finish_reason == "length"
            hint = "; it was cut off: be brief (a person can raise llm.max_tokens)" if cut else ""
            return _Verdict([f"{error}{hint}"])
        verdict = _Verdict()
        for suggestion in suggestions[:missing]:
            try:
                proposal = self._checked(talk, suggestion)
            except ProposalRejected as error:
                verdict.objections += isinstance(error, _Objected)
                reasons = [plain_text(reason, 200) for reason in error.reasons]
                verdict.faults.append("; ".join(reasons))
                continue
            talk.accepted.append(proposal)
            verdict.accepted.append(dict(proposal.parameters))
        if not verdict.faults and len(suggestions) < missing:
            verdict.faults.append(f"{missing} proposals were asked for, {len(suggestions)} came")
        return verdict

    def _checked(self, talk: _Talk, suggestion: Suggestion) -> Proposal:
        parameters = self._space.validate(suggestion.parameters)
        repeated = self._repeated(talk, parameters)
        if repeated is not None:
            raise ProposalRejected([repeated])
        proposal = Proposal(
            parameters, "llm", rationale=suggestion.rationale, predicted=suggestion.predicted
        )
        objection = talk.objects(proposal)
        if objection is not None:
            raise _Objected([objection])
        return proposal

    def _repeated(self, talk: _Talk, parameters: dict[str, ParameterValue]) -> str | None:
        from agents.proposers.encoding import Encoder

        encoder = Encoder(self._space.distributions())
        for trial in talk.view.trials:
            if self._space.same(parameters, trial.parameters):
                return f"run {trial.number} has had exactly these values ({trial.state.value})"
            if self._in_space(trial) and encoder.near(parameters, trial.parameters):
                return f"run {trial.number} is so near that nothing new would be learnt"
        if any(encoder.near(parameters, other.parameters) for other in talk.accepted):
            return "your answer has these values twice"
        return None

    def _in_space(self, trial: Trial) -> bool:
        """False for trials from before the space was changed."""
        try:
            self._space.validate(trial.parameters)
        except ProposalRejected:
            return False
        return True

    def _keep(
        self,
        talk: _Talk,
        messages: Sequence[Message],
        *,
        reply: Reply | None = None,
        verdict: _Verdict | None = None,
        error: str | None = None,
    ) -> None:
        hide = self._endpoint.hide_secrets
        exchange: dict[str, Any] = {
            "asked_for": talk.count - len(talk.accepted) + len(verdict.accepted if verdict else ()),
            "occasion": talk.occasion,
            "endpoint": self._endpoint.name,
            "messages": [{**one, "content": hide(one["content"])} for one in messages],
            "error": error,
        }
        if reply is not None:
            exchange |= {
                "answer": hide(reply.text),
                "method": reply.method,
                "finish_reason": reply.finish_reason,
                "usage": dict(reply.usage),
                "seconds": reply.seconds,
            }
        if verdict is not None:
            exchange |= {"accepted": verdict.accepted, "refused": verdict.faults}
        self._log.keep(len(talk.view.trials), exchange)


@dataclass
class _Talk:
    """One consultation."""

    view: StudyView
    count: int
    hints: Sequence[str]
    objects: Objection
    occasion: str
    accepted: list[Proposal] = field(default_factory=list)
    trouble: str | None = None
    objected: bool = False
    """Whether the trouble is nothing but objections."""


class _Objected(ProposalRejected):
    """Inside the space, and objected to."""


@dataclass
class _Verdict:
    """What became of one answer."""

    faults: list[str] = field(default_factory=list)
    objections: int = 0
    accepted: list[dict[str, ParameterValue]] = field(default_factory=list)

    @property
    def reason(self) -> str:
        return " | ".join(self.faults)


def _complaint(verdict: _Verdict, talk: _Talk) -> str:
    missing = talk.count - len(talk.accepted)
    faults = "\n".join(f"- {fault}" for fault in verdict.faults)
    taken = f"{len(verdict.accepted)} were taken. " if verdict.accepted else ""
    plural = "s" if missing > 1 else ""
    return (
        f"{taken}This was wrong:\n{faults}\n"
        f"Answer again in the same form, with exactly {missing} new proposal{plural}."
    )
