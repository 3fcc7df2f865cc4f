"""The LLM endpoint: reachable, the model there, structured output, tools, and how long an answer takes.

A list of models decides nothing by itself: Azure's leaves out deployments, a router's the variants of a
model, llama.cpp takes any name, and some services show a list to nobody. The answer decides.
"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Sequence

from agents.config.model import LlmSettings, Settings
from agents.doctor.check import Check, Doing, Outcome, failed, ok, skipped, warning
from agents.doctor.words import listed
from agents.errors import ConfigurationError, LlmError
from agents.proposers.address import without_secrets
from agents.proposers.answer import calls_in, plain_text, read_answer, without_thinking
from agents.proposers.endpoint import METHODS, Endpoint, EndpointAway, Reply, ToolsRefused

NAMES = ("endpoint", "model", "structured output", "tools")
LIST_SECONDS = 20.0
"""Time limit of the question which models there are."""
SLOW_SHARE = 0.5
"""An answer that takes this share of llm.timeout will exceed it now and then."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "proposals": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "rationale": {"type": "string"},
                    "parameters": {
                        "type": "object",
                        "properties": {"x": {"type": "number", "minimum": 0, "maximum": 1}},
                        "required": ["x"],
                        "additionalProperties": False,
                    },
                },
                "required": ["rationale", "parameters"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["proposals"],
    "additionalProperties": False,
}
_QUESTION = (
    "This is a test of the connection. Propose one value of x between 0 and 1, with a rationale of "
    "three words, as JSON."
)


_TOOL_QUESTION = "This is a test of the connection. Call the tool `ping` once."
_TOOL = {
    "type": "function",
    "function": {
        "name": "ping",
        "description": "Answers.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}


def endpoint_checks(settings: Settings, doing: Doing) -> list[Check]:
    """What there is to say of the endpoint. Costs two short answers of the model at most."""
    llm = settings.llm
    if llm.base_url is None:
        return [skipped("endpoint", "no llm.base_url: the sampler proposes alone")]
    if settings.proposer.kind == "sampler":
        return [skipped("endpoint", "proposer.kind is sampler: the endpoint is not asked")]
    try:
        endpoint = Endpoint(llm)
    except ConfigurationError as error:
        what, _, remedy = str(error).rpartition(": ")
        return [failed("endpoint", what, remedy), *_not_reached(NAMES[1:])]
    doing(f"the endpoint {without_secrets(llm.base_url)}")
    seen, model, is_there = _models_checks(endpoint, llm)
    if seen.outcome is not Outcome.OK and not is_there:
        return [seen, *_not_reached(NAMES[1:])]
    doing(f"an answer of {llm.model}")
    answer, is_away = _answer_check(endpoint, llm)
    if is_away and seen.outcome is not Outcome.OK:
        return [seen, *_not_reached(NAMES[1:])]
    if is_away and model.outcome is Outcome.FAILED:
        return [seen, model, *_not_reached(NAMES[2:])]
    if is_away:
        return [seen, model, answer, *_not_reached(NAMES[3:])]
    if seen.outcome is not Outcome.OK:
        seen = ok("endpoint", "answers, and shows no list of models")
    if model.outcome is Outcome.FAILED:
        model = ok("model", f"{llm.model} answers, though it is not in the list of models")
    doing(f"a call of a tool by {llm.model}")
    return [seen, model, answer, _tools_check(endpoint, llm)]


def _not_reached(names: Sequence[str]) -> list[Check]:
    return [skipped(name, "not reached") for name in names]


def _models_checks(endpoint: Endpoint, llm: LlmSettings) -> tuple[Check, Check, bool]:
    """The endpoint and the model, as the list of models tells; and whether something is there to be
    asked. Some services give no list, or only to some."""
    began = time.monotonic()
    try:
        models = endpoint.models(min(LIST_SECONDS, llm.timeout))
    except EndpointAway as error:
        unlisted = skipped("model", "the endpoint shows no list of models")
        return _away("endpoint", error), unlisted, error.passes or error.refuses
    seconds = time.monotonic() - began
    seen = ok("endpoint", f"answers in {seconds:.2f} s")
    if models is None:
        return seen, skipped("model", "the endpoint gives no list of models"), True
    check = _model_check(str(llm.model), models)
    needed, context = llm.prompt_tokens + llm.max_tokens, endpoint.context
    if check.outcome is Outcome.OK and context is not None and needed > context:
        check = warning(
            "model",
            f"{check.seen}, with a context of {context} tokens: llm.prompt_tokens and "
            f"llm.max_tokens are {needed} together",
            "lower them, or serve the model with a longer context (vLLM: --max-model-len)",
        )
    return seen, check, True


def _model_check(model: str, models: Sequence[str]) -> Check:
    names = [plain_text(name, 80) for name in models]
    if model in models:
        return ok("model", f"{model} is there")
    near = difflib.get_close_matches(model, names, n=1)
    said = f"did you mean {near[0]}? " if near else ""
    return failed(
        "model",
        f"{model} is not among the endpoint's models",
        f"{said}set llm.model to one of: {listed(names) or '(it has none)'}",
    )


def _answer_check(endpoint: Endpoint, llm: LlmSettings) -> tuple[Check, bool]:
    """Whether an answer has the structure; and whether none came at all."""
    name = NAMES[2]
    question = [{"role": "user", "content": _QUESTION}]
    try:
        for _ in METHODS:  # as in a search: who gets nothing asks in another way the next time
            reply = endpoint.ask(question, _SCHEMA, patient=False)
            if reply.text.strip() or reply.finish_reason == "length":
                break
    except EndpointAway as error:
        return _away(name, error), True
    return _judged(name, reply, llm), False


def _away(name: str, error: EndpointAway) -> Check:
    """What passes by itself is no fault of the configuration: a search would begin without the LLM."""
    what, remedy = _split(str(error))
    if error.passes:
        remedy = (
            f"look again in some minutes; until then a search has the sampler propose ({remedy})"
        )
        return warning(name, what, remedy)
    return failed(name, what, remedy)


def _tools_check(endpoint: Endpoint, llm: LlmSettings) -> Check:
    """Whether the model may look things up, which the search can do without."""
    if llm.tools.calls == 0:
        return skipped("tools", "llm.tools.calls is 0: nothing is looked up")
    question = [{"role": "user", "content": _TOOL_QUESTION}]
    try:
        reply = endpoint.call_tools(question, [_TOOL], min(llm.tools.seconds, llm.timeout))
    except EndpointAway as error:
        return warning("tools", *_split(str(error)))
    except ToolsRefused as error:
        return warning(
            "tools",
            f"the endpoint takes no tools ({plain_text(str(error), 300)}): the LLM looks nothing up",
            "let the server take them (vLLM: --enable-auto-tool-choice and --tool-call-parser), or set "
            "llm.tools.calls to 0",
        )
    if reply.calls or calls_in(reply.text, ["ping"]):
        return ok("tools", f"a call in {reply.seconds:.2f} s")
    return ok("tools", f"the endpoint takes them (none was called, in {reply.seconds:.2f} s)")


def _judged(name: str, reply: Reply, llm: LlmSettings) -> Check:
    seen = f"an answer in {reply.seconds:.2f} s, asked for by {reply.method}"
    try:
        parameters = read_answer(reply.text, ["x"])[0].parameters
    except LlmError as error:
        if reply.finish_reason == "length":
            return _cut_off(name, seen, reply)
        return failed(
            name,
            f"{seen}: {error}; it was {plain_text(reply.text, 120)!r}",
            "serve the model with guided decoding (vLLM: a version that knows json_schema), or "
            "choose a model that writes JSON",
        )
    if not isinstance(parameters.get("x"), (int, float)):
        return warning(
            name,
            f"{seen}: it does not follow the schema: {plain_text(json.dumps(parameters), 120)}",
            "answers that break the schema are sent back and cost time; a server with guided "
            "decoding enforces it",
        )
    if reply.method == "text":
        return warning(
            name,
            f"{seen}: the server takes neither a schema nor a tool",
            "it works, with more answers that have to be repaired; a server with guided decoding "
            "does better",
        )
    if reply.seconds > SLOW_SHARE * llm.timeout:
        return warning(
            name,
            f"{seen}; llm.timeout is {llm.timeout:g} s",
            "raise llm.timeout, or a faster model",
        )
    return ok(name, seen)


def _cut_off(name: str, seen: str, reply: Reply) -> Check:
    if without_thinking(reply.text).strip():
        return failed(name, f"{seen}: it was cut off", "raise llm.max_tokens")
    return failed(
        name,
        f"{seen}: all of llm.max_tokens went into thoughts",
        "raise llm.max_tokens, or have the model think less with llm.extra_body, as "
        "{chat_template_kwargs: {enable_thinking: false}} (Qwen on vLLM) or {reasoning_effort: low}",
    )


def _split(message: str) -> tuple[str, str]:
    """What happened and what to do, of a message of `Endpoint`."""
    what, separator, remedy = message.rpartition(": ")
    return (what, remedy) if separator else (message, "check llm.base_url and llm.model")
