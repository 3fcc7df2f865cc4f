"""An endpoint that gives no answer: which failures pass, how long to wait, what a person is told."""

from __future__ import annotations

import math
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from agents.errors import LlmError
from agents.proposers.answer import plain_text

if TYPE_CHECKING:
    from openai import APIStatusError

MAX_WAIT = 60.0
"""Seconds between two attempts at most, also where the server's Retry-After asks for more."""

PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
"""HTTP status codes that may be different the next time."""
UNSUPPORTED = {400, 415, 422, 500, 501}
"""HTTP status codes with which servers refuse a way of asking that they do not know (llama.cpp's
answers 500)."""
NO_COMPLETION = (
    "answered something that is no chat completion (a web page, a login, another service?): check "
    "llm.base_url, which ends in /v1 for most servers"
)


class ToolsRefused(LlmError):
    """The server or its model takes no tools. The message says in which words."""


class EndpointAway(LlmError):
    """The endpoint gave no answer. The message says why, and what to do."""


def explained(
    error: Exception, name: str, timeout: float, key_remedy: str, model_remedy: Callable[[], str]
) -> str:
    """What happened, where, and what to do. The remedies are those for a refused key and for a
    place or a model that is not there."""
    import openai

    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return (
            f"{name} did not answer within {timeout:g} s: raise llm.timeout, or see whether the "
            "server is overloaded"
        )
    if isinstance(error, openai.APIConnectionError):
        cause = plain_text(str(_root(error)), 120)
        return f"{name} cannot be reached ({cause}): start it, or check llm.base_url"
    if not isinstance(error, openai.APIStatusError):
        return f"{name}: {plain_text(str(error), 200)}"
    said = plain_text(said_by(error), 200)
    code = error.status_code
    if code in (401, 403):
        return f"{name} refused the key (HTTP {code}: {said}): {key_remedy}"
    if code == 404:
        return f"{name} answered HTTP 404 ({said}): {model_remedy()}"
    if code == 429:
        return f"{name} is over its rate limit (HTTP 429: {said}): it is asked again later"
    if code in (400, 413, 422):
        return (
            f"{name} refused the request (HTTP {code}: {said}): check llm.max_tokens and "
            "llm.temperature against what the model takes"
        )
    return f"{name} failed (HTTP {code}: {said}): see the server's log"


def said_by(error: APIStatusError) -> str:
    """The server's own words: the message in its JSON, else the start of its page."""
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        words = inner.get("message", inner) if isinstance(inner, Mapping) else inner
        return str(words)
    return str(body or error.message)


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


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, or TimeoutError after so many seconds in all.

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
    try:
        result, error = box.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast(T, result)
