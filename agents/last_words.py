"""What the command line says of an error that ends it, and with which exit code."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from agents.errors import ConfigurationError, RunLocked
from scheduler.errors import Away
from training.contract import PilothouseError

FORBIDDEN = (errno.EACCES, errno.EPERM)
"""Errors of a file that this user may not read or write."""


class LastWords(NamedTuple):
    """One message, and the exit code that goes with it."""

    text: str
    code: int


def last_words(error: Exception) -> LastWords | None:
    """What to say of it; None for one that is a defect of ours, whose traceback is wanted."""
    if isinstance(error, PilothouseError):
        remedy = f"\n  to go on: {error.remedy}" if isinstance(error, Away) and error.remedy else ""
        return LastWords(f"error: {error}{remedy}", exit_code(error))
    if isinstance(error, UnicodeEncodeError):
        return _no_utf8(error)
    return _of_a_file(error) if isinstance(error, OSError) else None


def exit_code(error: PilothouseError) -> int:
    """2 for bad input, 3 for a run that somebody else works on, 1 for the rest."""
    if isinstance(error, ConfigurationError):
        return 2
    return 3 if isinstance(error, RunLocked) else 1


def _no_utf8(error: UnicodeEncodeError) -> LastWords | None:
    if not error.reason.startswith("surrogates"):
        return None
    around = error.object[max(0, error.start - 60) : error.end + 20]
    return LastWords(
        f"error: {around!r}: a name here is no UTF-8, and files of a run cannot hold it; rename "
        "that file or directory, or work elsewhere",
        2,
    )


def _of_a_file(error: OSError) -> LastWords | None:
    from agents import no_room

    if _is_nowhere():
        text = "error: the directory that you are in has been deleted: `cd` to one that is there"
        return LastWords(text, 2)
    if error.errno in FORBIDDEN and error.filename:
        return LastWords(
            f"error: {error.filename}: {error.strerror}; it may be somebody else's: ask them, or "
            "name a place of your own",
            2,
        )
    if error.errno not in no_room.FULL:
        return None
    file = Path(os.fsdecode(error.filename)) if error.filename else None
    return LastWords(
        f"error: {no_room.sentence(error.errno, file)}, then do the same again: what was written "
        "before is not lost",
        1,
    )


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
