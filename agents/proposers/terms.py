"""What goes with each question beside its words, as far as the model takes it. It is learnt from what
the server refuses, once, and remembered."""

from __future__ import annotations

from typing import Any

from agents.config.model import LlmSettings
from agents.proposers.refusals import is_too_long

FEWEST = 500
"""Tokens below which an answer is no use; a model with less room is left to the person."""


class Terms:
    """The length of an answer, the temperature and a person's own fields, as configured; the first
    two until they are refused."""

    def __init__(self, settings: LlmSettings) -> None:
        self.max_tokens = settings.max_tokens
        self._tokens_key = "max_tokens"
        self._temperature = settings.temperature
        self._extra = settings.extra_body
        self._news: list[str] = []

    @property
    def body(self) -> dict[str, Any]:
        """The fields of a request."""
        warmth = {} if self._temperature is None else {"temperature": self._temperature}
        return {**self._extra, self._tokens_key: self.max_tokens, **warmth}

    def adapted(self, said: str) -> bool:
        """Whether a request that was refused in these words can be put in another way."""
        # First: what says that an answer is too long for the context names both keys of its length.
        if is_too_long(said) and self.max_tokens >= 2 * FEWEST:
            self.max_tokens //= 2
            self._tell_of_length()
            return True
        if "max_completion_tokens" in said and self._tokens_key == "max_tokens":
            self._tokens_key = "max_completion_tokens"
            return True
        if "temperature" in said and self._temperature is not None:
            self._temperature = None
            self._news.append("The model does not take llm.temperature; its own is used.")
            return True
        return False

    def news(self) -> list[str]:
        """What a person should be told of it, each once."""
        told, self._news = self._news, []
        return told

    def _tell_of_length(self) -> None:
        kept = [line for line in self._news if "llm.max_tokens" not in line]
        self._news = [
            *kept,
            f"The model has no room for llm.max_tokens beside the question: an answer gets "
            f"{self.max_tokens}. Lower llm.prompt_tokens, or serve it with a longer context.",
        ]
