"""Few of many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """At most `limit` of the items, evenly over the sequence, its first and last included."""
    if len(items) <= limit:
        return list(items)
    if limit < 2:
        return list(items[:limit])
    last = len(items) - 1
    return [items[round(index * last / (limit - 1))] for index in range(limit)]
