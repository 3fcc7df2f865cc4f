"""Why a server refuses a request: its own words, dug out of what lies around them, and what they are
about. Pure.

Gateways wrap what the server of the model said. OpenRouter keeps it in `metadata.raw`, ALCF's gateway
in a traceback under a status of its own; FastAPI lists the fields at fault, Gemini sends a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai import APIStatusError

MAX_PAGE = 20_000
"""Characters of a web page, or of what stands in its place, that are looked at."""
REFUSED_KEY = (401, 403)
"""HTTP status codes with which a server does not let us in."""
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, *range(520, 531)}
"""HTTP status codes that may be different the next time; the last ones are Cloudflare's, and 529 says
that a provider is overloaded."""
UNSUPPORTED = {400, 415, 422, 500, 501}
"""HTTP status codes with which servers refuse a way of asking that they do not know (llama.cpp's
answers 500)."""

_PAGE = re.compile(r"\s*<(!doctype|html|head|body|h1)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)

_INNER_STATUS = re.compile(r"request failed with status code: (400|404|413|422)\b")
"""ALCF's gateway answers 500 whatever the server behind it refused."""
_INNER_TEXT = "Response text: "
_TRACEBACK = "Traceback (most recent call last)"

_TOO_LONG = re.compile(
    r"context[ _]?(length|size|window|limit)"
    r"|maximum (model|number of) (length|tokens)"
    r"|(prompt|input) (is|are) too long:"
    r"|`?inputs`? (tokens \+|must have less than)"
    r"|max_tokens must be at least 1, got -"
    r"|max(_completion)?_tokens\W+(is too large|must be less than)"
    r"|valid range of max(_completion)?_tokens",
    re.IGNORECASE,
)
"""Of vLLM, SGLang, TGI, llama.cpp, LM Studio, LiteLLM, OpenAI, Anthropic, Gemini, Groq, DeepSeek."""
_FILTERED = re.compile(
    r"content[ _-]?(filter|management policy|policy)|usage polic(y|ies)", re.IGNORECASE
)


def status_of(error: APIStatusError) -> int:
    """The HTTP status that counts: that of the server of the model, where a gateway tells it."""
    if error.status_code != 500:
        return error.status_code
    found = _INNER_STATUS.search(str(error.body)[:MAX_PAGE])
    return int(found[1]) if found else error.status_code


def said_by(error: APIStatusError, hide: Callable[[str], str]) -> str:
    """The server's own words: the message in its JSON, else what its page says. `hide`: a text
    without secrets."""
    if isinstance(error.body, (Mapping, list)):
        return hide(_message(error.body))
    return _of_page(hide(str(error.body or error.message))[:MAX_PAGE])


def said_in(body: Mapping[str, object]) -> str:
    """The words of an error that came as JSON."""
    return _message(body)


def is_too_long(said: str) -> bool:
    """Whether a server's refusal is about the length of the question and its answer."""
    return _TOO_LONG.search(said) is not None


def is_filtered(said: str) -> bool:
    """Whether a provider holds the question back for what it says."""
    return _FILTERED.search(said) is not None


def _message(body: object) -> str:
    if isinstance(body, list) and body and isinstance(body[0], Mapping):
        body = body[0]
    if not isinstance(body, Mapping):
        return _unwrapped(str(body or ""))
    inner = body.get("error") or body
    if not isinstance(inner, Mapping):
        return _unwrapped(str(inner))
    words = inner.get("message") or _details(inner.get("detail")) or str(dict(inner))
    raw = inner.get("metadata")
    beneath = raw.get("raw") if isinstance(raw, Mapping) else None
    if beneath:
        return f"{words}: {_json_message(str(beneath))}"
    return _unwrapped(str(words))


def _details(detail: object) -> str:
    """What FastAPI and its like find wrong: a text, or a list of fields."""
    if not isinstance(detail, Sequence) or isinstance(detail, str):
        return str(detail or "")
    return "; ".join(map(_field, detail))


def _field(fault: object) -> str:
    if not isinstance(fault, Mapping) or not fault.get("msg"):
        return str(fault)
    place = fault.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, (list, tuple)) else ""
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])


def _unwrapped(text: str) -> str:
    """What an error in an error says: beneath a traceback, of a server behind a gateway."""
    _, found, beneath = text.partition(_INNER_TEXT)
    if found:
        return _json_message(beneath)
    if _TRACEBACK in text:
        return text.strip().splitlines()[-1].strip()
    return text


def _json_message(text: str) -> str:
    """The message in JSON that is text; else its first line."""
    try:
        told, _ = json.JSONDecoder().raw_decode(text.strip())
    except (ValueError, RecursionError):
        return text.strip().partition("\n")[0]
    return _message(told) if isinstance(told, (Mapping, list)) else str(told)


def _of_page(text: str) -> str:
    """A page of HTML by its title, or by its words; other text as it is."""
    if not _PAGE.match(text):
        return text
    title = _TITLE.search(text)
    words = title[1] if title is not None else _TAGS.sub(" ", text)
    return f"a web page, {words.strip() or 'empty'}"
