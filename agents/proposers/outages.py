"""An endpoint that gives no answer: which failures pass, how long to wait, what a person is told."""

from __future__ import annotations

import math
import queue
import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar, cast

from agents.errors import LlmError
from agents.proposers.answer import plain_text
from agents.proposers.refusals import (
    REFUSED_KEY,
    is_filtered,
    is_too_long,
    said_by,
    status_of,
)

MAX_WAIT = 60.0
"""Seconds between two attempts at most, also where the server's Retry-After asks for more."""

LOOK_SECONDS = 0.2
"""How often it is looked, while an answer is waited for, whether anybody wants to leave."""

GAVE_UP = (408, 504, 524)
"""HTTP status codes with which a gateway gives up waiting for the server behind it."""
NOT_READY = (503, 529)
"""HTTP status codes of a server that is loading its model, or has too much to do."""

NO_COMPLETION = (
    "answered something that is no chat completion (a web page, a login, another service?): check "
    "llm.base_url, which ends in /v1 for most servers"
)


class ToolsRefused(LlmError):
    """The server or its model takes no tools. The message says in which words."""


class EndpointAway(LlmError):
    """The endpoint gave no answer. The message says why, and what to do."""

    def __init__(
        self,
        message: str,
        mended: Callable[[], bool] | None = None,
        *,
        passes: bool = False,
        refuses: bool = False,
    ) -> None:
        """`mended`: whether a person has changed since what they are asked to, where that can be
        seen. `passes`: whether it may be over by itself, as a model's start is. `refuses`: whether
        it is there, and lets us not in."""
        super().__init__(message)
        self.mended = mended
        self.passes = passes
        self.refuses = refuses


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
    extra: Collection[str] = ()
    """The person's own fields of a request."""


def explained(error: Exception, at: Circumstances) -> str:
    """What happened, where, and what to do."""
    import openai

    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return (
            f"{at.name} did not answer within {at.timeout:g} s: raise llm.timeout, or see whether "
            "the server is overloaded or still loads the model"
        )
    if isinstance(error, openai.APIConnectionError):
        return _connection_explained(_root(error), at)
    if not isinstance(error, openai.APIStatusError):
        return f"{at.name}: {plain_text(at.hide(str(error)), 200)}"
    return _status_explained(status_of(error), plain_text(said_by(error, at.hide), 200), at)


def passes_by_itself(error: Exception) -> bool:
    """Whether it may be over in a while, without anybody doing something."""
    return getattr(error, "status_code", None) in (429, *GAVE_UP, *NOT_READY)


def _connection_explained(root: BaseException, at: Circumstances) -> str:
    import ssl

    cause = plain_text(at.hide(str(root)), 120)
    if isinstance(root, ssl.SSLCertVerificationError):
        return (
            f"{at.name} shows a certificate that nobody here vouches for ({cause}): name the file "
            "with its issuer's certificate in the environment variable SSL_CERT_FILE"
        )
    if isinstance(root, ssl.SSLError):
        return f"{at.name} cannot be reached ({cause}): check llm.base_url (http:// or https://?)"
    if "complete message body" in cause or "chunked" in cause or "decompressing" in cause:
        return (
            f"{at.name} broke off its answer ({cause}): see its log, or that of a proxy before it"
        )
    return f"{at.name} cannot be reached ({cause}): start it, or check llm.base_url"


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
        paid = "; see your plan at the provider if it stays so" if "quota" in said else ""
        return f"{at.name} is over its rate limit (HTTP 429: {said}): it is asked again later{paid}"
    if code in (400, 413, 422):
        remedy = at.model_remedy() or _remedy_of(said, at)
        return f"{at.name} refused the request (HTTP {code}: {said}): {remedy}"
    if code in NOT_READY:
        return (
            f"{at.name} is loading its model, or overloaded (HTTP {code}: {said}): it is asked again "
            "later; if it stays so, see the server's log"
        )
    if code in GAVE_UP:
        return (
            f"{at.name} was waited for in vain by a gateway before it (HTTP {code}: {said}): it is "
            "asked again later (to load a model takes minutes); if it stays so, see the server's log"
        )
    return f"{at.name} failed (HTTP {code}: {said}): see the server's log"


def _remedy_of(said: str, at: Circumstances) -> str:
    """What to do about a request that is refused in these words."""
    if is_too_long(said):
        return (
            "lower llm.prompt_tokens and llm.max_tokens, which together have to fit into the model's "
            "context, or serve it with a longer one"
        )
    if is_filtered(said):
        return "reword llm.prompt, the descriptions and the notes, which the provider's filter holds back"
    named = [key for key in at.extra if key in said]
    if named:
        return f"take {', '.join(named)} out of llm.extra_body, or write what the server takes"
    keys = (
        "llm.max_tokens and llm.temperature"
        if not at.extra
        else ("llm.max_tokens, llm.temperature and llm.extra_body")
    )
    return f"check {keys} against what the model takes"


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
