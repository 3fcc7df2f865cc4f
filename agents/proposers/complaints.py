"""What a person is told of one endpoint that gives no answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.config.model import LlmSettings
from agents.proposers.address import led_on_to, may_be_a_proxys, proxy_of
from agents.proposers.answer import plain_text
from agents.proposers.credentials import Credentials
from agents.proposers.outages import (
    NO_COMPLETION,
    Circumstances,
    EndpointAway,
    explained,
    passes_by_itself,
)
from agents.proposers.refusals import PASSING, REFUSED_KEY, said_in


class Complaints:
    """Of the endpoint with a name, as its settings have it."""

    def __init__(self, name: str, settings: LlmSettings, credentials: Credentials) -> None:
        self._name = name
        self._settings = settings
        self._credentials = credentials

    def away(self, error: Exception, model_remedy: Callable[[], str | None]) -> EndpointAway:
        """Of an error on the way, or of a status. `model_remedy`: what to do about the model, where
        it is the model's fault."""
        at = Circumstances(
            self._name,
            self._settings.timeout,
            self._credentials.hide,
            not self._credentials.are_none,
            self._credentials.remedy,
            model_remedy,
            self._settings.extra_body,
        )
        words = explained(error, at) + self._on_the_way(error)
        if getattr(error, "status_code", None) in REFUSED_KEY:
            return EndpointAway(words, self._credentials.have_changed, refuses=True)
        return EndpointAway(words, passes=passes_by_itself(error))

    def instead(self, error: Exception) -> EndpointAway:
        """Of what came in a completion's place: routers hand on an upstream's error as an answer."""
        [told] = error.args if len(error.args) == 1 else [None]
        if not isinstance(told, Mapping) or not told.get("message"):
            return EndpointAway(f"{self._name} {NO_COMPLETION}")
        said = plain_text(self._credentials.hide(said_in(told)), 200)
        code = told.get("code")
        return EndpointAway(
            f"{self._name} answered with an error ({said}): see its log, or the provider's",
            passes=isinstance(code, int) and code in PASSING,
        )

    def without_login(self, error: Exception) -> EndpointAway:
        """Of a login that is missing, refused or out of reach."""
        return EndpointAway(f"{self._name}: {error}", mended=self._credentials.have_changed)

    def _on_the_way(self, error: Exception) -> str:
        """What lay between, where that may be to blame."""
        elsewhere = led_on_to(error)
        words = ""
        if elsewhere is not None:
            words = (
                f"; it led on to {self._credentials.hide(elsewhere)}, and a redirect may lose the "
                "question or the key: write that address into llm.base_url if it is right"
            )
        proxy = proxy_of(self._settings.base_url or "")
        if proxy is not None and may_be_a_proxys(error):
            words += (
                f"; it was asked through the environment's proxy {proxy}, if that is wrong set "
                "NO_PROXY to its host"
            )
        return words
