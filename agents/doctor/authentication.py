"""Whether we are known to an endpoint that asks who we are, and until when."""

from __future__ import annotations

import os
import time
from datetime import datetime

from agents.auth.errors import LoginAway, LoginRequired
from agents.auth.globus import GlobusLogin
from agents.auth.identity import identity
from agents.config.model import GlobusSettings, Settings
from agents.doctor.check import Check, Doing, failed, ok, skipped, warning
from agents.errors import ConfigurationError
from agents.proposers.endpoint import within
from agents.screen import duration_text

NAME = "authentication"
SECONDS = 30.0
"""Time limit of a renewal at the login service."""


def authentication_checks(settings: Settings, doing: Doing) -> list[Check]:
    """Of a key only its presence can be seen; the endpoint's own answer tells whether it is good.

    A login is renewed, as a run would when its token ends: whether the service still does so can be
    seen in no other way.
    """
    llm = settings.llm
    if llm.base_url is None or settings.proposer.kind == "sampler":
        return []
    if llm.globus is not None:
        doing("the login")
        return [_login(llm.globus)]
    if llm.api_key_env is None:
        return [skipped(NAME, "no llm.api_key_env: the endpoint wants no key")]
    if not os.environ.get(llm.api_key_env, "").strip():
        what = f"the environment variable {llm.api_key_env} is not set"
        return [
            failed(NAME, what, f"`export {llm.api_key_env}=…`, in every shell that starts a run")
        ]
    return [ok(NAME, f"there is a key in {llm.api_key_env}")]


def _login(settings: GlobusSettings) -> Check:
    try:
        login = GlobusLogin(identity(settings))
        tokens = login.tokens()
        if tokens is None:
            return failed(NAME, "nobody is logged in", login.command)
        within(SECONDS, login.refresh if tokens.refresh_token else login.access_token)
        tokens = login.tokens() or tokens
    except ConfigurationError as error:
        return failed(NAME, str(error), "mend llm.globus, or log in again")
    except LoginRequired as error:
        if tokens is None or tokens.expires_at <= time.time():
            return failed(NAME, str(error), login.command)
        return warning(NAME, f"good until {_clock(tokens.expires_at)} only: {error}", login.command)
    except (LoginAway, TimeoutError) as error:
        said = str(error) or f"the login service did not answer within {SECONDS:g} s"
        return warning(NAME, said, "the sampler proposes until it is back")
    whose = f"logged in as {tokens.user}" if tokens.user else "logged in"
    left = duration_text(max(0.0, tokens.expires_at - time.time()))
    seen = f"{whose}; access token for {left} (until {_clock(tokens.expires_at)})"
    if tokens.refresh_token is None:
        return warning(NAME, f"{seen}, not renewed by itself", f"for a longer run: {login.command}")
    return ok(NAME, f"{seen}, renewed by itself")


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")
