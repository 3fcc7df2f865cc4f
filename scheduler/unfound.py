"""What lines of a setup did not find, in the words of shells and of conda. Pure.

The script goes on after such a line, and its program starts in another environment, or not at all.
"""

from __future__ import annotations

import re

_UNFOUND = re.compile(r"not found|No such file|Could not find|CondaError|conda init")


def unfound(stderr: str) -> list[str]:
    """The lines of `stderr` that say so, in order."""
    lines = (line.strip() for line in stderr.splitlines())
    return [line for line in lines if _UNFOUND.search(line)]
