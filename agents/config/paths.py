"""Relative paths of a configuration, made absolute: a run can be resumed from anywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from agents.config.model import Settings
from agents.config.node import Node, Scalar, Source, mapping_of
from agents.errors import ConfigurationError
from agents.home import expanded

BESIDE_THE_FILE = (
    "training.directory",
    "training.stage",
    "cluster.template",
    "cluster.transport.config_file",
    "cluster.transport.control_path",
    "cluster.transport.key_file",
    "cluster.transport.known_hosts",
    "llm.prompt",
    "llm.replay",
    "warm_start",
)
"""Relative to the file that names them. The training directory only where jobs run on this
machine; else it is a path of the cluster."""
LOCAL_BASE = "directories.local_base"
"""Relative to the working directory, as a command's output is."""

Change = Callable[[str, Source], Scalar]


def with_absolute_paths(root: Node) -> Node:
    """The tree with absolute paths in place of relative ones and of a leading ``~``.

    Raises ConfigurationError for a home directory that nobody here knows.
    """
    far = _text(root, ("cluster", "transport", "kind")) not in (None, "local")
    for path in BESIDE_THE_FILE:
        change = _as_it_is if far and path == "training.directory" else _beside
        root = _changed(root, path.split("."), _located(path, change))
    base = _located(LOCAL_BASE, lambda text, _: absolute(text))
    root = _changed(root, LOCAL_BASE.split("."), base)
    return _changed(root, ["ledger", "storage"], _located("ledger.storage", _sqlite))


def with_absolute_base(settings: Settings) -> Settings:
    """The settings with an absolute local base, also where it is the default."""
    base = absolute(str(settings.directories.local_base))
    directories = settings.directories.model_copy(update={"local_base": base})
    return settings.model_copy(update={"directories": directories})


def absolute(text: str, directory: Path = Path()) -> Path:
    """An absolute path, ``..`` taken out; `directory` is what a relative one is relative to.

    Raises ConfigurationError where it begins with a home directory that nobody here knows.
    """
    return Path(os.path.abspath(directory / expanded(Path(text))))


def _located(path: str, change: Change) -> Change:
    """The same change, whose errors name the place and the key."""

    def located(text: str, source: Source) -> Scalar:
        try:
            return change(text, source)
        except ConfigurationError as error:
            raise ConfigurationError(f"{source}: {path}: {error}") from error

    return located


def _beside(text: str, source: Source) -> Path:
    # OpenSSH fills in %h and the like itself.
    return Path(text) if text.startswith("%") else absolute(text, source.directory)


def _as_it_is(text: str, source: Source) -> Path:
    return Path(text)


def _sqlite(text: str, source: Source) -> str:
    found = re.fullmatch(r"(sqlite:///)(?!/)([^?]+)(.*)", text, re.DOTALL)
    if not found or found[2].startswith((":memory:", "file:")):
        return text
    return f"{found[1]}{absolute(found[2], source.directory)}{found[3]}"


def _changed(node: Node, keys: Sequence[str], change: Change) -> Node:
    """The tree with the text at `keys`, or each text of a list there, changed."""
    if not keys and isinstance(node.value, list):
        return replace(node, value=[_changed(inner, (), change) for inner in node.value])
    if not keys:
        if not isinstance(node.value, str):
            return node
        return replace(node, value=change(node.value, node.source))
    entries = mapping_of(node)
    if entries is None or keys[0] not in entries:
        return node
    inner = _changed(entries[keys[0]], keys[1:], change)
    return replace(node, value={**entries, keys[0]: inner})


def _text(node: Node, keys: Sequence[str]) -> str | None:
    for key in keys:
        entries = mapping_of(node)
        if entries is None or key not in entries:
            return None
        node = entries[key]
    return node.value if isinstance(node.value, str) else None
