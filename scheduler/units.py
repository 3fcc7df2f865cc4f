"""Times and amounts of memory as people write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field


def parse_duration(value: object) -> object:
    """Seconds from ``90``, ``"90s"``, ``"15m"``, ``"2h"``, ``"1d"``, ``"1h30m"`` or ``[D-]HH:MM:SS``."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    _refuse_what_is_misread(text)
    clock = re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9}):(\d\d)(?::(\d\d))?", text)
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(days * 86400 + hours * 3600 + minutes * 60 + seconds)
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    if re.fullmatch(r"(?:\d{1,9}(?:\.\d+)?\s*[dhms]\s*)+", text):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*([dhms])", text)
        return sum(float(number) * units[unit] for number, unit in parts)
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", text):
        return float(text)
    raise ValueError("write a duration such as 90s, 15m, 2h, 1d or 01:30:00 (hours first)")


def _refuse_what_is_misread(text: str) -> None:
    """``30:00`` is half an hour to Slurm and PBS, and more than a day to whom it means hours."""
    two = re.fullmatch(r"(\d{1,9}):(\d\d)", text)
    if two is None:
        return
    first, second = (int(part) for part in two.groups())
    short, long = (f"{second}s", f"{second}m") if second else ("", "")
    raise ValueError(
        f"write a duration that cannot be misread ({first}m{short}, {first}h{long} or {text}:00)"
    )


def parse_memory(value: object) -> object:
    """MiB from ``4096`` (MiB), ``"512M"``, ``"4G"``, ``"4GB"`` or ``"1T"``; powers of 1024."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([MGT])(?:i?B)?", value.strip(), re.IGNORECASE)
    if not match:
        raise ValueError("write an amount of memory such as 512M, 4G or 1T")
    factor = {"M": 1, "G": 1024, "T": 1024 * 1024}[match.group(2).upper()]
    return round(float(match.group(1)) * factor)


def memory_text(mib: int) -> str:
    """As `parse_memory` reads it: ``512M``, ``4G``."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=float | str),
    Field(gt=0, allow_inf_nan=False),
]
"""Seconds, more than zero; in YAML with a unit."""
DurationOrZero = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=float | str),
    Field(ge=0, allow_inf_nan=False),
]
Memory = Annotated[
    int, BeforeValidator(parse_memory, json_schema_input_type=int | str), Field(gt=0)
]
"""MiB, more than zero; in YAML with a unit."""
