"""Whether we are known to an endpoint that asks who we are."""

from __future__ import annotations

import os

from agents.config.model import GlobusSettings, Settings
from agents.doctor.check import Check, Doing, failed, ok, skipped
from agents.errors import ConfigurationError, LlmError

NAME = "authentication"


def authentication_checks(settings: Settings, doing: Doing) -> list[Check]:
    """Of a key only its presence can be seen; the endpoint's own answer tells whether it is good."""
    llm = settings.llm
    if llm.base_url is None or settings.proposer.kind == "sampler":
        return []
    if llm.globus is not None:
        return [_login_check(llm.globus)]
    if llm.api_key_env is None:
        return [skipped(NAME, "no llm.api_key_env: the endpoint wants no key")]
    if not os.environ.get(llm.api_key_env, "").strip():
        what = f"the environment variable {llm.api_key_env} is not set"
        return [
            failed(NAME, what, f"`export {llm.api_key_env}=…`, in every shell that starts a run")
        ]
    return [ok(NAME, f"there is a key in {llm.api_key_env}")]


def _login_check(settings: GlobusSettings) -> Check:
    """Whether the login can still be renewed: it is, where it soon ends."""
    from agents.auth.globus import GlobusLogin
    from agents.auth.identity import identity
    from agents.commands.auth import login_status

    login = GlobusLogin(identity(settings))
    try:
        login.access_token()
    except (LlmError, ConfigurationError) as error:
        return failed(NAME, str(error), login.command)
    return ok(NAME, login_status(login, as_json=False)[0].replace("\n", "; "))
