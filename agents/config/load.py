"""Loads a configuration file: read, laid over what it extends, checked, resolved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agents.config.checks import problems_of
from agents.config.faults import sentences
from agents.config.keys import without_empty_sections
from agents.config.layers import read_layers
from agents.config.model import Settings
from agents.config.node import Node, data_of, walk
from agents.config.paths import with_absolute_base, with_absolute_paths
from agents.config.resolved import resolved_text
from agents.config.secrets import is_secret, literal_secrets, without_secrets
from agents.errors import ConfigurationError


@dataclass(frozen=True)
class LoadedConfig:
    """A valid configuration and where it came from."""

    settings: Settings
    path: Path
    """As it was given."""
    resolved: str
    """YAML with defaults, inherited keys, references and overrides filled in and paths absolute.
    Loads to the same settings from any directory. Secrets stay references in it."""
    sources: Mapping[str, str]
    """``file:line`` (or ``command line``) of every key that was written, by its path."""


def load(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Load the configuration in `path`, with `overrides` (``key.path=value``) laid over it.

    Raises ConfigurationError with all that is wrong, each problem with file and line.
    """
    written = read_layers(path, overrides, os.environ)
    root = with_absolute_paths(without_empty_sections(written))
    nodes = dict(walk(root))
    problems = literal_secrets(root)
    try:
        settings = Settings.model_validate(data_of(root), strict=True)
    except ValidationError as error:
        found = sentences(error, data_of(without_secrets(root)))
        raise ConfigurationError(_located(found, nodes, path) + problems) from None
    found = problems_of(settings)
    if found or problems:
        raise ConfigurationError(_located(found, nodes, path) + problems)
    settings = with_absolute_base(settings)
    sources = {key: str(node.source) for key, node in nodes.items() if key}
    return LoadedConfig(settings, path, resolved_text(settings, root), sources)


def _located(found: Iterable[tuple[str, str]], nodes: Mapping[str, Node], path: Path) -> list[str]:
    """The sentences, each with the place of its key, or of the section that it is missing from."""
    problems: list[tuple[int, str]] = []
    for key, sentence in found:
        near = key
        while near and near not in nodes:
            near = near[: max(near.rfind("."), near.rfind("["), 0)]
        node = nodes[near]
        referred = node.written if near == key and not is_secret(key, node) else None
        where = node.source if near else path
        origin = f" (from {referred})" if referred else ""
        problems.append((node.source.line if near else 0, f"{where}: {sentence}{origin}"))
    return [problem for _, problem in sorted(problems, key=lambda found: found[0])]
