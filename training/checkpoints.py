"""Checkpoints: written by rename, the last two kept, a broken one passed over."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch

LAST, BEFORE, BEST = "last.pt", "before.pt", "best.pt"


def save(directory: Path, state: dict[str, Any], *, best: bool) -> None:
    """Write the state after an epoch; the one before stays, and a copy where it is the best."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"new.{os.getpid()}"
    torch.save(state, temporary)
    with open(temporary, "rb") as stream:
        os.fsync(stream.fileno())
    if best:
        _link(temporary, directory / BEST)
    if (directory / LAST).exists():
        os.replace(directory / LAST, directory / BEFORE)
    os.replace(temporary, directory / LAST)


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name, by rename."""
    name = target.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        name.unlink()
    os.link(source, name)
    os.replace(name, target)


def load(directory: Path) -> dict[str, Any] | None:
    """The newest state that can be read; None where there is none."""
    for name in (LAST, BEFORE):
        path = directory / name
        if not path.exists():
            continue
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
        except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
            print(f"warning: {path} cannot be read ({error}); trying the one before", flush=True)
    return None
