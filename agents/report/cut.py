"""Text cut to a length. Pure."""

from __future__ import annotations


def shortened(text: str, limit: int) -> str:
    """The text, cut at `limit` characters with an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def tail(text: str, limit: int) -> str:
    """The end of the text, at most `limit` characters."""
    return text if len(text) <= limit else f"…{text[-limit + 1 :]}"
