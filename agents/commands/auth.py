"""``auth``: a person's login at the service before an LLM endpoint."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from agents.auth.globus import GlobusLogin
from agents.auth.identity import identity, preset
from agents.auth.store import Tokens
from agents.config import load
from agents.errors import ConfigurationError


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


def login_status(login: GlobusLogin, as_json: bool) -> tuple[str, bool]:
    """Whose login there is, and whether it can be used without a person."""
    tokens = login.tokens()
    usable = tokens is not None and (
        tokens.refresh_token is not None or tokens.expires_at > time.time()
    )
    if as_json:
        document = None if tokens is None else _facts(tokens)
        text = json.dumps({"file": login.path, "usable": usable, "login": document}, indent=2)
        return text, usable
    if tokens is None:
        return f"nobody is logged in; to log in: {login.command}", usable
    renewed = "renewed by itself" if tokens.refresh_token else "not renewed: log in again then"
    lines = [
        f"logged in{_whose(tokens)} since {_local(tokens.logged_in_at)}",
        f"access token until {_local(tokens.expires_at)}, {renewed}",
        f"for {tokens.scope}",
        f"in {login.path}",
    ]
    return "\n".join(lines), usable


def _facts(tokens: Tokens) -> dict[str, str | bool]:
    return {
        "user": tokens.user,
        "logged_in_at": _utc(tokens.logged_in_at),
        "access_token_until": _utc(tokens.expires_at),
        "renewed_by_itself": tokens.refresh_token is not None,
        "scope": tokens.scope,
    }


def _whose(tokens: Tokens) -> str:
    return f" as {tokens.user}" if tokens.user else ""


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
