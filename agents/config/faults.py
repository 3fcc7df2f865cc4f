"""What the settings models object to, in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.config.familiar import kind_of
from agents.config.keys import suggestion
from agents.config.node import joined

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Parts = tuple[str | int, ...]

_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "none_required": "null",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "path_type": "a path",
    "is_instance_of": "a path",
}
_FORMS = {
    "id": "1 to 64 letters, digits, - and _, a letter or digit first",
    "host": "a machine's name or alias",
    "user": "a user's name",
    "bin_directory": "an absolute path",
    "clusters": "names of clusters, with commas in between",
}
"""What the patterns of these keys want, in words."""
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}

NO_SUCH_KEY = "there is no such key"


def sentences(error: ValidationError, data: Any) -> list[tuple[str, str]]:
    """Key path and sentence of each thing that is wrong with `data`, in order.

    A sentence begins with its key path. Objections of the members of a union (a number, or text,
    or …) become one.
    """
    grouped: dict[Parts, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        grouped.setdefault(_parts(detail, data), []).append(detail)
    return [(_text(parts), _sentence(parts, details, data)) for parts, details in grouped.items()]


def _parts(detail: ErrorDetails, data: Any) -> Parts:
    """Where in the person's own data: without the names of union members."""
    location = detail["loc"]
    parts: list[str | int] = []
    for position, part in enumerate(location):
        if isinstance(data, Mapping):
            names_kind = part in (data.get("type"), data.get("kind"))
            if names_kind and position < len(location) - 1:
                continue
            if part in data:
                parts.append(part)
                data = data[part]
                continue
        elif isinstance(data, list) and isinstance(part, int):
            parts.append(part)
            data = data[part]
            continue
        if position == len(location) - 1 and detail["type"] == "missing":
            parts.append(part)
    return tuple(parts)


def _text(parts: Parts) -> str:
    path = ""
    for part in parts:
        path = joined(path, part)
    return path


def _sentence(parts: Parts, details: Sequence[ErrorDetails], data: Any) -> str:
    path = _text(parts) or "the configuration"
    detail = details[0]
    kind = detail["type"]
    context = detail.get("ctx", {})
    value = _value(parts, data)
    if kind == "missing":
        return f"{path} is missing"
    if kind == "extra_forbidden":
        return f"{path}: {NO_SUCH_KEY}; {suggestion(parts, data)}"
    if kind == "union_tag_not_found":
        tag = str(context["discriminator"]).strip("'")
        return f"{path}.{tag} is missing: it says what this is"
    if kind == "union_tag_invalid":
        tag = str(context["discriminator"]).strip("'")
        choices = re.findall(r"'([^']*)'", str(context["expected_tags"]))
        return _choice(f"{path}.{tag}", choices, value.get(tag))
    if kind == "literal_error":
        return _choice(path, re.findall(r"'([^']*)'", str(context["expected"])), value)
    wanted = _wanted(details, str(parts[-1]) if parts else "")
    return f"{path} must be {wanted}, and it is {shown(value)}{_hint(parts, details, value)}"


def _wanted(details: Sequence[ErrorDetails], leaf: str) -> str:
    words: list[str] = []
    for detail in details:
        kind, context = detail["type"], detail.get("ctx", {})
        if kind in _LIMITS:
            words.append(f"{_LIMITS[kind][0]} {context[_LIMITS[kind][1]]:g}")
        elif kind == "value_error":
            words.append(_own_words(str(context["error"])))
        elif kind == "string_pattern_mismatch":
            words.append(_FORMS.get(leaf, f"text of the form {context['pattern']}"))
        elif kind == "string_too_long":
            words.append(f"at most {context['max_length']} characters long")
        elif kind in ("too_short", "string_too_short"):
            words.append("filled")
        else:
            words.append(_WANTED.get(kind, detail["msg"][:1].lower() + detail["msg"][1:]))
    distinct = list(dict.fromkeys(words))
    if {"a number", "a whole number"} <= set(distinct):
        distinct.remove("a whole number")
    if len(distinct) == 1:
        return distinct[0]
    return f"{', '.join(distinct[:-1])} or {distinct[-1]}"


def _own_words(message: str) -> str:
    return message.removeprefix("write ")


def _hint(parts: Parts, details: Sequence[ErrorDetails], value: Any) -> str:
    kinds = {detail["type"] for detail in details}
    numeric = kinds & {"int_type", "float_type"}
    if isinstance(value, str) and numeric and re.fullmatch(r"[-+.\d][\d.eE+-]*", value):
        return ": take the quotes away"
    if kinds == {"string_type"} and isinstance(value, (bool, int, float)):
        return ": put it in quotes"
    if kinds == {"string_type"} and isinstance(value, Mapping) and list(value.values()) == [None]:
        return f': put it in quotes, "{{{next(iter(value))}}}"'  # {python} is a mapping to YAML.
    if "list_type" in kinds and isinstance(value, str):
        # Of a command each argument is an entry; one with braces needs quotes.
        arguments = ", ".join(f'"{argument}"' for argument in value.split())
        items = arguments if parts[-1] == "command" else value
        return f": write [{items}]" if len(items) < 40 else ": write it as a list"
    if len(parts) == 2 and parts[0] == "search_space":
        if isinstance(value, list):
            return (
                ": write {type: categorical, choices: [...]}, or {type: float, low: ..., high: ...}"
            )
        return f": write {{type: fixed, value: {shown(value)}}}"
    return ""


def _choice(path: str, choices: Sequence[str], value: Any) -> str:
    near = difflib.get_close_matches(str(value), choices, n=1)
    wanted = kind_of(value, choices)
    meant = f"; write {wanted}" if wanted else f"; did you mean {near[0]}?" if near else ""
    return f"{path} must be {_any_of(choices)}, and it is {shown(value)}{meant}"


def _any_of(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


def _value(parts: Parts, data: Any) -> Any:
    for part in parts:
        if isinstance(data, Mapping):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return data


def shown(value: Any) -> str:
    """A value for a message: short, and of lists and mappings only that they are such."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
