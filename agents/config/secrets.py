"""What must not be written into files or messages: passwords, keys, tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from agents.config.node import Node, joined, mapping_of, walk
from agents.config.references import names, without_references

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PW|CREDENTIALS?)$", re.IGNORECASE
)
_URLS = ("ledger.storage", "llm.base_url")
_PASSWORD_IN_URL = re.compile(r"://[^/@:]*:[^/@]+@")
_ENVIRONMENT = "cluster.environment."


def is_secret(path: str, node: Node) -> bool:
    """Whether a value came from the environment and is shown as its reference only."""
    if node.written is None:
        return False
    if path in _URLS or _SECRET_NAME.search(path.rpartition(".")[2]):
        return True
    return any(_SECRET_NAME.search(name) for name in names(node.written))


def without_secrets(node: Node, path: str = "") -> Node:
    """The tree with references in place of secrets."""
    if is_secret(path, node):
        return replace(node, value=node.written)
    entries = mapping_of(node)
    if entries is not None:
        inner = {key: without_secrets(below, joined(path, key)) for key, below in entries.items()}
        return replace(node, value=inner)
    if isinstance(node.value, Sequence) and not isinstance(node.value, str):
        items = [without_secrets(item, joined(path, i)) for i, item in enumerate(node.value)]
        return replace(node, value=items)
    return node


def literal_secrets(root: Node) -> list[str]:
    """Secrets that stand in the file itself, from where they would go into every run's files."""
    return [
        f"{node.source}: {path}: {fault}"
        for path, node in walk(root)
        if isinstance(node.value, str)
        for fault in _faults(path, node, node.value)
    ]


def _faults(path: str, node: Node, value: str) -> Iterator[str]:
    if path in _URLS:
        written = value if node.written is None else without_references(node.written)
        if _PASSWORD_IN_URL.search(written):
            yield "the password stands in the file: put it into a variable, say ${DB_PASSWORD}"
    name = path.removeprefix(_ENVIRONMENT)
    if name != path and node.written is None and value and _SECRET_NAME.search(name):
        yield (
            f"this looks like a secret: write ${{{name}}} and set that variable, so that the "
            f"value stays out of files (or ${{{name}:-value}} where it is none)"
        )
