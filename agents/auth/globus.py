"""Globus Auth's native-app flow with refresh tokens (RFC 6749, RFC 7636), by globus-sdk.

A person logs in once, in any browser; afterwards access tokens are renewed by themselves until the
service wants to see the person again.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents.auth.errors import LoginAway, LoginRequired
from agents.auth.identity import Identity
from agents.auth.store import Tokens, TokenStore

if TYPE_CHECKING:
    from globus_sdk import AuthAPIError, NativeAppAuthClient, OAuthTokenResponse

RENEW_BEFORE_SECONDS = 300.0
"""An access token with less left is renewed before it is used."""
_VERDICTS = (400, 401, 403)
"""HTTP status codes with which the service refuses, in JSON (RFC 6749, 5.2). Anything else, as a
proxy's page, says nothing about a login."""
_OTHER_ANSWERS = (ValueError, LookupError, TypeError, AttributeError)
"""What the SDK raises where a page of HTML or other JSON comes in the place of tokens."""
OPENID = ("openid", "profile", "email")
"""Scopes that tell whose login it is."""


class GlobusLogin:
    """One person's login at one service. `access_token` is asked for at each request."""

    def __init__(self, identity: Identity, store: TokenStore | None = None) -> None:
        self._identity = identity
        self._store = store or TokenStore(identity.client_id)
        self._flow: NativeAppAuthClient | None = None

    @property
    def path(self) -> str:
        """The file with the tokens."""
        return str(self._store.path)

    @property
    def command(self) -> str:
        """What a person types to log in."""
        return f"python -m agents.run auth login {self._identity.login_words}".rstrip()

    # -- by a person -----------------------------------------------------------------------------

    def begin(self) -> str:
        """Begin a login. Returns the address that a person opens in a browser."""
        from globus_sdk import MISSING

        self._flow = self._client()
        self._flow.oauth2_start_flow(
            requested_scopes=[self._identity.scope, *OPENID],
            refresh_tokens=True,
            prefill_named_grant="Pilothouse",
        )
        return self._flow.oauth2_get_authorize_url(
            session_required_single_domain=list(self._identity.domains) or MISSING, prompt="login"
        )

    def complete(self, code: str) -> Tokens:
        """End the login with the code that the browser showed. Raises LoginRequired, LoginAway."""
        import globus_sdk

        assert self._flow is not None, "begin comes first"
        try:
            response = self._flow.oauth2_exchange_code_for_tokens(code.strip())
        except globus_sdk.AuthAPIError as error:
            raise LoginRequired(
                f"the login service did not take the code (HTTP {error.http_status}, "
                f"{_words(error)}): codes work once and for ten minutes; begin again: "
                f"{self.command}"
            ) from error
        except (globus_sdk.GlobusError, *_OTHER_ANSWERS) as error:
            raise LoginAway(_unreachable(error)) from error
        now = time.time()
        tokens = self._read(response, now, user=_user_of(response.get("id_token")))
        with self._store.turn():
            self._store.save(tokens)
        return tokens

    def log_out(self) -> bool:
        """Forget the tokens, here and, where it can be reached, at the service. False: none."""
        import globus_sdk

        with self._store.turn():
            tokens = self._store.load()
            self._store.remove()
        if tokens is None:
            return False
        client = self._client()
        for token in (tokens.access_token, tokens.refresh_token):
            try:
                client.oauth2_revoke_token(token or "")
            except globus_sdk.GlobusError as error:
                raise LoginAway(
                    f"logged out here, but the service was not told: {_unreachable(error)}"
                ) from error
        return True

    # -- by a run --------------------------------------------------------------------------------

    def tokens(self) -> Tokens | None:
        """The login as it is; None where there is none for this scope. Raises ConfigurationError."""
        found = self._store.load()
        return found if found is not None and found.scope == self._identity.scope else None

    def access_token(self) -> str:
        """A token that is good for the next minutes. Raises LoginRequired, LoginAway."""
        tokens = self._required(self.tokens())
        if tokens.expires_at - time.time() > RENEW_BEFORE_SECONDS:
            return tokens.access_token
        try:
            return self._renewed(tokens).access_token
        except LoginAway:
            if tokens.expires_at > time.time():
                return tokens.access_token
            raise

    def renew(self, refused: str) -> str:
        """Another token than `refused`, which the endpoint did not take. As `access_token`."""
        tokens = self._required(self.tokens())
        if tokens.access_token != refused:
            return tokens.access_token
        return self._renewed(tokens).access_token

    def refresh(self) -> Tokens:
        """Renew the login now, though it may not be time: whether the service still knows it can be
        seen in no other way. Raises LoginRequired, LoginAway."""
        return self._renewed(self._required(self.tokens()), tries=2)

    @property
    def has_changed(self) -> bool:
        """Whether somebody has logged in or out, or renewed, since the login was last looked at."""
        return self._store.has_changed

    def _renewed(self, seen: Tokens, tries: int = 6) -> Tokens:
        """Other tokens than those seen, which are kept, by one process of several."""
        with self._store.turn():
            tokens = self._required(self.tokens())
            if tokens.access_token != seen.access_token:
                return tokens  # another process was faster
            new = self._asked_for(tokens, tries)
            self._store.save(new)
            return new

    def _asked_for(self, tokens: Tokens, tries: int) -> Tokens:
        """New tokens in exchange for the refresh token."""
        import globus_sdk

        if tokens.refresh_token is None:
            raise LoginRequired(f"the login has expired: log in again: {self.command}")
        client = self._client()
        try:
            with client.retry_config.tune(max_retries=tries - 1):
                response = client.oauth2_refresh_token(tokens.refresh_token)
        except globus_sdk.AuthAPIError as error:
            if error.http_status not in _VERDICTS or not isinstance(error.raw_json, dict):
                raise LoginAway(_unreachable(error)) from error
            said = _words(error).replace(tokens.refresh_token, "***")
            raise LoginRequired(
                f"the login service does not renew the login (HTTP {error.http_status}, {said}): "
                f"log in again: {self.command}"
            ) from error
        except (globus_sdk.GlobusError, *_OTHER_ANSWERS) as error:
            raise LoginAway(_unreachable(error)) from error
        return self._read(response, tokens.logged_in_at, tokens.user, tokens.refresh_token)

    def _required(self, tokens: Tokens | None) -> Tokens:
        if tokens is None:
            raise LoginRequired(f"nobody has logged in: {self.command}")
        return tokens

    def _client(self) -> NativeAppAuthClient:
        from globus_sdk import NativeAppAuthClient

        return NativeAppAuthClient(self._identity.client_id, app_name="Pilothouse")

    def _read(
        self,
        response: OAuthTokenResponse,
        logged_in_at: float,
        user: str,
        old_refresh_token: str | None = None,
    ) -> Tokens:
        """The tokens of our scope's resource server in an answer that may hold those of several."""
        for found in response.by_resource_server.values():
            if self._identity.scope in str(found["scope"]).split():
                return Tokens(
                    access_token=found["access_token"],
                    expires_at=float(found["expires_at_seconds"]),
                    refresh_token=found.get("refresh_token") or old_refresh_token,
                    scope=self._identity.scope,
                    user=user,
                    logged_in_at=logged_in_at,
                )
        raise LoginRequired(
            f"the login service gave no token for {self._identity.scope}: was the consent given? "
            f"{self.command}"
        )


def _user_of(id_token: str | None) -> str:
    """Whose login it is. The token came from its issuer over TLS: OpenID Connect Core 3.1.3.7."""
    try:
        part = str(id_token).split(".")[1]
        claims: Mapping[str, Any] = json.loads(
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        )
        return str(claims.get("preferred_username") or claims.get("email") or "")
    except (IndexError, ValueError, AttributeError):
        return ""


def _words(error: AuthAPIError) -> str:
    said = error.raw_json if isinstance(error.raw_json, dict) else {}
    return str(said.get("error_description") or said.get("error") or "no reason given")[:200]


def _unreachable(error: Exception) -> str:
    import globus_sdk

    if isinstance(error, _OTHER_ANSWERS):
        return (
            "the login service answered something else than tokens: is there a proxy or a sign-in "
            "page of the network between?"
        )
    if isinstance(error, globus_sdk.GlobusAPIError):
        return f"the login service does not answer (HTTP {error.http_status})"
    return f"the login service does not answer ({type(error).__name__}: {str(error)[:200]})"
