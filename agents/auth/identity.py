"""What is asked of the login service: the client, the scopes, the institutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.config.model import GlobusSettings
from agents.errors import ConfigurationError

ALCF_GATEWAY = "681c10cc-f684-4540-bcd7-0b4df3bc26ef"
"""The inference gateway's own id: ALCF's tokens are issued for it."""


@dataclass(frozen=True)
class Identity:
    """A native app and what it asks for."""

    client_id: str
    scope: str
    """One scope; the tokens of its resource server are the ones that the endpoint takes."""
    domains: Sequence[str] = ()
    """The session must have been opened with an identity of one of these, where there are any."""
    login_words: str = ""
    """Arguments of ``auth login`` that lead here."""


PRESETS = {
    # Public values of ALCF's inference service: https://docs.alcf.anl.gov/services/inference-endpoints/
    "alcf": Identity(
        client_id="58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944",
        scope=f"https://auth.globus.org/scopes/{ALCF_GATEWAY}/action_all",
        domains=("anl.gov", "alcf.anl.gov"),
        login_words="--preset alcf",
    )
}


def preset(name: str) -> Identity:
    """The identity of that name. Raises ConfigurationError."""
    if name not in PRESETS:
        raise ConfigurationError(f"--preset {name}: there is {', '.join(PRESETS)}")
    return PRESETS[name]


def identity(settings: GlobusSettings) -> Identity:
    """The identity of a configuration: a preset's values, each replaced by one that is given."""
    known = PRESETS[settings.preset] if settings.preset else Identity("", "")
    found = Identity(
        client_id=settings.client_id or known.client_id,
        scope=settings.scope or known.scope,
        domains=tuple(settings.domains) if settings.domains is not None else known.domains,
        login_words=known.login_words if settings.is_plain_preset else "--config YOUR.yaml",
    )
    if not found.client_id or not found.scope:
        raise ConfigurationError(
            "llm.globus: give `preset: alcf`, or client_id and scope of your own service"
        )
    return found
