"""How many tokens a text is for a language model, counted high. Pure.

Each model cuts text in its own way, and none of the ways is at hand here. So this counts what no
usual tokenizer exceeds for the text of a prompt: a word for each four letters, each digit, each
sign and each line end for itself, a character beyond ASCII by its bytes.
"""

from __future__ import annotations

import re

LETTERS = 4
"""Of a Latin word in one token, at least; common words are a single token whatever their length."""

_PIECE = re.compile(r"[A-Za-z]+|[^\S\n]+|[\s\S]")


def token_estimate(text: str) -> int:
    """An upper estimate of the tokens in `text`."""
    return sum(_tokens(piece) for piece in _PIECE.findall(text))


def _tokens(piece: str) -> int:
    first = piece[0]
    if first.isascii() and first.isalpha():
        return -(-len(piece) // LETTERS)
    if first.isspace() and first != "\n":
        return len(piece) // 8  # a single space goes with the word behind it
    return 1 if first.isascii() else len(first.encode("utf-8", "replace"))
