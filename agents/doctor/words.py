"""Numbers and names in the words of a report of an examination. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence


def one_line(text: str, limit: int = 300) -> str:
    """The text's lines in one, bounded."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def listed(names: Sequence[str], limit: int = 12) -> str:
    """``a, b, c`` and how many more."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def gpus_listed(text: str) -> int:
    """How many GPUs `nvidia-smi -L` lists."""
    return len(re.findall(r"^GPU \d+:", text, re.MULTILINE))
