"""Requests from other terminals: files in the run directory, each written and taken as a whole.

A file is named by time and a nonce and appears by rename, on a network file system as well; no
database has to answer for that. The file goes when the orchestrator has entered it in the ledger.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.errors import ConfigurationError
from agents.steering import VERBS, Request, Verb
from training.contract import to_json_bytes, write_atomically

SCHEMA = 1
DIRECTORY = "requests"
MOST_BYTES = 64 * 1024
_SUFFIX = ".json"


class Unreadable(ValueError):
    """A file in the directory of requests that is none."""


def new_request(verb: Verb, arguments: Mapping[str, Any]) -> Request:
    """A request by the person at this terminal, now."""
    now = datetime.now(UTC)
    identity = f"{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"
    return Request(identity, verb, dict(arguments), _myself(), now)


def _myself() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def leave(run: Path, request: Request) -> Path:
    """Put a request where the orchestrator looks. Raises ConfigurationError where it cannot."""
    directory = run / DIRECTORY
    path = directory / f"{request.id}{_SUFFIX}"
    document = {
        "schema": SCHEMA,
        "verb": request.verb,
        "arguments": dict(request.arguments),
        "by": request.by,
        "asked_at": request.asked_at.isoformat(),
    }
    content = to_json_bytes(document)
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"this is too long to ask for: at most {MOST_BYTES} bytes")
    try:
        directory.mkdir(exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise ConfigurationError(
            f"{directory}: cannot write there: {error.strerror}; ask whoever runs this search"
        ) from error
    return path


def waiting(run: Path) -> list[Path]:
    """The requests that nobody has taken, the oldest first."""
    try:
        with os.scandir(run / DIRECTORY) as entries:
            found = [
                entry.name
                for entry in entries
                if entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    return [run / DIRECTORY / name for name in sorted(found)]


def read(path: Path) -> Request:
    """The request in a file. Raises Unreadable, with the reason."""
    with open(path, "rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it has more than {MOST_BYTES} bytes")
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise Unreadable(f"it is of another version (schema {document['schema']})")
        verb, arguments = document["verb"], document["arguments"]
        if verb not in VERBS or not isinstance(arguments, dict):
            raise Unreadable(f"there is no verb {verb!r} with such arguments")
        asked_at = datetime.fromisoformat(document["asked_at"])
        return Request(identity(path), verb, arguments, str(document["by"]), asked_at)
    except Unreadable:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable(f"it is no request ({type(error).__name__}: {error})") from None


def identity(path: Path) -> str:
    """The id of the request in a file, by its name."""
    return path.name.removesuffix(_SUFFIX)


def withdraw(path: Path) -> bool:
    """Take a request back. False where it has been taken meanwhile."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
