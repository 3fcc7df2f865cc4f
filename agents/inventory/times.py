"""Durations and moments as Slurm and PBS write them. Pure."""

from __future__ import annotations

import re
from datetime import datetime


def seconds(text: str) -> int | None:
    """Seconds of ``MM:SS``, ``HH:MM:SS``, ``D-HH:MM:SS``; None for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text.strip())
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def moment(text: str) -> float | None:
    """Unix time of a number or an ISO date in local time; None for N/A."""
    if text.isdigit():
        return float(text) or None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
