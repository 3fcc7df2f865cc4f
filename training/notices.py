"""Warnings of a training that goes on."""

from __future__ import annotations

import contextlib
import sys


def warn(words: str) -> None:
    """One line on stderr; none where that cannot be written either, as on a disk that is full."""
    with contextlib.suppress(OSError, ValueError):
        print(f"warning: {words}", file=sys.stderr, flush=True)
