"""Values as a model meant them, where it can have meant one thing only. Pure.

Where nothing guides an answer, models write numbers as text and names in other letters. What could
mean two things (``10%``, ``half``) goes back to the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agents.config.model import CategoricalParameter, FixedParameter, Parameter
from agents.space.values import among, choice_text

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?")


def as_meant(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, with text that can only mean another value of the parameter as that value."""
    return {
        name: _meant(parameters[name], value) if name in parameters else value
        for name, value in given.items()
    }


def _meant(parameter: Parameter, value: Any) -> Any:
    match parameter:
        case CategoricalParameter(choices=choices):
            return _choice(choices, value)
        case FixedParameter(value=fixed):
            return _choice([fixed], value)
        case _:
            return _number(value)


def _number(value: Any) -> Any:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        return value
    text = value.strip()
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _choice(choices: list[Any], value: Any) -> Any:
    if isinstance(value, (dict, list)) or among(value, choices):
        return value
    wanted = _plain(value)
    same = [choice for choice in choices if _plain(choice) == wanted]
    return same[0] if len(same) == 1 else value


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else choice_text(value)
    return text.strip().casefold()
