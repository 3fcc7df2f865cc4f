"""The LLM endpoint: reachable, the model there, structured output, and how long an answer takes."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Sequence

from agents.config.model import LlmSettings, Settings
from agents.doctor.check import Check, Doing, Outcome, failed, ok, skipped, warning
from agents.doctor.words import listed
from agents.errors import ConfigurationError, LlmError
from agents.proposers.answer import plain_text, read_answer
from agents.proposers.endpoint import METHODS, Endpoint, EndpointAway, Reply

NAMES = ("endpoint", "model", "structured output")
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


def endpoint_checks(settings: Settings, doing: Doing) -> list[Check]:
    """What there is to say of the endpoint. Costs one short answer of the model."""
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
    doing(f"the endpoint {llm.base_url}")
    checks = _models_checks(endpoint, llm)
    if any(check.outcome is Outcome.FAILED for check in checks):
        return [*checks, *_not_reached(NAMES[len(checks) :])]
    doing(f"an answer of {llm.model}")
    return [*checks, _answer_check(endpoint, llm)]


def _not_reached(names: Sequence[str]) -> list[Check]:
    return [skipped(name, "not reached") for name in names]


def _models_checks(endpoint: Endpoint, llm: LlmSettings) -> list[Check]:
    """The endpoint and the model, as the list of models tells. Some services give no list."""
    began = time.monotonic()
    try:
        models = endpoint.models(min(LIST_SECONDS, llm.timeout))
    except EndpointAway as error:
        return [failed("endpoint", *_split(str(error)))]
    seconds = time.monotonic() - began
    seen = ok("endpoint", f"answers in {seconds:.2f} s")
    if models is None:
        return [seen, skipped("model", "the endpoint gives no list of models")]
    check = _model_check(str(llm.model), models)
    needed, context = llm.prompt_tokens + llm.max_tokens, endpoint.context
    if check.outcome is Outcome.OK and context is not None and needed > context:
        check = warning(
            "model",
            f"{check.seen}, with a context of {context} tokens: llm.prompt_tokens and "
            f"llm.max_tokens are {needed} together",
            "lower them, or serve the model with a longer context (vLLM: --max-model-len)",
        )
    return [seen, check]


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


def _answer_check(endpoint: Endpoint, llm: LlmSettings) -> Check:
    name = NAMES[2]
    question = [{"role": "user", "content": _QUESTION}]
    try:
        for _ in METHODS:  # as in a search: who gets nothing asks in another way the next time
            reply = endpoint.ask(question, _SCHEMA, patient=False)
            if reply.text.strip() or reply.finish_reason == "length":
                break
    except EndpointAway as error:
        return failed(name, *_split(str(error)))
    return _judged(name, reply, llm)


def _judged(name: str, reply: Reply, llm: LlmSettings) -> Check:
    seen = f"an answer in {reply.seconds:.2f} s, asked for by {reply.method}"
    try:
        parameters = read_answer(reply.text, ["x"])[0].parameters
    except LlmError as error:
        if reply.finish_reason == "length":
            return failed(name, f"{seen}: it was cut off", "raise llm.max_tokens")
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


def _split(message: str) -> tuple[str, str]:
    """What happened and what to do, of a message of `Endpoint`."""
    what, separator, remedy = message.rpartition(": ")
    return (what, remedy) if separator else (message, "check llm.base_url and llm.model")
