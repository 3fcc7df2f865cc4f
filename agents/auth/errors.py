"""Errors of logins."""

from __future__ import annotations

from agents.errors import LlmError


class LoginRequired(LlmError):
    """A person has to log in (again). The message holds the command."""


class LoginAway(LlmError):
    """The login service did not answer; asking again later may help."""
