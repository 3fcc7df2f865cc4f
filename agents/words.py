"""Numbers of things, and things by their numbers, in words."""

from __future__ import annotations

from collections.abc import Sequence


def count(amount: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def named(numbers: Sequence[int], noun: str = "trial") -> str:
    """``trial 7``, ``trials 7, 9 and 12``."""
    texts = [str(number) for number in numbers]
    if len(texts) == 1:
        return f"{noun} {texts[0]}"
    return f"{noun}s {', '.join(texts[:-1])} and {texts[-1]}"
