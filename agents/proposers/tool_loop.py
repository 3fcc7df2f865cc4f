"""The LLM looks things up before it answers: a small graph of its own, ask → look up → ask.

Within a budget of calls, tokens and seconds. What it found goes into the question that follows, as
data; the answer to that one is what counts, with its schema and all that is checked there. So
nothing depends on a server that does tools and structured output at a time, and where there are no
tools the search does without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypedDict

from agents.config.model import ToolSettings
from agents.proposers.answer import calls_in, plain_text
from agents.proposers.endpoint import EndpointAway, ToolReply, ToolsRefused
from agents.proposers.tokens import token_estimate

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from langgraph.graph import StateGraph

MAX_ARGUMENTS = 300
"""Characters of a call that are repeated."""

Keep = Callable[[Sequence[Mapping[str, Any]], ToolReply], None]


class CallsTools(Protocol):
    """An endpoint that can be given tools."""

    def call_tools(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        seconds: float,
    ) -> ToolReply:
        """Raises ToolsRefused, EndpointAway."""
        ...


@dataclass(frozen=True)
class Found:
    """What was looked up."""

    lines: Sequence[str]
    """``tool(arguments): answer``"""
    calls: int
    tokens: int
    trouble: str | None = None
    """Why it ended early, where the endpoint is to blame."""


class _State(TypedDict):
    messages: Annotated[list[dict[str, Any]], add]
    calls: list[Mapping[str, Any]]
    """Of the last reply, not yet answered."""
    written: bool
    """Whether they stood in its text; then they are answered in text, which every server takes."""
    lines: Annotated[list[str], add]
    used: int
    tokens: int
    trouble: str | None


class LookingUp:
    """The graph over one endpoint."""

    def __init__(
        self,
        endpoint: CallsTools,
        budget: ToolSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._budget = budget
        self._clock = clock

    def look_up(self, question: str, tools: Sequence[BaseTool], keep: Keep) -> Found:
        """What the LLM wanted to know. `keep` is told of each exchange.

        Where the endpoint fails on the way, what was found until then. Raises ToolsRefused where
        the server knows no tools.
        """
        deadline = self._clock() + self._budget.seconds
        turns = _Turns(self._endpoint, self._budget, self._clock, deadline, tools, keep)
        return turns.run(f"{question}\n{self._instruction()}")

    def _instruction(self) -> str:
        return (
            "\n# Before you answer\n\n"
            f"You may look things up about the runs first, with at most {self._budget.calls} calls of "
            "your tools. Do not propose yet: you are asked again, with what you found. Say READY, "
            "without a call, when you know enough.\n"
        )


class _Turns:
    """The graph's nodes and edges, for one question."""

    def __init__(
        self,
        endpoint: CallsTools,
        budget: ToolSettings,
        clock: Callable[[], float],
        deadline: float,
        tools: Sequence[BaseTool],
        keep: Keep,
    ) -> None:
        from langchain_core.utils.function_calling import convert_to_openai_tool

        self._endpoint, self._budget, self._keep = endpoint, budget, keep
        self._clock, self._deadline = clock, deadline
        self._tools = {tool.name: tool for tool in tools}
        self._described = [convert_to_openai_tool(tool) for tool in tools]
        self._fixed = token_estimate(json.dumps(self._described))
        """Tokens of the tools' descriptions, which go along with each question."""

    def run(self, question: str) -> Found:
        first = {"role": "user", "content": question}
        if self._fixed + _tokens([first]) > self._budget.tokens:
            return Found([], 0, 0)
        beginning: _State = {
            "messages": [first], "calls": [], "written": False, "lines": [], "used": 0, "tokens": 0,
            "trouble": None,
        }  # fmt: skip
        # A turn is two steps; each turn uses at least one call.
        limit = 2 * self._budget.calls + 5
        end = self._graph().compile().invoke(beginning, {"recursion_limit": limit})
        return Found(end["lines"], end["used"], end["tokens"], end["trouble"])

    def _graph(self) -> StateGraph[_State]:
        from langgraph.graph import END, START, StateGraph

        graph = StateGraph(_State)
        graph.add_node("ask", self._ask)
        graph.add_node("act", self._act)
        graph.add_edge(START, "ask")
        graph.add_conditional_edges("ask", _wants_more, {True: "act", False: END})
        graph.add_conditional_edges("act", self._may_ask, {True: "ask", False: END})
        return graph

    def _ask(self, state: _State) -> dict[str, Any]:
        messages = state["messages"]
        left = max(0.1, self._deadline - self._clock())
        try:
            reply = self._endpoint.call_tools(messages, self._described, left)
        except (EndpointAway, ToolsRefused) as error:
            if isinstance(error, ToolsRefused) and not state["used"]:
                raise
            return {"calls": [], "trouble": str(error)}
        written = [] if reply.calls else _written_calls(reply.text, self._tools)
        reply = replace(reply, calls=written) if written else reply
        self._keep(messages, reply)
        calls = list(reply.calls)[: self._budget.calls - state["used"]]
        spent = sum(reply.usage.values())
        spent = spent or self._fixed + _tokens(messages) + token_estimate(reply.text)
        said: dict[str, Any] = {"role": "assistant", "content": reply.text}
        said |= {} if written else {"tool_calls": calls}
        return {
            "messages": [said] if calls else [],
            "calls": calls,
            "written": bool(written),
            "tokens": state["tokens"] + spent,
        }

    def _act(self, state: _State) -> dict[str, Any]:
        answers = [(call, _answer(self._tools, call)) for call in state["calls"]]
        lines = [f"{_name(call)}: {answer}" for call, answer in answers]
        told = [
            {"role": "tool", "tool_call_id": call["id"], "content": answer}
            for call, answer in answers
        ]
        return {
            "messages": [_in_text(lines)] if state["written"] else told,
            "lines": lines,
            "used": state["used"] + len(answers),
            "calls": [],
        }

    def _may_ask(self, state: _State) -> bool:
        """Whether calls, tokens and seconds are left for another question."""
        next_one = state["tokens"] + self._fixed + _tokens(state["messages"])
        return (
            state["used"] < self._budget.calls
            and next_one <= self._budget.tokens
            and self._clock() < self._deadline
        )


def _wants_more(state: _State) -> bool:
    return bool(state["calls"])


def _written_calls(text: str, tools: Mapping[str, BaseTool]) -> list[dict[str, Any]]:
    """The calls in a text, as the protocol would have them."""
    return [
        {
            "id": f"written_{place}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for place, (name, arguments) in enumerate(calls_in(text, tools))
    ]


def _in_text(lines: Sequence[str]) -> dict[str, Any]:
    """The answers to calls that were written into the text."""
    return {"role": "user", "content": "\n".join(["Your tools answered, as data:", *lines])}


def _answer(tools: Mapping[str, BaseTool], call: Mapping[str, Any]) -> str:
    """What a tool says; a call that makes no sense is answered with what is wrong."""
    from pydantic import ValidationError

    function = call["function"]
    tool = tools.get(str(function["name"]))
    if tool is None:
        return f"there is no such tool; there are {', '.join(tools)}"
    try:
        arguments = json.loads(function["arguments"] or "{}")
        if not isinstance(arguments, dict):
            raise ValueError("the arguments are no JSON object")
        return str(tool.invoke(arguments))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return plain_text(f"wrong arguments: {where}: {first['msg']}", 200)
    except (ValueError, RecursionError) as error:
        return plain_text(f"wrong arguments: {error}", 200)


def _name(call: Mapping[str, Any]) -> str:
    function = call["function"]
    return plain_text(f"{function['name']}({function['arguments']})", MAX_ARGUMENTS)


def _tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(token_estimate(json.dumps(message)) for message in messages)
