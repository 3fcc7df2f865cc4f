"""One OpenAI-compatible endpoint: a question with a JSON schema, an answer as text.

How structured output is asked for differs by server, so the ways are tried from the strictest to
the plainest, and the first one that works is remembered:

* ``json_schema``: OpenAI, vLLM (guided decoding), Ollama, llama.cpp;
* ``tool``: a forced tool call, for servers that know tools and no schema;
* ``text``: the schema stands in the question, and the answer is dug out of the text.
"""

from __future__ import annotations

import math
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from agents.auth.errors import LoginAway, LoginRequired
from agents.auth.globus import GlobusLogin
from agents.auth.identity import identity
from agents.config.model import LlmSettings
from agents.errors import ConfigurationError, LlmError
from agents.proposers.answer import plain_text

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_openai import ChatOpenAI
    from openai import APIStatusError

Method: TypeAlias = Literal["json_schema", "tool", "text"]
Message: TypeAlias = Mapping[str, str]
"""`{"role": "user" | "assistant", "content": …}`."""

METHODS: tuple[Method, ...] = ("json_schema", "tool", "text")
TOOL = "propose"

MAX_WAIT = 60.0
"""Seconds between two attempts at most, also where the server's Retry-After asks for more."""

_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
"""HTTP status codes that may be different the next time."""
_UNSUPPORTED = {400, 415, 422, 500, 501}
"""HTTP status codes with which servers refuse a way of asking that they do not know (llama.cpp's
answers 500)."""


_LOGIN_TROUBLE = (LoginRequired, LoginAway, ConfigurationError)
"""What a login says in the middle of a run, the last where its file was changed meanwhile."""


class ToolsRefused(LlmError):
    """The server or its model takes no tools. The message says in which words."""


class EndpointAway(LlmError):
    """The endpoint gave no answer. The message says why, and what to do."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    text: str
    method: Method
    finish_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    """`input_tokens`, `output_tokens`, as far as the server tells."""
    seconds: float = 0.0


@dataclass(frozen=True)
class ToolReply:
    """What came back where the LLM was free to call tools."""

    text: str
    calls: Sequence[Mapping[str, Any]] = ()
    """As the protocol writes them: ``{"id", "type", "function": {"name", "arguments"}}``, the
    arguments JSON in any case."""
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class _Refused(Exception):
    """The server may not know this way of asking."""

    def __init__(self, error: APIStatusError) -> None:
        self.error = error


class Endpoint:
    """Asks the endpoint of a configuration. Connects to nothing before the first `ask`.

    Raises ConfigurationError, at construction, where the settings are incomplete or the key's
    environment variable is not set.
    """

    def __init__(self, settings: LlmSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        if settings.base_url is None or not settings.model:
            raise ConfigurationError(
                "llm: base_url and model belong together: set both, or none for the sampler alone"
            )
        _check_url(settings.base_url)
        self._settings = settings
        self._key = _key(settings)
        self._login = _login(settings)
        self._sleep = sleep
        self._chat: ChatOpenAI | None = None
        self._method = 0
        self._proven = False
        self._tokens_key = "max_tokens"
        self.name = f"{settings.model} at {_without_secrets(settings.base_url)}"

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any], patient: bool) -> Reply:
        """Ask once. Where `patient`, what may pass is tried again as configured.

        Raises EndpointAway. Waits at most the configured time-out for each attempt.
        """
        attempts = 1 + (self._settings.max_retries if patient else 0)
        try:
            reply = self._by_the_best_method(messages, schema, attempts)
        except EndpointAway:
            if not self._proven:
                self._method = 0  # nothing was learnt about the methods
            raise
        self._proven = True
        return reply

    def _by_the_best_method(
        self, messages: Sequence[Message], schema: Mapping[str, Any], attempts: int
    ) -> Reply:
        while True:
            try:
                return self._try(messages, schema, METHODS[self._method], attempts)
            except _Refused as refused:
                if not self._step_down(refused.error):
                    raise self._away(refused.error) from refused.error

    def call_tools(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        seconds: float,
    ) -> ToolReply:
        """Let the LLM call tools, or say that it is done; asked once, for so many seconds at most.

        Raises ToolsRefused where the server takes none, EndpointAway.
        """
        import openai

        body = {
            self._tokens_key: self._settings.max_tokens,
            "tools": list(tools),
            "tool_choice": "auto",
        }
        model = self._model()
        question = [dict(one) for one in messages]
        limit = min(seconds, self._settings.timeout)
        started = time.monotonic()
        try:
            message = within(limit, lambda: self._invoke(model, question, body))
            text, calls, usage = str(message.text), _calls(message), _usage(message)
        except openai.APIStatusError as error:
            if error.status_code in _UNSUPPORTED:
                said = plain_text(self.hide_secrets(_said(error)), 200)
                raise ToolsRefused(f"HTTP {error.status_code}: {said}") from error
            raise self._away(error) from error
        except (openai.OpenAIError, TimeoutError) as error:
            raise self._away(error) from error
        except _LOGIN_TROUBLE as error:
            raise EndpointAway(f"{self.name}: {error}") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ToolsRefused("it answered something that is no chat completion") from error
        return ToolReply(text, calls, usage, round(time.monotonic() - started, 3))

    def models(self, seconds: float) -> list[str] | None:
        """Names of the models that the endpoint has; None where it gives no list of them.

        Waits at most so many seconds. Raises EndpointAway.
        """
        import openai

        listed = self._model().root_client.models.list
        try:
            return within(seconds, lambda: [str(model.id) for model in listed(timeout=seconds)])
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            raise self._away(error) from error
        except (openai.APIConnectionError, TimeoutError) as error:
            raise self._away(error) from error
        except _LOGIN_TROUBLE as error:
            raise EndpointAway(f"{self.name}: {error}") from error
        except (openai.OpenAIError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise EndpointAway(
                f"{self.name} answered something that is no list of models (a web page, a login, "
                "another service?): check llm.base_url, which ends in /v1 for most servers"
            ) from error

    def hide_secrets(self, text: str) -> str:
        """The text without the key, should a server have repeated it."""
        return text.replace(self._key, "***") if self._key else text

    def _step_down(self, error: APIStatusError) -> bool:
        """Go on to another way of asking. False where none is left, or this one has worked."""
        if self._tokens_key == "max_tokens" and "max_completion_tokens" in str(error):
            self._tokens_key = "max_completion_tokens"
            return True
        if self._proven or self._method + 1 == len(METHODS):
            return False
        self._method += 1
        return True

    def _try(
        self, messages: Sequence[Message], schema: Mapping[str, Any], method: Method, attempts: int
    ) -> Reply:
        import openai

        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                return self._once(messages, schema, method)
            except openai.APIStatusError as error:
                code = error.status_code
                searching = not self._proven and method != METHODS[-1]
                # A 500 gets a second chance: it may be an accident and not the way of asking.
                settled = code not in _PASSING or last or attempt > 1
                if code in _UNSUPPORTED and settled and (searching or code not in _PASSING):
                    raise _Refused(error) from error
                if last or code not in _PASSING:
                    raise self._away(error) from error
                self._sleep(_wait(attempt, error.response.headers.get("retry-after")))
            except (openai.APIConnectionError, TimeoutError) as error:
                if last:
                    raise self._away(error) from error
                self._sleep(_wait(attempt, None))
            except openai.OpenAIError as error:
                raise self._away(error) from error
        raise AssertionError("the last attempt answers or raises")

    def _once(
        self, messages: Sequence[Message], schema: Mapping[str, Any], method: Method
    ) -> Reply:
        import openai

        body = {self._tokens_key: self._settings.max_tokens, **_asking(method, schema)}
        if method == "text":
            messages = _with_schema(messages, schema)
        model = self._model()
        question = [dict(one) for one in messages]
        started = time.monotonic()
        try:
            message = within(self._settings.timeout, lambda: self._invoke(model, question, body))
            answer = _text(message), message.response_metadata.get("finish_reason"), _usage(message)
        except openai.OpenAIError:
            raise
        except _LOGIN_TROUBLE as error:
            raise EndpointAway(f"{self.name}: {error}") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # The SDK hands through whatever came: a page of HTML as text, JSON of another shape.
            raise EndpointAway(
                f"{self.name} answered something that is no chat completion (a web page, a login, "
                "another service?): check llm.base_url, which ends in /v1 for most servers"
            ) from error
        text, finish_reason, usage = answer
        seconds = round(time.monotonic() - started, 3)
        return Reply(text, method, finish_reason, usage, seconds)

    def _invoke(
        self, model: ChatOpenAI, question: list[dict[str, Any]], body: dict[str, Any]
    ) -> AIMessage:
        """Ask; where a login's token is refused, once more with another one."""
        import openai

        try:
            return model.invoke(question, extra_body=body)
        except openai.AuthenticationError:
            if self._login is None or self._key is None:
                raise
            self._key = self._login.renew(self._key)
            return model.invoke(question, extra_body=body)

    def _token(self) -> str:
        """The login's token of now, which the client asks for at each request."""
        assert self._login is not None
        self._key = self._login.access_token()
        return self._key

    def _model(self) -> ChatOpenAI:
        if self._chat is None:
            from langchain_openai import ChatOpenAI
            from pydantic import SecretStr

            self._chat = ChatOpenAI(
                base_url=self._settings.base_url,
                model=self._settings.model or "",
                # The SDK wants some key; servers without one do not look at it.
                api_key=self._token if self._login else SecretStr(self._key or "none"),
                temperature=self._settings.temperature,
                timeout=self._settings.timeout,
                max_retries=0,
                use_responses_api=False,
            )
        return self._chat

    def _away(self, error: Exception) -> EndpointAway:
        return EndpointAway(self.hide_secrets(self._explained(error)))

    def _explained(self, error: Exception) -> str:
        import openai

        if isinstance(error, (openai.APITimeoutError, TimeoutError)):
            return (
                f"{self.name} did not answer within {self._settings.timeout:g} s: raise "
                "llm.timeout, or see whether the server is overloaded"
            )
        if isinstance(error, openai.APIConnectionError):
            cause = plain_text(str(_root(error)), 120)
            return f"{self.name} cannot be reached ({cause}): start it, or check llm.base_url"
        if not isinstance(error, openai.APIStatusError):
            return f"{self.name}: {plain_text(str(error), 200)}"
        said = plain_text(_said(error), 200)
        code = error.status_code
        if code in (401, 403):
            return f"{self.name} refused the key (HTTP {code}: {said}): {self._key_remedy()}"
        if code == 404:
            return f"{self.name} answered HTTP 404 ({said}): {self._model_remedy()}"
        if code == 429:
            return f"{self.name} is over its rate limit (HTTP 429: {said}): it is asked again later"
        if code in (400, 413, 422):
            return (
                f"{self.name} refused the request (HTTP {code}: {said}): check llm.max_tokens and "
                "llm.temperature against what the model takes"
            )
        return f"{self.name} failed (HTTP {code}: {said}): see the server's log"

    def _key_remedy(self) -> str:
        if self._login is not None:
            return f"log in again, with an identity that may use it: {self._login.command}"
        variable = self._settings.api_key_env
        if variable is None:
            return "name the environment variable that holds one in llm.api_key_env"
        return f"put a valid key into the environment variable {variable}"

    def _model_remedy(self) -> str:
        """Which models there are, where the server tells."""
        import openai

        try:
            known = [model.id for model in self._model().root_client.models.list().data]
        except (openai.OpenAIError, *_LOGIN_TROUBLE, AttributeError, TypeError, ValueError):
            return "check llm.base_url (it ends in /v1 for most servers) and llm.model"
        names = plain_text(", ".join(map(str, known)), 300)
        return f"set llm.model to one that it has: {names}"


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


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            f"llm.base_url: {url} is no address of a server: write http://HOST:PORT/v1 or https://…"
        )


def _key(settings: LlmSettings) -> str | None:
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise ConfigurationError(
            f"llm.api_key_env: the environment variable {settings.api_key_env} is not set: "
            f"`export {settings.api_key_env}=…` before the run, or set proposer.kind to sampler"
        )
    if not (key.isascii() and key.isprintable()):
        # Errors about such a header would quote it.
        raise ConfigurationError(
            f"llm.api_key_env: {settings.api_key_env} holds a line break or another character that "
            "no key has: set it anew"
        )
    return key


def _login(settings: LlmSettings) -> GlobusLogin | None:
    """The login that the configuration asks for. Raises ConfigurationError where nobody has it."""
    if settings.globus is None:
        return None
    login = GlobusLogin(identity(settings.globus))
    if login.tokens() is None:
        raise ConfigurationError(
            f"llm.globus: nobody has logged in: {login.command}; or set proposer.kind to sampler"
        )
    return login


def _asking(method: Method, schema: Mapping[str, Any]) -> dict[str, Any]:
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


def _with_schema(messages: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    import json

    first, *rest = messages
    content = (
        f"{first['content']}\n\nAnswer with one JSON object and nothing else. It follows this JSON "
        f"schema:\n{json.dumps(schema)}"
    )
    return [{**first, "content": content}, *rest]


def _text(message: AIMessage) -> str:
    """The answer wherever it stands: in a tool call, well formed or not, or in the text."""
    import json

    calls = [json.dumps(call["args"]) for call in message.tool_calls]
    broken = [str(call["args"]) for call in message.invalid_tool_calls if call["args"]]
    refusal = message.additional_kwargs.get("refusal")
    return "\n".join([*calls, *broken]) or str(message.text) or str(refusal or "")


def _calls(message: AIMessage) -> list[dict[str, Any]]:
    """The tool calls, those whose arguments are no JSON as well: their tool says so."""
    import json

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


def _usage(message: AIMessage) -> dict[str, int]:
    told: Mapping[str, Any] = message.usage_metadata or {}
    return {
        name: told[name]
        for name in ("input_tokens", "output_tokens")
        if isinstance(told.get(name), int)
    }


def _wait(attempt: int, retry_after: str | None) -> float:
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


def _said(error: APIStatusError) -> str:
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


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
