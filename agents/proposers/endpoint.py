"""One OpenAI-compatible endpoint: a question with a JSON schema, an answer as text.

The ways of asking for structured output (`chat.Method`) are tried from the strictest to the
plainest, and the first one that works is remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from agents.config.model import LlmSettings
from agents.errors import ConfigurationError
from agents.proposers.address import check_address, without_secrets
from agents.proposers.answer import plain_text
from agents.proposers.chat import (
    METHODS,
    Message,
    Method,
    Reply,
    ToolReply,
    asking,
    calls_of,
    ending_of,
    misfiled,
    text_of,
    usage_of,
    with_schema,
)
from agents.proposers.complaints import Complaints
from agents.proposers.credentials import LOGIN_TROUBLE, Credentials
from agents.proposers.outages import (
    MAX_WAIT,
    EndpointAway,
    ToolsRefused,
    wait_before_next,
    within,
)
from agents.proposers.refusals import (
    PASSING,
    UNSUPPORTED,
    is_filtered,
    is_too_long,
    said_by,
    status_of,
)
from agents.proposers.terms import Terms

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_openai import ChatOpenAI
    from openai import APIStatusError

__all__ = [
    "MAX_WAIT",
    "METHODS",
    "Endpoint",
    "EndpointAway",
    "Message",
    "Method",
    "Reply",
    "ToolReply",
    "ToolsRefused",
    "within",
]


LIST_SECONDS = 20.0
"""For a list of models that a message is to name."""
MAX_REASON = 300
"""Characters in which a server says why it refuses a request."""
_ENDED = (None, "stop", "tool_calls")
"""How an answer ends that was neither cut off nor held back."""

T = TypeVar("T")


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
        check_address(settings.base_url, bool(settings.api_key_env or settings.globus))
        self._settings = settings
        self._credentials = Credentials(settings)
        self._sleep = sleep
        self._chat: ChatOpenAI | None = None
        self._method = 0
        self._proven = False
        self._tools_failed = False
        """Whether the last question with tools was answered with a 500."""
        self._terms = Terms(settings)
        self.context: int | None = None
        """Tokens of a question and its answer, where the list of models has told (vLLM)."""
        self.name = f"{settings.model} at {without_secrets(settings.base_url)}"
        self._complaints = Complaints(self.name, settings, self._credentials)

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
        self._proven = self._proven or bool(reply.text.strip())
        # A server that looks for thoughts may take a guided answer for one, and hand on nothing.
        if not self._proven and reply.finish_reason in _ENDED:
            self._method = (self._method + 1) % len(METHODS)
        return replace(reply, notices=self._terms.news())

    def _by_the_best_method(
        self, messages: Sequence[Message], schema: Mapping[str, Any], attempts: int
    ) -> Reply:
        while True:
            try:
                return self._try(messages, schema, METHODS[self._method], attempts)
            except _Refused as refused:
                said = self._reason(refused.error)
                settled = is_too_long(said) or is_filtered(said)  # whatever the way of asking
                if not (self._terms.adapted(said) or (not settled and self._step_down())):
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

        body = {**self._terms.body, "tools": list(tools), "tool_choice": "auto"}
        model = self._model()
        question = [dict(one) for one in messages]
        limit = min(seconds, self._settings.timeout)
        started = time.monotonic()
        try:
            message = within(limit, lambda: self._invoke(model, question, body), self._look)
            text, calls, usage = str(message.text), calls_of(message), usage_of(message)
        except openai.APIStatusError as error:
            said, code = self._reason(error), status_of(error)
            if is_too_long(said):
                raise self._away(error) from error  # the question proper is shorter
            if code in UNSUPPORTED and self._terms.adapted(said):
                return self.call_tools(messages, tools, seconds)
            if self._are_tools_refused(code):
                words = plain_text(said_by(error, self.hide_secrets), 200)
                raise ToolsRefused(f"HTTP {code}: {words}") from error
            raise self._away(error) from error
        except TimeoutError as error:
            if limit == self._settings.timeout:
                raise self._away(error) from error
            raise EndpointAway(
                f"{self.name} took longer than llm.tools.seconds leaves ({limit:.3g} s)"
            ) from error
        except openai.OpenAIError as error:
            raise self._away(error) from error
        except LOGIN_TROUBLE as error:
            raise self._complaints.without_login(error) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ToolsRefused("it answered something that is no chat completion") from error
        self._tools_failed = False
        text, calls = self.hide_secrets(text), [self._hidden(call) for call in calls]
        return ToolReply(text, calls, usage, round(time.monotonic() - started, 3))

    def _are_tools_refused(self, code: int) -> bool:
        """Whether a server that answers so to a question with tools takes none. A 500 may be an
        accident the first time; a router answers 404 where none of a model's providers takes tools.
        """
        failed, self._tools_failed = self._tools_failed, code == 500
        if code == 500:
            return failed
        return code in UNSUPPORTED or (code == 404 and self._proven)

    def models(self, seconds: float) -> list[str] | None:
        """Names of the models that the endpoint has; None where it gives no list of them.

        Waits at most so many seconds. Raises EndpointAway.
        """
        import openai

        model = self._model()  # which imports a good deal: that is not the server's time
        try:
            return within(
                seconds, lambda: self._renewing(lambda: self._listed(model, seconds)), self._look
            )
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            raise self._away(error, of_models=True) from error
        except (openai.APIConnectionError, TimeoutError) as error:
            raise self._away(error, of_models=True) from error
        except LOGIN_TROUBLE as error:
            raise self._complaints.without_login(error) from error
        except (openai.OpenAIError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise EndpointAway(
                f"{self.name} answered something that is no list of models (a web page, a login, "
                "another service?): check llm.base_url, which ends in /v1 for most servers"
            ) from error

    def _listed(self, model: ChatOpenAI, seconds: float) -> list[str]:
        found = list(model.root_client.models.list(timeout=seconds))
        lengths = [getattr(o, "max_model_len", None) for o in found if o.id == self._settings.model]
        self.context = next((one for one in lengths if isinstance(one, int)), None)
        return [self.hide_secrets(str(one.id)) for one in found]

    def _look(self) -> None:
        """Whether anybody wants the waiting to end."""
        self._sleep(0.0)

    def hide_secrets(self, text: str) -> str:
        """The text without the key, should a server have repeated it."""
        return self._credentials.hide(text)

    def _hidden(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = {name: self.hide_secrets(said) for name, said in call["function"].items()}
        return {**call, "id": self.hide_secrets(call["id"]), "function": function}

    def _reason(self, error: APIStatusError) -> str:
        """Why a request was refused; a server may quote the question after its own words."""
        return said_by(error, self.hide_secrets)[:MAX_REASON]

    def _step_down(self) -> bool:
        """Go on to another way of asking. False where none is left, or this one has worked."""
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
                code = status_of(error)
                searching = not self._proven and method != METHODS[-1]
                # A 500 gets a second chance: it may be an accident and not the way of asking.
                settled = code not in PASSING or last or attempt > 1
                if code in UNSUPPORTED and settled and (searching or code not in PASSING):
                    raise _Refused(error) from error
                if last or code not in PASSING:
                    raise self._away(error) from error
                self._sleep(wait_before_next(attempt, error.response.headers.get("retry-after")))
            except (openai.APIConnectionError, TimeoutError) as error:
                if last:
                    raise self._away(error) from error
                self._sleep(wait_before_next(attempt, None))
            except openai.OpenAIError as error:
                raise self._away(error) from error
            except EndpointAway as error:
                if last or not error.passes:
                    raise
                self._sleep(wait_before_next(attempt, None))
        raise AssertionError("the last attempt answers or raises")

    def _once(
        self, messages: Sequence[Message], schema: Mapping[str, Any], method: Method
    ) -> Reply:
        import openai

        body = {**self._terms.body, **asking(method, schema)}
        if method == "text":
            messages = with_schema(messages, schema)
        model = self._model()
        question = [dict(one) for one in messages]
        started = time.monotonic()
        try:
            limit = self._settings.timeout
            message = within(limit, lambda: self._invoke(model, question, body), self._look)
            answer = (
                text_of(message),
                ending_of(message, self._terms.max_tokens),
                usage_of(message),
            )
        except openai.OpenAIError:
            raise
        except LOGIN_TROUBLE as error:
            raise self._complaints.without_login(error) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # The SDK hands through whatever came: a page of HTML as text, JSON of another shape.
            raise self._complaints.instead(error) from error
        text, finish_reason, usage = answer
        text, finish_reason = self.hide_secrets(text), self.hide_secrets(str(finish_reason or ""))
        seconds = round(time.monotonic() - started, 3)
        return Reply(text, method, finish_reason or None, usage, seconds)

    def _invoke(
        self, model: ChatOpenAI, question: list[dict[str, Any]], body: dict[str, Any]
    ) -> AIMessage:
        try:
            return self._renewing(lambda: model.invoke(question, extra_body=body))
        except ValueError as error:
            salvaged = misfiled(error)
            if salvaged is None:
                raise
            return salvaged

    def _renewing(self, request: Callable[[], T]) -> T:
        """The request; where a login's token is refused, once more with another one."""
        import openai

        try:
            return request()
        except openai.AuthenticationError:
            if not self._credentials.renew():
                raise
            return request()

    def _model(self) -> ChatOpenAI:
        """Raises EndpointAway where the environment lets no client be made."""
        if self._chat is None:
            from agents.proposers.client import chat_client

            try:
                self._chat = chat_client(self._settings, self._credentials)
            except ConfigurationError as error:
                raise EndpointAway(f"{self.name} cannot be asked: {error}") from error
        return self._chat

    def _away(self, error: Exception, *, of_models: bool = False) -> EndpointAway:
        """`of_models`: the question was which models there are."""
        return self._complaints.away(error, _no_remedy if of_models else self._model_remedy)

    def _model_remedy(self) -> str | None:
        """Which models there are, where the server tells, and ours is none of them."""
        try:
            known = self.models(min(LIST_SECONDS, self._settings.timeout))
        except EndpointAway:
            return None
        if known is None or self._settings.model in known:
            return None
        names = plain_text(", ".join(known), 300) or "(it has none)"
        return f"set llm.model to one that it has: {names}"


def _no_remedy() -> None:
    return None
