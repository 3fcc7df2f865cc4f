"""A question to the person at the terminal, before something that cannot be undone."""

from __future__ import annotations

import sys

from agents.errors import ConfigurationError


def must_be_asked(otherwise: str) -> None:
    """Raise ConfigurationError, with what to do `otherwise`, where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(otherwise)


def says_yes(question: str, refused: str) -> bool:
    """Whether the answer is yes; any other, or none, prints that it was `refused`."""
    try:
        answer = input(f"{question} [yes/no]? ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print(refused)
    return False
