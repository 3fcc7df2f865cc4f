"""Numbers and times as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from agents.metrics import as_float
from training.contract import ParameterValue

MISSING = "\N{EN DASH}"
"""Stands where there is no value."""


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits: ``0.8734``, ``3.2e-5``, ``12800``."""
    if value is None or not math.isfinite(value):
        return MISSING
    if isinstance(value, int) and abs(value) < 10**7:
        return str(value)
    if 10**digits <= abs(value) < 10**7:
        return f"{value:.0f}"
    return _tidy_exponent(f"{value:.{digits}g}")


def _tidy_exponent(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else text


def measure(value: float | None) -> str:
    """A metric with four decimals, so that a column of them lines up; others as `number`."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else number(value)


def signed(value: float) -> str:
    """A difference with its sign: ``+0.0312``."""
    sign = "+" if value >= 0 else "\N{MINUS SIGN}"
    return f"{sign}{number(abs(value), 3)}"


def parameter_text(value: ParameterValue) -> str:
    """A hyperparameter's value: numbers short, those below a thousandth with an exponent, for zeros are
    miscounted by people and LLMs alike; flags and null as in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    found = as_float(value)
    if found is None or not 0 < abs(found) < 0.001:
        return number(found)
    mantissa, _, exponent = f"{found:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def parameters_text(parameters: Mapping[str, ParameterValue]) -> str:
    """A configuration in one line: ``lr=0.001, opt=adam``."""
    return ", ".join(f"{name}={parameter_text(value)}" for name, value in parameters.items())


def duration(seconds: float | None) -> str:
    """A time span in its two largest units: ``2 h 05 min``, ``12.4 s``."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left:02d} h"
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s"


def moment(when: datetime | None) -> str:
    """A UTC time to the minute: ``2026-11-23 14:25 UTC``."""
    return when.strftime("%Y-%m-%d %H:%M UTC") if when else MISSING
