"""What must not be written into files or messages: passwords, keys, tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from agents.config.node import Node, joined, mapping_of, walk
from agents.config.references import names, without_references

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PW|CREDENTIALS?)$", re.IGNORECASE
)
_URLS = ("ledger.storage", "llm.base_url")
# A shell fills in what begins with $.
_PASSWORD_IN_URL = re.compile(r"://[^/@:\s]*:(?!\$[A-Za-z_{(])[^/@\s]+@")
_ENVIRONMENT = "cluster.environment."
_SENT = "llm.extra_body."
# Narrower than of variables: stop_token and prompt_cache_key are ordinary fields of a request.
_SENT_NAME = re.compile(
    r"api_?key$|(?:^|_)(?:access_?key|secret(?:_?key)?|password|passwd|credentials?|authorization)$"
    r"|^(?:(?:auth|access|api|bearer|refresh|session)_?)?token$",
    re.IGNORECASE,
)
_KNOWN_FORMS = re.compile(
    r"(?<![\w-])(?:sk-(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{20,}|hf_[A-Za-z0-9]{30,}|gh[oprsu]_[A-Za-z0-9]{36,}"
    r"|github_pat_\w{30,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}(?!\w)"
    r"|Bearer\s+(?=\S*\d)[\w.~+/=-]{8,})|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""Keys and tokens that tell what they are: OpenAI, Hugging Face, GitHub, GitLab, Slack, AWS, SSH."""


def is_secret(path: str, node: Node) -> bool:
    """Whether a value came from the environment and is shown as its reference only."""
    if node.written is None:
        return False
    if path in _URLS or _SECRET_NAME.search(_last(path)) or _is_sent_secret(path):
        return True
    if isinstance(node.value, str) and _PASSWORD_IN_URL.search(node.value):
        return True
    return any(_SECRET_NAME.search(name) for name in names(node.written))


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _is_sent_secret(path: str) -> bool:
    """Whether a field of an LLM's request is named like a secret."""
    return path.startswith(_SENT) and bool(_SENT_NAME.search(_last(path).replace("-", "_")))


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
    found = (
        (path, node, _fault(path, node, node.value))
        for path, node in walk(root)
        if isinstance(node.value, str)
    )
    return [f"{node.source}: {path}: {fault}" for path, node, fault in found if fault]


def _fault(path: str, node: Node, value: str) -> str:
    written = value if node.written is None else without_references(node.written)
    if _PASSWORD_IN_URL.search(written):
        return "the password stands in the file: put it into a variable, say ${DB_PASSWORD}"
    name = _named(path)
    if name and value and node.written is None:
        return (
            f"this looks like a secret: write ${{{name}}} and set that variable, so that the "
            f"value stays out of files (or ${{{name}:-value}} where it is none)"
        )
    if _KNOWN_FORMS.search(written):
        return (
            "this looks like a secret: put it into a variable, say ${MY_TOKEN}, so that it stays "
            "out of files"
        )
    return ""


def _named(path: str) -> str:
    """The variable to put a value into that is named like a secret; empty where it is not."""
    name = path.removeprefix(_ENVIRONMENT)
    if name != path and _SECRET_NAME.search(name):
        return name
    if not _is_sent_secret(path):
        return ""
    last = re.sub(r"\W", "_", _last(path)).upper()
    return "LLM_TOKEN" if last == "AUTHORIZATION" else last
