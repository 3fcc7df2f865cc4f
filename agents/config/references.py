"""References to environment variables: ``${NAME}``, ``${NAME:-default}``; ``$${`` is a plain ``${``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agents.config.node import Node, joined
from agents.config.yaml_text import scalar, unusable

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\$\{)"
)


def filled(node: Node, environment: Mapping[str, str], problems: list[str], path: str = "") -> Node:
    """The tree with its references filled in; what cannot be filled in is added to `problems`.

    Text without quotes is read anew afterwards: ``${COUNT}`` can be a number, never a structure.
    """
    if isinstance(node.value, Mapping):
        entries = {
            key: filled(inner, environment, problems, joined(path, key))
            for key, inner in node.value.items()
        }
        return replace(node, value=entries)
    if isinstance(node.value, Sequence) and not isinstance(node.value, str):
        items = [
            filled(inner, environment, problems, joined(path, position))
            for position, inner in enumerate(node.value)
        ]
        return replace(node, value=items)
    if isinstance(node.value, str):
        return _filled_text(node, node.value, environment, problems, path)
    return node


def _filled_text(
    node: Node, text: str, environment: Mapping[str, str], problems: list[str], path: str
) -> Node:
    if "${" not in text:
        return node
    faults: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["bad"]:
            faults.append(
                f"the reference in {text!r:.80} cannot be read: write ${{NAME}} or "
                "${NAME:-default}, and $${ for a plain ${"
            )
            return ""
        name, default = match["name"], match["default"]
        given = environment.get(name)
        # As in a shell, an empty variable takes the default.
        if default is not None and not given:
            return str(default)
        if given is None:
            faults.append(
                f"the environment variable {name} is not set: set it, or write ${{{name}:-default}}"
            )
        return given or ""

    result = _REFERENCE.sub(value_of, text)
    value = scalar(result) if node.plain else result
    fault = unusable(value)
    if fault:
        faults.append(f"the value of {text} {fault}")
    problems += [f"{node.source}: {path}: {fault}" for fault in faults]
    return replace(node, value=value, written=text if names(text) else None)


def names(text: str) -> list[str]:
    """The variables that `text` refers to."""
    return [match["name"] for match in _REFERENCE.finditer(text) if match["name"]]


def without_references(text: str) -> str:
    """`text` with its references taken out; their defaults stay."""
    return _REFERENCE.sub(lambda match: match["default"] or "", text)


def escaped(text: str) -> str:
    """`text` such that `filled` gives it back."""
    return text.replace("${", "$${")
