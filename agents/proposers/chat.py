"""Chat completions as data: how a question is put, and what an answer holds. Pure.

How structured output is asked for differs by server, from the strictest to the plainest:

* ``json_schema``: OpenAI, vLLM (guided decoding), Ollama, llama.cpp;
* ``tool``: a forced tool call, for servers that know tools and no schema;
* ``text``: the schema stands in the question, and the answer is dug out of the text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

Method: TypeAlias = Literal["json_schema", "tool", "text"]
Message: TypeAlias = Mapping[str, str]
"""`{"role": "user" | "assistant", "content": …}`."""

METHODS: tuple[Method, ...] = ("json_schema", "tool", "text")
TOOL = "propose"
THOUGHTS = "thoughts"
"""Where a message keeps what the model thought, beside its `additional_kwargs`."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    text: str
    method: Method
    finish_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    """`input_tokens`, `output_tokens`, as far as the server tells."""
    seconds: float = 0.0
    notices: Sequence[str] = ()
    """What a person should be told of how it was asked for."""


@dataclass(frozen=True)
class ToolReply:
    """What came back where the LLM was free to call tools."""

    text: str
    calls: Sequence[Mapping[str, Any]] = ()
    """As the protocol writes them: ``{"id", "type", "function": {"name", "arguments"}}``, the
    arguments JSON in any case."""
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def asking(method: Method, schema: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the request's body beside the messages.

    Through `extra_body`, so that LangChain takes the answer as it comes: where it knows of a
    schema it raises on answers that were cut off, which still hold something.
    """
    match method:
        case "json_schema":
            described = {"name": TOOL, "schema": schema}
            return {"response_format": {"type": "json_schema", "json_schema": described}}
        case "tool":
            function = {
                "name": TOOL,
                "description": "Propose hyperparameters.",
                "parameters": schema,
            }
            return {
                "tools": [{"type": "function", "function": function}],
                "tool_choice": {"type": "function", "function": {"name": TOOL}},
            }
        case "text":
            return {}


def with_schema(messages: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    """The messages, with the schema in the first one."""
    first, *rest = messages
    content = (
        f"{first['content']}\n\nAnswer with one JSON object and nothing else. It follows this JSON "
        f"schema:\n{json.dumps(schema)}"
    )
    return [{**first, "content": content}, *rest]


def text_of(message: AIMessage) -> str:
    """The answer wherever it stands: in a tool call, well formed or not, or in the text."""
    calls = [json.dumps(call["args"]) for call in message.tool_calls]
    broken = [str(call["args"]) for call in message.invalid_tool_calls if call["args"]]
    refusal = message.additional_kwargs.get("refusal")
    text = "\n".join([*calls, *broken]) or str(message.text) or str(refusal or "")
    text = text if text.strip() else _misfiled_thought(message)
    # Half a character beyond the first plane cannot be sent back, and a cut answer may end in one.
    return text.encode("utf-8", "replace").decode()


def _misfiled_thought(message: AIMessage) -> str:
    """The answer that a server took for a thought: it looks for the end of one, and a guided answer
    of a model that does not think has none. A thought that is not JSON from its beginning is one."""
    thoughts = str(message.additional_kwargs.get(THOUGHTS, ""))
    return thoughts if thoughts.lstrip().startswith("{") else ""


def misfiled(error: ValueError) -> AIMessage | None:
    """The answer that LangChain refused because the arguments of its tool call are not JSON of an
    object: some servers encode them twice, some not at all. None for other errors."""
    from langchain_core.messages import AIMessage
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return None
    found = [
        one["input"]
        for one in error.errors(include_url=False)
        if one["loc"][0] in ("tool_calls", "invalid_tool_calls") and one["loc"][-1] == "args"
    ]
    texts = [one if isinstance(one, str) else json.dumps(one) for one in found]
    return AIMessage(content="\n".join(texts)) if texts else None


def calls_of(message: AIMessage) -> list[dict[str, Any]]:
    """The tool calls, those whose arguments are no JSON as well: their tool says so."""
    good = [(call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls]
    broken = [
        (call["id"], call["name"], json.dumps({"unreadable": str(call["args"])[:200]}))
        for call in message.invalid_tool_calls
    ]
    return [
        {
            "id": str(identity or f"call_{place}"),
            "type": "function",
            "function": {"name": str(name or ""), "arguments": arguments},
        }
        for place, (identity, name, arguments) in enumerate([*good, *broken])
    ]


def ending_of(message: AIMessage, most: int) -> str | None:
    """Why the answer ended; `most`: tokens that it could have.

    Servers that give a forced tool call as the reason also where its arguments were cut off are
    found out by the tokens.
    """
    if usage_of(message).get("output_tokens", 0) >= most:
        return "length"
    told = message.response_metadata.get("finish_reason")
    return str(told) if told else None


def usage_of(message: AIMessage) -> dict[str, int]:
    """Tokens in and out, as far as the server tells."""
    told: Mapping[str, Any] = message.usage_metadata or {}
    return {
        name: told[name]
        for name in ("input_tokens", "output_tokens")
        if isinstance(told.get(name), int)
    }
