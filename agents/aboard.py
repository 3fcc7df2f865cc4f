"""What a running search may need of its own checkout, taken aboard while there is time.

A search runs for days, imports what it needs when it needs it, and reads templates likewise. Whoever
pulls a newer version meanwhile would have it meet new files with old code.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path

import agents
import scheduler
from agents.proposers.template import default_prompt
from agents.report.templates import sources
from scheduler.script import data_text

_ELSEWHERE = ("agents.run", "agents.verbs", "agents.commands", "agents.doctor", "agents.detect",
              "agents.inventory")  # fmt: skip
"""What no running search comes to."""
_DATA = ("local", "templates")
"""Directories of files that job scripts are made of."""
_OURS = ("agents", "scheduler", "training")
_BEGAN = time.time()


def take_aboard() -> None:
    """Import every module that a search may come to, and read every file that comes with them."""
    for name in _modules():
        with suppress(ImportError, SyntaxError):  # told where it is needed, if ever
            importlib.import_module(name)
    for directory in _DATA:
        for file in resources.files("jobs").joinpath(directory).iterdir():
            if file.is_file():
                data_text(f"{directory}/{file.name}")
    sources()
    default_prompt()


def _modules() -> Iterator[str]:
    for package in (agents, scheduler):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            parts = found.name.split(".")
            if ".".join(parts[:2]) not in _ELSEWHERE:
                yield found.name


def files_changed() -> bool:
    """Whether a file of ours was changed since this process began: by a pull, for example."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in _OURS and file is not None and _is_newer(Path(file)):
            return True
    return False


def _is_newer(file: Path) -> bool:
    try:
        return file.stat().st_mtime > _BEGAN
    except OSError:
        return True
