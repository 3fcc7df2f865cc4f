"""What a run was made with: versions, host, and the state of the user's repository."""

from __future__ import annotations

import platform
import socket
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ("pilothouse", "optuna", "langgraph", "langchain-openai", "pydantic", "torch")


def environment() -> dict[str, str]:
    """Versions and host of the orchestrator."""
    facts = {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return facts


def git_state(directory: Path) -> dict[str, str | bool | None]:
    """Commit, branch and whether there are changes, of the repository around `directory`.

    Empty where there is no repository or no git.
    """
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(directory, "rev-parse", "--abbrev-ref", "HEAD"),
        "changed": bool(changes),
    }


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
