"""An LLM that is asked for proposals: the question, the answer, what was wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from agents.config.model import ToolSettings
from agents.proposers.answer import plain_text, read_stop, without_thinking
from agents.proposers.breaker import Breaker
from agents.proposers.endpoint import EndpointAway, Message, Reply, ToolReply, ToolsRefused
from agents.proposers.evidence import evidence
from agents.proposers.exchanges import ExchangeLog, state_digest, thread_digest
from agents.proposers.grid import small_grid
from agents.proposers.judge import Judge, Objection, Verdict, agreed
from agents.proposers.prompt import (
    PROMPT_TOKENS,
    Evidence,
    Question,
    TaskCard,
    answer_schema,
    ask_for,
)
from agents.proposers.replay import Replay
from agents.proposers.tool_loop import CallsTools, LookingUp
from agents.proposers.tools import Expectation, RunTools, langchain_tools
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView
from training.contract import ParameterValue

if TYPE_CHECKING:
    from jinja2 import Template

MAX_QUOTED = 4_000
"""Characters of its own answer that the LLM sees again with what was wrong with it."""

USED_UP = "every point of the search space has been tried"

FEWEST_TO_LOOK_UP = 4
"""Runs that have ended before there is anything to look up."""


@dataclass(frozen=True)
class Advice:
    """What a consultation came to."""

    accepted: Sequence[Proposal]
    trouble: str | None = None
    """Why there are fewer than were asked for."""
    is_fault: bool = False
    """Whether the endpoint or its answers are to blame, rather than an objection."""
    stop: str | None = None
    """Why the LLM recommends to end the search, where it does."""
    notices: Sequence[str] = ()
    """What a person should be told beside it."""


class Answers(Protocol):
    """What is asked: an `Endpoint`, or a `Replay` of one."""

    name: str

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any], patient: bool) -> Reply:
        """Raises EndpointAway."""
        ...

    def hide_secrets(self, text: str) -> str: ...


class Advisor:
    """Asks an LLM for proposals and lets none pass unseen. Each exchange is kept.

    What the LLM proposes passes `SearchSpace.validate`, repeats no trial, hugs no corner and is not
    objected to, or it goes back with the reasons, at most `repair_attempts` times.
    """

    def __init__(
        self,
        space: SearchSpace,
        card: TaskCard,
        endpoint: Answers,
        log: ExchangeLog,
        repair_attempts: int,
        *,
        template: Template | None = None,
        prompt_tokens: int = PROMPT_TOKENS,
        tools: ToolSettings | None = None,
    ) -> None:
        """`template`, `prompt_tokens`: the question, if not the default one. `tools`: the budget for
        looking things up; None for no tools."""
        self._space = space
        self._judge = Judge(space)
        self._card = card
        self._endpoint = endpoint
        self._log = log
        self._repair_attempts = repair_attempts
        self._template = template
        self._prompt_tokens = prompt_tokens
        self._replay = endpoint if isinstance(endpoint, Replay) else None
        self._tools = tools if self._replay is None and tools and tools.calls else None
        self._breaker = Breaker()
        self._cut_short = False
        """Whether a person has been told that looking up ended early."""
        self._grid = small_grid(space, 0)
        self._told_used_up = False

    def consult(
        self,
        view: StudyView,
        count: int,
        hints: Sequence[str] = (),
        objects: Objection = agreed,
        occasion: str = "",
        expected: Expectation | None = None,
    ) -> Advice:
        """At most `count` proposals of the LLM, and why there are not more.

        `hints`: lines about candidates, shown to the LLM. `objects` tells what is wrong with a
        valid proposal beside the space, or None. `occasion`: why the LLM is asked, for the record.
        `expected`: what a model of the runs expects of a point, for the LLM to ask and for the
        record. Raises ReplayDiffers.
        """
        talk = _Talk(view, count, objects, occasion, state_digest(view, count), expected)
        if self._replay is not None:
            self._replay.turn_to(view, count)
        if self._is_used_up(view):
            return Advice([], trouble=USED_UP, notices=self._used_up())
        if self._lets_pass():
            self._hold(talk, hints)
        else:
            talk.trouble = self._breaker.reason
        advice = Advice(talk.accepted, stop=talk.stop, notices=talk.notices)
        if len(talk.accepted) == count:
            return advice
        return replace(advice, trouble=talk.trouble, is_fault=not talk.objected)

    def _is_used_up(self, view: StudyView) -> bool:
        """Whether the LLM could only repeat what was tried; in a replay, it may have been asked then."""
        if self._replay is not None and self._replay.was_asked():
            return False
        return self._grid is not None and self._grid.is_used_up(view.trials)

    def _used_up(self) -> Sequence[str]:
        """Said once."""
        told, self._told_used_up = self._told_used_up, True
        if told:
            return ()
        return ("Every point of the search space has been tried: the LLM is not asked any more.",)

    def _lets_pass(self) -> bool:
        """Whether to ask this time; in a replay, as it was then."""
        passes = self._breaker.lets_pass()
        if self._replay is None:
            return passes
        return self._replay.was_asked() or self._breaker.is_closed

    def _hold(self, talk: _Talk, hints: Sequence[str]) -> None:
        """Ask, and ask again about what was wrong, until the slots are full or it is enough."""
        messages: list[Message] = [{"role": "user", "content": self._question(talk, hints)}]
        for _ in range(1 + self._repair_attempts):
            missing = talk.count - len(talk.accepted)
            try:
                reply = self._ask(talk, messages, missing)
            except EndpointAway as error:
                talk.trouble, talk.objected = str(error), False
                self._breaker.failed(talk.trouble, error.mended)
                return
            self._breaker.worked()
            talk.notices += reply.notices
            talk.stop = read_stop(reply.text) or talk.stop
            verdict = self._judge.judge(reply, missing, talk.view, talk.accepted, talk.objects)
            talk.accepted += verdict.accepted
            self._keep(talk, messages, reply=reply, verdict=verdict)
            if len(talk.accepted) == talk.count:
                return
            talk.objected = verdict.is_objection
            talk.trouble = f"the LLM's proposal was refused: {plain_text(verdict.reason, 300)}"
            messages += [
                {"role": "assistant", "content": _quoted(reply.text)},
                {"role": "user", "content": _complaint(verdict, talk)},
            ]

    def _question(self, talk: _Talk, hints: Sequence[str]) -> str:
        """The first question; what the LLM has looked up before is in it."""
        known = evidence(self._space, talk.view, hints)
        question = self._rendered(talk, known)
        ended = sum(trial.state.is_finished for trial in talk.view.trials)
        if self._tools is not None and ended >= FEWEST_TO_LOOK_UP and self._breaker.is_closed:
            lines = self._looked_up(talk, question.text, known)
            if lines:
                question = self._rendered(talk, replace(known, looked_up=lines))
        talk.saw = question.saw
        return question.text

    def _rendered(self, talk: _Talk, known: Evidence) -> Question:
        return ask_for(
            self._card, talk.view, talk.count, known, self._template, self._prompt_tokens
        )

    def _looked_up(self, talk: _Talk, question: str, known: Evidence) -> Sequence[str]:
        """What the LLM wanted to know first. A server without tools is not asked so again."""
        assert self._tools is not None
        tools = RunTools(self._space, talk.view, known.hints, talk.expected)

        def keep(messages: Sequence[Mapping[str, Any]], reply: ToolReply) -> None:
            self._keep_look_up(talk, messages, reply=reply)

        looking = LookingUp(cast(CallsTools, self._endpoint), self._tools)
        asked = [{"role": "user", "content": question}]
        try:
            found = looking.look_up(question, langchain_tools(tools), keep)
        except ToolsRefused as error:
            self._tools = None
            why = plain_text(str(error), 200)
            self._keep_look_up(talk, asked, error=why)
            talk.notices.append(
                f"The LLM looks nothing up before it answers: {self._endpoint.name} takes no tools "
                f"({why}). Set llm.tools.calls to 0 to leave it at that."
            )
            return []
        if found.trouble is not None:
            # No reason to give up: the question itself is asked with patience, or has a shorter way.
            self._keep_look_up(talk, asked, error=found.trouble)
            if not self._cut_short:
                talk.notices.append(f"The LLM's looking up was cut short: {found.trouble}.")
            self._cut_short = True
        return found.lines

    def _ask(self, talk: _Talk, messages: Sequence[Message], missing: int) -> Reply:
        schema = answer_schema(self._space, missing)
        try:
            return self._endpoint.ask(messages, schema, patient=self._breaker.is_closed)
        except EndpointAway as error:
            self._keep(talk, messages, error=str(error))
            raise

    def _keep(
        self,
        talk: _Talk,
        messages: Sequence[Message],
        *,
        reply: Reply | None = None,
        verdict: Verdict | None = None,
        error: str | None = None,
    ) -> None:
        hide = self._endpoint.hide_secrets
        said: list[Message] = [{**one, "content": hide(one["content"])} for one in messages]
        exchange: dict[str, Any] = {
            **self._heading(talk, "answer"),
            "thread": thread_digest(said),
            "asked_for": talk.count - len(talk.accepted) + len(verdict.accepted if verdict else ()),
            "saw": talk.saw,
            "messages": said,
            "error": error,
        }
        if reply is not None:
            exchange |= {
                "answer": hide(reply.text),
                "method": reply.method,
                "finish_reason": reply.finish_reason,
                "usage": dict(reply.usage),
                "seconds": reply.seconds,
                "stop": read_stop(reply.text),
            }
        if verdict is not None:
            points = [dict(one.parameters) for one in verdict.accepted]
            exchange |= {"accepted": points, "refused": verdict.faults}
            exchange["model_expects"] = [talk.expects(point) for point in points]
        if self._replay is not None and self._replay.last is not None:
            exchange["replayed_from"] = str(self._replay.last)
        self._log.keep(len(talk.view.trials), exchange)

    def _keep_look_up(
        self,
        talk: _Talk,
        messages: Sequence[Mapping[str, Any]],
        *,
        reply: ToolReply | None = None,
        error: str | None = None,
    ) -> None:
        hide = self._endpoint.hide_secrets
        exchange: dict[str, Any] = {
            **self._heading(talk, "look_up"),
            "messages": [{**one, "content": hide(str(one["content"]))} for one in messages],
            "error": error,
        }
        if reply is not None:
            exchange |= {
                "answer": hide(reply.text),
                "calls": [dict(call["function"]) for call in reply.calls],
                "usage": dict(reply.usage),
                "seconds": reply.seconds,
            }
        self._log.keep(len(talk.view.trials), exchange)

    def _heading(self, talk: _Talk, kind: str) -> dict[str, Any]:
        """What is the same of every exchange of a consultation."""
        return {
            "kind": kind,
            "state": talk.state,
            "slots": talk.count,
            "occasion": talk.occasion,
            "endpoint": self._endpoint.name,
        }


@dataclass
class _Talk:
    """One consultation."""

    view: StudyView
    count: int
    objects: Objection
    occasion: str
    state: str
    """Its place in the search."""
    expected: Expectation | None = None
    accepted: list[Proposal] = field(default_factory=list)
    trouble: str | None = None
    objected: bool = False
    """Whether the trouble is nothing but objections."""
    stop: str | None = None
    saw: Mapping[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def expects(self, point: Mapping[str, ParameterValue]) -> str | None:
        """What the model of the runs expects of it, where there is one."""
        return self.expected(point) if self.expected is not None else None


def _quoted(text: str) -> str:
    """The LLM's own answer, for it to see what was wrong. What it thought before may be longer than
    all that is shown."""
    return without_thinking(text).strip()[:MAX_QUOTED] or "(nothing)"


def _complaint(verdict: Verdict, talk: _Talk) -> str:
    missing = talk.count - len(talk.accepted)
    faults = "\n".join(f"- {fault}" for fault in verdict.faults)
    taken = f"{len(verdict.accepted)} were taken. " if verdict.accepted else ""
    plural = "s" if missing > 1 else ""
    return (
        f"{taken}This was wrong:\n{faults}\n"
        f"Answer again in the same form, with exactly {missing} new proposal{plural}."
    )
