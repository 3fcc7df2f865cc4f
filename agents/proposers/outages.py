"""An endpoint that gives no answer: which failures pass, how long to wait, what a person is told."""

from __future__ import annotations

import math
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from agents.errors import LlmError
from agents.proposers.answer import plain_text

if TYPE_CHECKING:
    from openai import APIStatusError

MAX_WAIT = 60.0
"""Seconds between two attempts at most, also where the server's Retry-After asks for more."""

LOOK_SECONDS = 0.2
"""How often it is looked, while an answer is waited for, whether anybody wants to leave."""

REFUSED_KEY = (401, 403)
"""HTTP status codes with which a server does not let us in."""
MAX_PAGE = 20_000
"""Characters of a web page that are looked at."""
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
"""HTTP status codes that may be different the next time."""
UNSUPPORTED = {400, 415, 422, 500, 501}
"""HTTP status codes with which servers refuse a way of asking that they do not know (llama.cpp's
answers 500)."""
NO_COMPLETION = (
    "answered something that is no chat completion (a web page, a login, another service?): check "
    "llm.base_url, which ends in /v1 for most servers"
)

_PAGE = re.compile(r"\s*<(!doctype|html|head|body|h1)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


_TOO_LONG = re.compile(
    r"context (length|size|window)|max(_completion)?_tokens\W+is too large", re.IGNORECASE
)


class ToolsRefused(LlmError):
    """The server or its model takes no tools. The message says in which words."""


class EndpointAway(LlmError):
    """The endpoint gave no answer. The message says why, and what to do."""

    def __init__(self, message: str, mended: Callable[[], bool] | None = None) -> None:
        """`mended`: whether a person has changed since what they are asked to, where that can be
        seen."""
        super().__init__(message)
        self.mended = mended


@dataclass(frozen=True)
class Circumstances:
    """What is to be said of an endpoint where it gives no answer."""

    name: str
    timeout: float
    hide: Callable[[str], str]
    """A text without secrets. Before it is shortened: half a key is a secret too."""
    shows_key: bool
    """Whether it is shown a key or a token."""
    key_remedy: str
    """What to do about one that is refused or missing."""
    model_remedy: Callable[[], str | None]
    """What to do about the model, where it is the model's fault."""


def explained(error: Exception, at: Circumstances) -> str:
    """What happened, where, and what to do."""
    import openai

    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return (
            f"{at.name} did not answer within {at.timeout:g} s: raise llm.timeout, or see whether "
            "the server is overloaded"
        )
    if isinstance(error, openai.APIConnectionError):
        cause = plain_text(at.hide(str(_root(error))), 120)
        return f"{at.name} cannot be reached ({cause}): start it, or check llm.base_url"
    if not isinstance(error, openai.APIStatusError):
        return f"{at.name}: {plain_text(at.hide(str(error)), 200)}"
    return _status_explained(error.status_code, plain_text(said_by(error, at.hide), 200), at)


def _status_explained(code: int, said: str, at: Circumstances) -> str:
    if code in REFUSED_KEY:
        does = "refused the key" if at.shows_key else "wants a key, and is shown none"
        return f"{at.name} {does} (HTTP {code}: {said}): {at.key_remedy}"
    if code == 402:
        return f"{at.name} wants to be paid (HTTP 402: {said}): see your account at the provider"
    if code == 404:
        remedy = at.model_remedy() or (
            "check llm.base_url (it ends in /v1 for most servers) and llm.model"
        )
        return f"{at.name} answered HTTP 404 ({said}): {remedy}"
    if code == 429:
        return f"{at.name} is over its rate limit (HTTP 429: {said}): it is asked again later"
    if code in (400, 413, 422):
        remedy = at.model_remedy() or _remedy_of_size(said)
        return f"{at.name} refused the request (HTTP {code}: {said}): {remedy}"
    return f"{at.name} failed (HTTP {code}: {said}): see the server's log"


def proxy_of(url: str) -> str | None:
    """HOST:PORT of the proxy through which the environment has an address reached, or None."""
    from urllib.request import getproxies, proxy_bypass

    parts, known = urlsplit(url), getproxies()
    found = known.get(parts.scheme) or known.get("all")
    if not found or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urlsplit(found if "//" in found else f"//{found}").netloc.rpartition("@")[2]


def may_be_a_proxys(error: Exception) -> bool:
    """Whether a proxy between could have caused it: no connection, or a status that proxies answer."""
    code = getattr(error, "status_code", None)
    return code is None or code in (403, 407, 502, 503, 504)


def _remedy_of_size(said: str) -> str:
    if is_too_long(said):
        return (
            "lower llm.prompt_tokens and llm.max_tokens, which together have to fit into the model's "
            "context, or serve it with a longer one"
        )
    return "check llm.max_tokens and llm.temperature against what the model takes"


def is_too_long(said: str) -> bool:
    """Whether a server's refusal is about the length of the question and its answer."""
    return _TOO_LONG.search(said) is not None


def said_by(error: APIStatusError, hide: Callable[[str], str]) -> str:
    """The server's own words: the message in its JSON, else what its page says. `hide`: a text
    without secrets."""
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        words = inner.get("message", inner) if isinstance(inner, Mapping) else inner
        return hide(str(words))
    return _of_page(hide(str(body or error.message))[:MAX_PAGE])


def _of_page(text: str) -> str:
    """A page of HTML by its title, or by its words; other text as it is."""
    if not _PAGE.match(text):
        return text
    title = _TITLE.search(text)
    words = title[1] if title is not None else _TAGS.sub(" ", text)
    return f"a web page, {words.strip() or 'empty'}"


def _root(error: BaseException) -> BaseException:
    """Where it began: `connection refused` rather than `connection error`."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return error


def wait_before_next(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next attempt: what the server asks for, else 1, 2, 4, … with jitter."""
    asked = _retry_after(retry_after or "")
    if asked is None:
        asked = 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)
    return min(MAX_WAIT, max(0.0, asked))


def _retry_after(text: str) -> float | None:
    """Seconds from now, of a number or a date (RFC 9110, 10.2.3); None where it is neither."""
    from email.utils import parsedate_to_datetime

    try:
        seconds = float(text)
    except ValueError:
        try:
            return parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else seconds


T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], look: Callable[[], None] | None = None) -> T:
    """The result of `work`, or TimeoutError after so many seconds in all.

    `look` is called now and then meanwhile; what it raises ends the waiting.

    HTTP clients bound the wait for each piece of an answer: a proxy that sends a space now and then
    to keep the line open would hold them for ever. The thread that is given up ends with its
    connection, and does not keep the process alive.
    """
    box: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:
            box.put((None, error))

    threading.Thread(target=run, daemon=True, name="llm").start()
    result, error = _waited_for(box, seconds, look)
    if error is not None:
        raise error
    return cast(T, result)


def _waited_for(box: queue.SimpleQueue[T], seconds: float, look: Callable[[], None] | None) -> T:
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        try:
            return box.get(timeout=max(0.0, min(left, LOOK_SECONDS)))
        except queue.Empty:
            if left <= 0:
                raise TimeoutError from None
            if look is not None:
                look()
