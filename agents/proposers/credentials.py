"""What an endpoint is shown to let us in: a key of the environment, a login's token, or nothing."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from agents.auth.errors import LoginAway, LoginRequired
from agents.auth.globus import GlobusLogin
from agents.auth.identity import identity
from agents.config.model import LlmSettings
from agents.errors import ConfigurationError

LOGIN_TROUBLE = (LoginRequired, LoginAway, ConfigurationError)
"""What a login says in the middle of a run, the last where its file was changed meanwhile."""

SHORTEST_SECRET = 8
"""Characters of a key that is worth hiding. A server without keys is given some word in place of
one, and an answer must not lose a letter for it."""


class Credentials:
    """Those of a configuration. Raises ConfigurationError, at construction, where they are missing."""

    def __init__(self, settings: LlmSettings) -> None:
        self._variable = settings.api_key_env
        self._shown: str | None = None
        self._forms: dict[str, None] = {}
        self._hide_those_of(settings.base_url or "")
        self._show(_key(settings.api_key_env))
        self._login = _login(settings)

    @property
    def is_login(self) -> bool:
        """Whether a token of a login is shown, which can be renewed."""
        return self._login is not None

    @property
    def are_none(self) -> bool:
        """Whether nothing is shown."""
        return self._login is None and self._variable is None

    def key(self) -> str:
        """What is shown now; empty for nothing. Raises LoginRequired, LoginAway."""
        if self._login is not None:
            self._show(self._login.access_token())
        return self._shown or ""

    def renew(self) -> bool:
        """After a refusal: whether there is something else to show. Raises as `key`."""
        if self._login is None or self._shown is None:
            return False
        self._show(self._login.renew(self._shown))
        return True

    def hide(self, text: str) -> str:
        """The text without what was ever shown, should a server have repeated it."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text

    def have_changed(self) -> bool:
        """Whether a person has logged in or out since they were last shown."""
        return self._login is not None and self._login.has_changed

    def _show(self, secret: str | None) -> None:
        self._shown = secret
        self._keep_hidden(secret or "")

    def _hide_those_of(self, url: str) -> None:
        """What stands in an address: a password, which is sent in base64 (RFC 7617), a query."""
        parts = urlsplit(url)
        if parts.password:
            user, password = unquote(parts.username or ""), unquote(parts.password)
            self._keep_hidden(password)
            self._keep_hidden(b64encode(f"{user}:{password}".encode()).decode())
        for _, value in parse_qsl(parts.query):
            self._keep_hidden(value)

    def _keep_hidden(self, secret: str) -> None:
        if len(secret) >= SHORTEST_SECRET:
            self._forms |= dict.fromkeys((secret, json.dumps(secret)[1:-1], quote(secret, safe="")))

    @property
    def remedy(self) -> str:
        """What a person does where it is refused."""
        if self._login is not None:
            return f"log in again, with an identity that may use it: {self._login.command}"
        if self._variable is None:
            return "name the environment variable that holds one in llm.api_key_env"
        return f"put a valid key into the environment variable {self._variable}"


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigurationError(
            f"llm.api_key_env: the environment variable {variable} is not set: "
            f"`export {variable}=…` before the run, or set proposer.kind to sampler"
        )
    if not (key.isascii() and key.isprintable()):
        # Errors about such a header would quote it.
        raise ConfigurationError(
            f"llm.api_key_env: {variable} holds a line break or another character that no key has: "
            "set it anew"
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
