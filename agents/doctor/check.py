"""The words of an examination. Data only."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

Doing = Callable[[str], None]
"""Is told what is being examined, before it is: for a person who waits."""


class Outcome(enum.Enum):
    OK = "ok"
    WARNING = "warning"
    """A search would run, and a person should know."""
    FAILED = "failed"
    """A search would not run, or would not run well."""
    SKIPPED = "skipped"
    """Not there to be examined, or not reached."""


@dataclass(frozen=True)
class Check:
    """What was examined, how it is, what was seen, and what to do about it."""

    name: str
    outcome: Outcome
    seen: str
    """One line, in the words of what was examined where there are any."""
    remedy: str = ""
    """What a person does: a command, or the key to change. Empty where all is well."""


def ok(name: str, seen: str) -> Check:
    """All is well."""
    return Check(name, Outcome.OK, seen)


def warning(name: str, seen: str, remedy: str) -> Check:
    """It works, and there is something to be known."""
    return Check(name, Outcome.WARNING, seen, remedy)


def failed(name: str, seen: str, remedy: str) -> Check:
    """It does not work."""
    return Check(name, Outcome.FAILED, seen, remedy)


def skipped(name: str, why: str) -> Check:
    """It was not examined."""
    return Check(name, Outcome.SKIPPED, why)
