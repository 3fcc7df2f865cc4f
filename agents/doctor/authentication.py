"""Whether we are known to an endpoint that asks who we are."""

from __future__ import annotations

import os

from agents.config.model import Settings
from agents.doctor.check import Check, Doing, failed, ok, skipped

NAME = "authentication"


def authentication_checks(settings: Settings, doing: Doing) -> list[Check]:
    """Of a key only its presence can be seen; the endpoint's own answer tells whether it is good."""
    llm = settings.llm
    if llm.base_url is None or settings.proposer.kind == "sampler":
        return []
    if llm.api_key_env is None:
        return [skipped(NAME, "no llm.api_key_env: the endpoint wants no key")]
    if not os.environ.get(llm.api_key_env, "").strip():
        what = f"the environment variable {llm.api_key_env} is not set"
        return [
            failed(NAME, what, f"`export {llm.api_key_env}=…`, in every shell that starts a run")
        ]
    return [ok(NAME, f"there is a key in {llm.api_key_env}")]
