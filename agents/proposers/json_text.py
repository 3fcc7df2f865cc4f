"""JSON objects in a text that somebody wrote around them. Pure.

Comments and commas too many, which models copy from configuration files, are left out where JSON as
it stands cannot be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_STARTS = 2_000
"""Opening braces at which an object is looked for: bounds the time that a hostile answer costs."""

_DECODER = json.JSONDecoder(parse_constant=lambda _: None)
_PIECES = re.compile(
    r'"(?:[^"\\\n]|\\.)*"?|(?P<comment>//[^\n]*|/\*(?:(?!\*/)[\s\S])*(?:\*/)?)|(?P<commas>,[\s,]*)'
)
"""Text, which stays, and what JSON may not know. Each begins and ends without looking back, for the
text may be hostile."""


def objects(text: str) -> list[dict[str, Any]]:
    """The outermost JSON objects in a text. Where one is cut off, those inside it."""
    found = list(_objects(text))
    begin = text.find("{")
    if begin < 0 or any(map(_is_filled, found)):
        return found
    return list(_objects(_PIECES.sub(_as_json, text[begin:]))) or found


def unpacked(value: object) -> object:
    """The list or object in a string: models often put the inner parts of a tool call into one."""
    if not isinstance(value, str):
        return value
    try:
        return _DECODER.decode(value)
    except (ValueError, RecursionError):
        return value


def fault_of(text: str) -> tuple[int, str] | None:
    """Where the first object of a text ends to be JSON, and why."""
    begin = text.find("{")
    if begin < 0:
        return None
    try:
        _DECODER.raw_decode(text, begin)
    except json.JSONDecodeError as error:
        return error.pos, error.msg
    except (ValueError, RecursionError):
        return None
    return None


def _as_json(piece: re.Match[str]) -> str:
    if piece["comment"] is not None:
        return " "
    after = piece.string[piece.end() : piece.end() + 1]
    return " " if piece["commas"] is not None and after in ("}", "]") else piece[0]


def _is_filled(found: dict[str, Any]) -> bool:
    """Whether it holds more than values: what is left of an object that cannot be read may not."""
    return any(isinstance(value, (dict, list)) for value in found.values())


def _objects(text: str) -> Iterator[dict[str, Any]]:
    position = 0
    for _ in range(MAX_STARTS):
        position = text.find("{", position)
        if position < 0:
            return
        try:
            found, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
            continue
        yield found
