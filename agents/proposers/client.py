"""The client of an endpoint: LangChain's, which also tells what a model thought.

Imports what takes a second to import: to be imported where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from agents.config.model import LlmSettings
from agents.errors import ConfigurationError
from agents.proposers.address import base_and_query
from agents.proposers.chat import THOUGHTS
from agents.proposers.credentials import Credentials
from agents.proposers.json_text import unpacked

_FIELDS = ("reasoning_content", "reasoning")
"""Where servers put what a model thought: SGLang, DeepSeek and vLLM before 0.12; the others."""


class _Chat(ChatOpenAI):
    """Keeps the thoughts, which LangChain's own class leaves out, and the calls of tools that it refuses
    for the form of their arguments."""

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        for call in _calls_in(response):
            call.function.arguments = _as_text(call.function.arguments)
        result = super()._create_chat_result(response, generation_info)
        for choice, generation in zip(
            getattr(response, "choices", None) or (), result.generations, strict=False
        ):
            told = getattr(choice.message, "model_extra", None) or {}
            thoughts = next((told[name] for name in _FIELDS if told.get(name)), None)
            if isinstance(generation.message, AIMessage) and isinstance(thoughts, str):
                generation.message.additional_kwargs[THOUGHTS] = thoughts
        return result


def _calls_in(response: Any) -> Iterator[Any]:
    for choice in getattr(response, "choices", None) or ():
        for call in getattr(choice.message, "tool_calls", None) or ():
            if getattr(call, "function", None) is not None:
                yield call


def _as_text(arguments: object) -> object:
    """Arguments as JSON in a text: some servers leave them an object, some encode them twice."""
    if isinstance(arguments, dict):
        return json.dumps(arguments)
    inner = unpacked(arguments)
    return inner if isinstance(inner, str) else arguments


def chat_client(settings: LlmSettings, credentials: Credentials) -> ChatOpenAI:
    """The client. Raises ConfigurationError where the environment names a proxy or certificates that
    cannot be used."""
    base, query = base_and_query(settings.base_url or "")
    key = credentials.key
    try:
        return _Chat(
            base_url=base,
            default_query=query or None,
            model=settings.model or "",
            # The SDK wants some key; servers without one do not look at it.
            api_key=key if credentials.is_login else SecretStr(key() or "none"),
            timeout=settings.timeout,
            max_retries=0,
            use_responses_api=False,
        )
    except ImportError as error:
        raise ConfigurationError(
            "the environment names a SOCKS proxy (ALL_PROXY), for which the package socksio is "
            "missing: `pip install socksio`, or unset it"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"its certificates cannot be read ({error.strerror or type(error).__name__}): see the "
            "environment variables SSL_CERT_FILE and SSL_CERT_DIR"
        ) from error
    except ValueError as error:
        # Its words may repeat the address of a proxy with its password.
        raise ConfigurationError(
            "an address in the environment is none that can be used: see HTTP_PROXY, HTTPS_PROXY, "
            "ALL_PROXY and NO_PROXY"
        ) from error
