"""What people asked for while the search ran, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agents.report.facts import RunFacts
from agents.report.numbers import MISSING, moment


def steering(facts: RunFacts) -> list[dict[str, str]]:
    """One row for each request, in the order in which they were made."""
    return [_row(entry) for entry in facts.steering]


def steering_document(facts: RunFacts) -> list[dict[str, Any]]:
    """The requests as they are kept."""
    names = ("what", "by", "asked_at", "taken_at", "effect", "refused")
    return [{name: entry.get(name) for name in names} for entry in facts.steering]


def _row(entry: Mapping[str, Any]) -> dict[str, str]:
    taken = entry.get("taken_at")
    refused = "refused: " if entry.get("refused") else ""
    return {
        "what": _text(entry.get("what")),
        "by": _text(entry.get("by")),
        "asked": _when(entry.get("asked_at")),
        "taken": _when(taken) if taken else "not yet",
        "effect": f"{refused}{entry.get('effect') or ''}",
    }


def _text(value: Any) -> str:
    return str(value) if value not in (None, "") else MISSING


def _when(value: Any) -> str:
    try:
        return moment(datetime.fromisoformat(str(value)).astimezone(UTC))
    except ValueError:
        return _text(value)
