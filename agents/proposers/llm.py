"""An LLM as a proposer, with a sampler behind it for every slot that the LLM leaves empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.errors import LlmError, ProposalRejected
from agents.proposers import Proposed, Proposer
from agents.proposers.answer import Suggestion, plain_text, read_answer
from agents.proposers.endpoint import Endpoint, EndpointAway, Message, Reply
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.pending import with_pending
from agents.proposers.prompt import TaskCard, answer_schema, render_prompt
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView
from training.contract import ParameterValue

MAX_PAUSE = 15
"""Calls of `propose` at most during which an endpoint that keeps failing is left alone."""

MAX_QUOTED = 4_000
"""Characters of its own answer that the LLM sees again with what was wrong with it."""


class LlmProposer:
    """Asks an LLM; the sampler fills what it leaves empty, with the reason in each proposal.

    What the LLM proposes passes `SearchSpace.validate` and repeats no trial, or it goes back with
    the reasons, at most `repair_attempts` times. Where the endpoint is away the sampler proposes
    everything, and a notice says so once, and once more when it is back. Each exchange is kept.
    """

    def __init__(
        self,
        space: SearchSpace,
        card: TaskCard,
        endpoint: Endpoint,
        sampler: Proposer,
        log: ExchangeLog,
        repair_attempts: int,
    ) -> None:
        self._space = space
        self._card = card
        self._endpoint = endpoint
        self._sampler = sampler
        self._log = log
        self._repair_attempts = repair_attempts
        self._breaker = Breaker()
        self._said: str | None = None

    def propose(self, view: StudyView, count: int) -> Proposed:
        talk = _Talk(view, count)
        if self._breaker.lets_pass():
            self._hold(talk)
        missing = count - len(talk.accepted)
        if missing == 0:
            return Proposed(talk.accepted, view.sampler_state, self._notices(None, ""))
        reason = talk.trouble or self._breaker.reason
        rest = self._sampler.propose(with_pending(view, talk.accepted), missing)
        filled = [replace(proposal, fallback_reason=reason) for proposal in rest.proposals]
        filled_text = f"The sampler filled {missing} of {count} slots in place of the LLM"
        notices = [*self._notices(reason, filled_text), *rest.notices]
        return Proposed([*talk.accepted, *filled], rest.sampler_state, notices)

    def _hold(self, talk: _Talk) -> None:
        """Ask, and ask again about what was wrong, until the slots are full or it is enough."""
        messages: list[Message] = [
            {"role": "user", "content": render_prompt(self._card, talk.view, talk.count)}
        ]
        for _ in range(1 + self._repair_attempts):
            missing = talk.count - len(talk.accepted)
            try:
                reply = self._ask(talk, messages, missing)
            except EndpointAway as error:
                talk.trouble = str(error)
                self._breaker.failed(talk.trouble)
                return
            self._breaker.worked()
            verdict = self._judge(talk, reply, missing)
            self._keep(talk, messages, reply=reply, verdict=verdict)
            if len(talk.accepted) == talk.count:
                return
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
        return Proposal(
            parameters, "llm", rationale=suggestion.rationale, predicted=suggestion.predicted
        )

    def _repeated(self, talk: _Talk, parameters: dict[str, ParameterValue]) -> str | None:
        for trial in talk.view.trials:
            if self._space.same(parameters, trial.parameters):
                return f"run {trial.number} has had exactly these values ({trial.state.value})"
        if any(self._space.same(parameters, other.parameters) for other in talk.accepted):
            return "your answer has these values twice"
        return None

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

    def _notices(self, reason: str | None, filled: str) -> list[str]:
        """What a person should be told: the trouble when it begins, and its end."""
        before, self._said = self._said, reason
        if reason is not None and before is None:
            return [f"{filled}: {reason}."]
        if reason is None and before is not None:
            return ["The LLM proposes again."]
        return []


@dataclass
class _Talk:
    """One call of `propose`."""

    view: StudyView
    count: int
    accepted: list[Proposal] = field(default_factory=list)
    trouble: str | None = None


@dataclass
class _Verdict:
    """What became of one answer."""

    faults: list[str] = field(default_factory=list)
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


class Breaker:
    """Leaves an endpoint that keeps failing alone for a while, counted in calls.

    After the n-th failure in a row 2^(n-1) - 1 calls are let off, at most `MAX_PAUSE`.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._pause = 0
        self.reason = ""
        """Of the last failure."""

    @property
    def is_closed(self) -> bool:
        """Whether the last call worked."""
        return self._failures == 0

    def lets_pass(self) -> bool:
        """Whether to ask this time."""
        if self._pause == 0:
            return True
        self._pause -= 1
        return False

    def failed(self, reason: str) -> None:
        """The endpoint was asked and did not answer."""
        self._failures += 1
        self._pause = min(MAX_PAUSE, 2 ** min(self._failures - 1, 10) - 1)
        self.reason = reason

    def worked(self) -> None:
        """The endpoint answered, whatever it said."""
        self._failures = 0
        self._pause = 0


class WithoutLlm:
    """The sampler, where an LLM might have proposed and none is configured; says so once."""

    def __init__(self, sampler: Proposer, *, wanted: bool) -> None:
        """`wanted`: the configuration asks for an LLM by name."""
        self._sampler = sampler
        self._reason = "no LLM endpoint is configured" if wanted else None
        self._notices: Sequence[str] = (
            "No LLM endpoint is configured, so the sampler proposes: set llm.base_url and "
            "llm.model, or proposer.kind to sampler.",
        )

    def propose(self, view: StudyView, count: int) -> Proposed:
        proposed = self._sampler.propose(view, count)
        proposals = [replace(one, fallback_reason=self._reason) for one in proposed.proposals]
        notices, self._notices = self._notices, ()
        return replace(proposed, proposals=proposals, notices=[*notices, *proposed.notices])
