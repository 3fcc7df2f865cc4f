"""The resolved configuration as text that loads to the same settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agents.config.model import Settings
from agents.config.node import Node, data_of, joined, walk
from agents.config.references import escaped
from agents.config.secrets import is_secret
from agents.config.yaml_text import dump, parse, quoted


def resolved_text(settings: Settings, root: Node) -> str:
    """YAML of all settings, defaults included; secrets as the references that `root` has."""
    data = settings.model_dump(mode="json")
    # Of a parameter only what was written: whether a default was chosen makes a difference.
    data["search_space"] = {
        name: parameter.model_dump(mode="json", exclude_unset=True)
        for name, parameter in settings.search_space.items()
    }
    kept = {path: node for path, node in walk(root) if is_secret(path, node)}
    return dump(_written(data, kept))


def _written(value: Any, kept: Mapping[str, Node], path: str = "") -> Any:
    if path in kept:
        reference = kept[path].written or ""
        return quoted(reference) if isinstance(kept[path].value, str) else reference
    if isinstance(value, dict):
        return {key: _written(inner, kept, joined(path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_written(inner, kept, joined(path, i)) for i, inner in enumerate(value)]
    return escaped(value) if isinstance(value, str) else value


def with_references(settings: Settings, resolved: str) -> Settings:
    """The settings with the references of their resolved text in place of secrets: to be shown.

    What they are is not checked again: a reference need not have the form of what it stands for.
    """
    shown: Settings = _referred(settings, data_of(parse(resolved, None, name="configuration")))
    return shown


def _referred(value: Any, shown: Any) -> Any:
    if isinstance(value, BaseModel) and isinstance(shown, dict):
        fields = {
            name: _referred(getattr(value, name), shown[name])
            for name in type(value).model_fields
            if name in shown
        }
        return value.model_copy(update=fields)
    if isinstance(value, dict) and isinstance(shown, dict):
        return {key: _referred(inner, shown.get(key)) for key, inner in value.items()}
    if isinstance(value, list) and isinstance(shown, list) and len(value) == len(shown):
        return [_referred(*pair) for pair in zip(value, shown, strict=True)]
    if isinstance(value, str | Path) and isinstance(shown, str) and shown != escaped(str(value)):
        return type(value)(shown)
    return value
