"""Numbers of things, things by their numbers, and sizes, in words."""

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


def size_text(size: float) -> str:
    """``512 B``, ``3.4 MiB``, ``120 GiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("the last unit takes all")
