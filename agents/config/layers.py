"""The layers of a configuration: the file, what it extends, what the command line overrides."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from agents.config.node import Node, Source, mapping_of, merged
from agents.config.references import filled
from agents.config.yaml_text import parse
from agents.errors import ConfigurationError
from agents.home import expanded

MOST_BYTES = 1024 * 1024
EXTENDS = "extends"
SITE = "site:"


def read_layers(path: Path, overrides: Sequence[str], environment: Mapping[str, str]) -> Node:
    """All layers laid over one another, references filled in. Raises ConfigurationError."""
    root = _file(path, environment, ())
    problems: list[str] = []
    for text in overrides:
        try:
            root = merged(root, _override(text))
        except ConfigurationError as error:
            problems += error.problems
    root = filled(root, environment, problems)
    if problems:
        raise ConfigurationError(problems)
    return root


def _file(path: Path, environment: Mapping[str, str], below: tuple[Path, ...]) -> Node:
    """The tree of a file laid over that of the one it extends. `below`: the files on the way."""
    node = parse(_text(path), path)
    entries = mapping_of(node)
    if entries is None:
        what = "is empty" if node.value is None else "must hold a mapping (key: value)"
        raise ConfigurationError(
            f"{path}: the configuration {what}; config.example.yaml shows every key"
        )
    if EXTENDS not in entries:
        return node
    named = entries[EXTENDS]
    own = replace(node, value={key: value for key, value in entries.items() if key != EXTENDS})
    base = _extended(named, environment)
    chain = (*below, path)
    if os.path.realpath(base) in [os.path.realpath(file) for file in chain]:
        circle = " -> ".join(str(file) for file in (*chain, base))
        raise ConfigurationError(f"{named.source}: extends goes round in a circle: {circle}")
    try:
        under = _file(base, environment, chain)
    except ConfigurationError as error:
        if base.exists():
            raise
        raise ConfigurationError(f"{named.source}: extends: {error}") from error
    return merged(under, own)


def _extended(named: Node, environment: Mapping[str, str]) -> Path:
    problems: list[str] = []
    value = filled(named, environment, problems, EXTENDS).value
    if not problems and (not isinstance(value, str) or not value or "\0" in value):
        problems = [f"{named.source}: extends must be the path of one other configuration file"]
    if problems:
        raise ConfigurationError(problems)
    if str(value).startswith(SITE):
        return _site(str(value).removeprefix(SITE), named.source)
    try:
        return named.source.directory / expanded(Path(str(value)))
    except ConfigurationError as error:
        raise ConfigurationError(f"{named.source}: extends: {error}") from error


def _site(name: str, source: Source) -> Path:
    """The profile of a site that comes with Pilothouse, in ``jobs/sites``."""
    sites = Path(str(resources.files("jobs"))) / "sites"
    known = sorted(file.stem for file in sites.glob("*.yaml"))
    if name not in known:
        raise ConfigurationError(
            f"{source}: there is no site {name!r}; there are {', '.join(known)}"
        )
    return sites / f"{name}.yaml"


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}: there is no such file; config.example.yaml is one to begin with"
        ) from error
    except IsADirectoryError as error:
        raise ConfigurationError(f"{path}: this is a directory; give the file in it") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"{path}: this cannot be read: {reason}") from error
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{path}: a configuration has at most {MOST_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}:{line}: this is not UTF-8 text (byte {content[error.start]:#04x}): is it a "
            "configuration file? save it as UTF-8"
        ) from error


def _override(text: str) -> Node:
    """The layer that ``key.path=value`` stands for."""
    name, separator, value = text.partition("=")
    keys = name.strip().split(".")
    if not separator or not all(keys):
        raise ConfigurationError(
            f"--set {text}: write KEY=VALUE, with the key's whole path, such as loop.max_trials=20"
        )
    source = Source(None)
    node = replace(parse(value, None, name=f"--set {text}"), source=source)
    for key in reversed(keys):
        node = Node({key: node}, source)
    return node
