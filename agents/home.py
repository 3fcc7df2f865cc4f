"""A leading ``~`` in a path."""

from __future__ import annotations

from pathlib import Path

from agents.errors import ConfigurationError


def expanded(path: Path) -> Path:
    """The path with a leading ``~`` or ``~user`` filled in.

    Raises ConfigurationError where nobody here knows whose home directory that is.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{path}: the home directory {path.parts[0]} is not known on this machine; write the "
            f"whole path (./{path} is one that is called so)"
        ) from error
