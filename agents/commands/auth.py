"""``auth``: a person's login at the service before an LLM endpoint."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agents.auth.errors import LoginAway, LoginRequired
from agents.auth.globus import GlobusLogin
from agents.auth.identity import identity, preset
from agents.auth.store import Tokens
from agents.config import load
from agents.errors import ConfigurationError
from agents.proposers.outages import within

CHECK_SECONDS = 20.0
"""Time limit for asking the login service whether it still renews a login."""


def login_of(config: Path | None, preset_name: str | None) -> GlobusLogin:
    """The login that is meant. Raises ConfigurationError."""
    if (config is None) == (preset_name is None):
        raise ConfigurationError("auth: give --config FILE or --preset NAME, one of them")
    if preset_name is not None:
        return GlobusLogin(preset(preset_name))
    assert config is not None
    settings = load(config).settings.llm.globus
    if settings is None:
        raise ConfigurationError(
            f"{config}: there is no llm.globus, so there is nothing to log in for; add "
            "`globus: {preset: alcf}` below llm, or give --preset alcf"
        )
    return GlobusLogin(identity(settings))


def log_in(login: GlobusLogin) -> str:
    """Lead a person through a login. Returns what there is then."""
    print(f"Open this address in a browser, anywhere:\n\n  {login.begin()}\n", flush=True)
    print("Then type the code that it shows: ", end="", flush=True)
    code = sys.stdin.readline().strip()
    if not code:
        raise ConfigurationError(
            "no code came: `auth login` needs a person at a terminal (or the code on its input)"
        )
    return f"logged in{_whose(login.complete(code))}; the tokens are in {login.path}"


@dataclass(frozen=True)
class Renewal:
    """Whether the service still renews a login, as far as it was asked."""

    works: bool | None
    """None where it is not known."""
    why: str


def login_status(login: GlobusLogin, as_json: bool, offline: bool) -> tuple[str, bool]:
    """Whose login there is, and whether it can be used without a person.

    The service is asked to renew it, for that is the only way to see whether it still would.
    """
    tokens = login.tokens()
    if tokens is None:
        if as_json:
            return _as_json(login, None, None, False), False
        return f"nobody is logged in; to log in: {login.command}", False
    renewal = None
    if tokens.refresh_token is not None:
        renewal = Renewal(None, "--offline") if offline else _renewal(login)
        tokens = login.tokens() or tokens
    usable = tokens.expires_at > time.time() if renewal is None else renewal.works is not False
    if as_json:
        return _as_json(login, tokens, renewal, usable), usable
    lines = [
        f"logged in{_whose(tokens)} since {_local(tokens.logged_in_at)}",
        _until(login, tokens, renewal),
        f"for {tokens.scope}",
        f"in {login.path}",
    ]
    return "\n".join(lines), usable


def _renewal(login: GlobusLogin) -> Renewal:
    try:
        within(CHECK_SECONDS, login.refresh)
    except LoginRequired as error:
        return Renewal(False, str(error))
    except TimeoutError:
        return Renewal(None, f"the login service did not answer within {CHECK_SECONDS:g} s")
    except LoginAway as error:
        return Renewal(None, str(error))
    return Renewal(True, "asked just now")


def _until(login: GlobusLogin, tokens: Tokens, renewal: Renewal | None) -> str:
    """How long the login lasts, and when a person is wanted."""
    is_over = tokens.expires_at <= time.time()
    token = f"access token {'ended' if is_over else 'until'} {_local(tokens.expires_at)}"
    if renewal is None:
        renewal = Renewal(False, f"there is no refresh token: log in again: {login.command}")
    if renewal.works is False:
        return f"{token}; a person is wanted {'now' if is_over else 'by then'}: {renewal.why}"
    if renewal.works is None:
        return f"{token}, renewed by itself if the service still does: not known ({renewal.why})"
    return f"{token}, renewed by itself ({renewal.why})"


def _as_json(
    login: GlobusLogin, tokens: Tokens | None, renewal: Renewal | None, usable: bool
) -> str:
    document: dict[str, object] = {"file": login.path, "usable": usable, "login": None}
    if tokens is not None:
        document["login"] = {
            "user": tokens.user,
            "logged_in_at": _utc(tokens.logged_in_at),
            "access_token_until": _utc(tokens.expires_at),
            "renewed_by_itself": renewal.works if renewal is not None else False,
            "why": renewal.why if renewal is not None else "there is no refresh token",
            "scope": tokens.scope,
        }
    return json.dumps(document, indent=2)


def _whose(tokens: Tokens) -> str:
    return f" as {tokens.user}" if tokens.user else ""


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
