"""The patterns of directory names: known fields, plain characters, no two jobs in one place."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

MOST_CHARACTERS = 150
"""Of a directory's name: a job's name is made from it, and has at most 230."""

_NUMBERS = ("iteration", "trial")
_FORMAT = re.compile(r"(?:0?[1-9])?d?")


def run_pattern_faults(pattern: str, experiment: str) -> Iterator[str]:
    """What is wrong with ``directories.run_pattern``."""
    faults = list(_faults(pattern, ("timestamp", "experiment"), experiment))
    if not faults and "/" in pattern:
        faults = ["must be the name of one directory, without /"]
    yield from faults


def job_pattern_faults(pattern: str, experiment: str) -> Iterator[str]:
    """What is wrong with ``directories.job_pattern``."""
    faults = list(_faults(pattern, ("experiment", *_NUMBERS), experiment))
    if not faults:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern)]
        if "trial" not in fields:
            faults = ["must contain {trial}, or two jobs would share a directory"]
        elif _numbers_touch(pattern):
            faults = ["must have something like _ between {iteration} and {trial}"]
    yield from faults


def _faults(pattern: str, known: Sequence[str], experiment: str) -> Iterator[str]:
    try:
        pieces = list(string.Formatter().parse(pattern))
    except ValueError:
        yield "has a { without its }, or a } without its {"
        return
    faults = [*_field_faults(pieces, known)]
    yield from faults
    if faults:
        return
    values = {"timestamp": "20261123_142530", "experiment": experiment}
    numbers = dict.fromkeys(_NUMBERS, 999)
    yield from _name_faults(pattern.format(**values, **numbers))


def _field_faults(
    pieces: Sequence[tuple[str, str | None, str | None, str | None]], known: Sequence[str]
) -> Iterator[str]:
    for _, field, form, conversion in pieces:
        if field is None:
            continue
        if field not in known:
            fields = ", ".join(f"{{{name}}}" for name in known)
            yield f"has the field {{{field}}}; it can have {fields}"
        elif conversion or (form and not (field in _NUMBERS and _FORMAT.fullmatch(form))):
            yield f"formats {{{field}}} oddly: only a width for numbers, such as {{trial:04d}}, works"


def _name_faults(name: str) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9._/+-]+", name):
        yield "must be made of letters, digits and . _ / + -"
    elif name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        yield "must stay below its base: neither absolute, nor with .. or empty parts"
    elif any(part.startswith("-") for part in name.split("/")):
        yield "must not begin with -, which programs take for an option"
    elif any(len(part) > MOST_CHARACTERS for part in name.split("/")):
        yield f"gives names of more than {MOST_CHARACTERS} characters"


def _numbers_touch(pattern: str) -> bool:
    """Whether digits of two numbers could be taken for one another: 1 and 12, 11 and 2."""
    last_number = None
    for literal, field, _, _ in string.Formatter().parse(pattern):
        if re.search(r"[^0-9]", literal):
            last_number = None
        if last_number is not None and field in _NUMBERS and field != last_number:
            return True
        last_number = field if field in _NUMBERS else last_number if field is None else None
    return False
