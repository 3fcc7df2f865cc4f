"""The keys that a configuration can have, read off the settings models."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from agents.config.familiar import key_of
from agents.config.model import Settings
from agents.config.node import Node, joined, mapping_of


def known_keys(parts: Sequence[str | int], data: Any) -> list[str] | None:
    """The keys of the section at `parts` of `data`; None where any key is allowed there."""
    at: Any = Settings
    for part in parts:
        data = _entry(data, part)
        at = _inner(at, part)
    model = _model(at, data)
    return None if model is None else list(model.model_fields)


def suggestion(parts: Sequence[str | int], data: Any) -> str:
    """What may have been meant by an unknown key, `parts` being its whole path."""
    *above, key = parts
    known = known_keys(above, data) or []
    wanted = key_of(str(key), known)
    if wanted is not None:
        return f"write {wanted}"
    others = _kinds_with(above, str(key))
    if others:
        return f"it goes with {' or '.join(others)}; here there are {', '.join(known)}"
    elsewhere = [path for path in all_paths() if path.rpartition(".")[2] == key]
    near = difflib.get_close_matches(str(key), known, n=1)
    if elsewhere and (not near or not above):
        near = elsewhere
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _kinds_with(parts: Sequence[str | int], key: str) -> list[str]:
    """``type: int`` and the like: the other kinds of the section at `parts` that know `key`."""
    at: Any = Settings
    for part in parts:
        at = _inner(at, part)
    return [
        f"{tag}: {kind}"
        for model in _models(at)
        if key in model.model_fields
        for tag in ("type", "kind")
        if tag in model.model_fields
        for kind in get_args(model.model_fields[tag].annotation)
    ]


def without_empty_sections(node: Node, at: Any = Settings) -> Node:
    """The tree without sections that say nothing: all of their keys may be commented out."""
    entries = mapping_of(node)
    if entries is None:
        return node
    kept: dict[str, Node] = {}
    for key, inner in entries.items():
        type_of = _inner(at, key)
        if inner.value is None and any(_models(type_of)) and _values_of_mapping(at) is None:
            continue
        kept[key] = without_empty_sections(inner, type_of)
    return replace(node, value=kept)


def all_paths() -> list[str]:
    """The path of every key; ``*`` stands for a name that the person chooses."""
    return [path for path, _ in _paths(Settings, "")]


def _paths(at: Any, path: str) -> Iterator[tuple[str, Any]]:
    if _values_of_mapping(at) is not None:
        yield from _paths(_values_of_mapping(at), joined(path, "*"))
        return
    seen: set[str] = set()
    for model in _models(at):
        for name, field in model.model_fields.items():
            inner = joined(path, name)
            if inner not in seen:
                seen.add(inner)
                yield inner, field.annotation
            yield from _paths(field.annotation, inner)


def _entry(data: Any, part: str | int) -> Any:
    if isinstance(data, Mapping):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _inner(at: Any, part: str | int) -> Any:
    """The type of the entry `part` in something of type `at`."""
    values = _values_of_mapping(at)
    if values is not None:
        return values
    if get_origin(_bare(at)) is list:
        return get_args(_bare(at))[0]
    for model in _models(at):
        if isinstance(part, str) and part in model.model_fields:
            return model.model_fields[part].annotation
    return Any


def _model(at: Any, data: Any) -> type[BaseModel] | None:
    """The model of `data`: the only one, or the one that its ``type`` or ``kind`` names."""
    models = list(_models(at))
    if len(models) == 1 or not isinstance(data, Mapping):
        return models[0] if models else None
    named = {data.get("type"), data.get("kind")} if _hashable(data) else set()
    for model in models:
        for tag in ("type", "kind"):
            field = model.model_fields.get(tag)
            if field and set(get_args(field.annotation)) & named:
                return model
    return models[0] if models else None


def _hashable(data: Mapping[str, Any]) -> bool:
    return not any(isinstance(data.get(tag), (list, dict)) for tag in ("type", "kind"))


def _models(at: Any) -> Iterator[type[BaseModel]]:
    """The models in a type, whatever unions they are in."""
    at = _bare(at)
    if isinstance(at, type) and issubclass(at, BaseModel):
        yield at
    elif get_origin(at) in (Union, types.UnionType):
        for member in get_args(at):
            yield from _models(member)


def _values_of_mapping(at: Any) -> Any:
    at = _bare(at)
    origin = get_origin(at)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return get_args(at)[1]
    return None


def _bare(at: Any) -> Any:
    while get_origin(at) is Annotated:
        at = get_args(at)[0]
    return at
