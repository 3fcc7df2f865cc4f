"""Configuration as a tree in which every value knows the file and line it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | Path | None


@dataclass(frozen=True)
class Source:
    """Where a value was written."""

    file: Path | None
    """None: on the command line."""
    line: int = 0
    """From 1."""

    def __str__(self) -> str:
        return "command line" if self.file is None else f"{self.file}:{self.line}"

    @property
    def directory(self) -> Path:
        """What a relative path written here is relative to."""
        return Path() if self.file is None else self.file.parent


@dataclass(frozen=True)
class Node:
    """A value and where it was written; for an entry of a mapping that is its key's line."""

    value: Mapping[str, Node] | Sequence[Node] | Scalar
    source: Source
    written: str | None = None
    """The text as it was written, where it refers to environment variables."""
    plain: bool = False
    """A scalar without quotes: what it is (number, flag, text) follows from its spelling."""


def mapping_of(node: Node) -> Mapping[str, Node] | None:
    """The entries of a mapping; None for anything else."""
    return node.value if isinstance(node.value, Mapping) else None


def data_of(node: Node) -> Any:
    """The tree as plain dicts, lists and scalars."""
    if isinstance(node.value, Mapping):
        return {key: data_of(inner) for key, inner in node.value.items()}
    if isinstance(node.value, Sequence) and not isinstance(node.value, str):
        return [data_of(inner) for inner in node.value]
    return node.value


def joined(path: str, part: str | int) -> str:
    """The key path of an entry of what lies at `path`: ``loop.schedule``, ``constraints[0]``."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node below and including `node`, with its key path; the root's is empty."""
    yield path, node
    if isinstance(node.value, Mapping):
        for key, inner in node.value.items():
            yield from walk(inner, joined(path, key))
    elif isinstance(node.value, Sequence) and not isinstance(node.value, str):
        for position, inner in enumerate(node.value):
            yield from walk(inner, joined(path, position))


def merged(below: Node, above: Node) -> Node:
    """`above` laid over `below`: mappings are merged key by key, anything else is replaced.

    A mapping with another ``type`` or ``kind`` than the one below replaces it too: what belongs
    to a float parameter means nothing to a categorical one.
    """
    under, over = mapping_of(below), mapping_of(above)
    if under is None or over is None or _other_kind(under, over):
        return above
    entries = dict(under)
    for key, inner in over.items():
        entries[key] = merged(under[key], inner) if key in under else inner
    return replace(above, value=entries)


def _other_kind(under: Mapping[str, Node], over: Mapping[str, Node]) -> bool:
    pairs = [(under[key], over[key]) for key in ("type", "kind") if key in under and key in over]
    # A parameter may be called so too: then what is there is a mapping, and no kind of anything.
    return any(one.value != other.value for one, other in pairs if _are_scalars(one, other))


def _are_scalars(*nodes: Node) -> bool:
    return all(isinstance(node.value, Scalar) for node in nodes)
