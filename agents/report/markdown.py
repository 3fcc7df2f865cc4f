"""Text that others wrote, made harmless inside Markdown. Pure."""

from __future__ import annotations

import re
from typing import Any

from scheduler.plain import printable

_ACTIVE = re.compile(r"[\\`*\[\]<>&|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


class Ready(str):
    """Text that is Markdown already and must not be escaped again."""


def escape(value: Any) -> Ready:
    """Any value as one line of Markdown text: no markup, no HTML, no table bar takes effect."""
    if isinstance(value, Ready):
        return value
    line = " ".join(printable(str(value)).split())
    return Ready(_ACTIVE.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), line))


def code(value: Any) -> Ready:
    """Any value as a code span on one line, safe in a table."""
    line = " ".join(printable(str(value)).split()) or " "
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return Ready(f"{fence}{pad}{line}{pad}{fence}".replace("|", r"\|"))


def fenced(value: Any) -> Ready:
    """Any text as a fenced block that it cannot close from within."""
    text = printable(str(value)).strip("\n")
    fence = "`" * max(3, _longest_run(text) + 1)
    return Ready(f"{fence}text\n{text}\n{fence}")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
