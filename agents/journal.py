"""The log of a run: one event a line, as JSON, in logs/run.jsonl."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from training.contract import finite_or_none

LEVELS = ("debug", "info", "warning", "error")
_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Journal:
    """Appends events to a file. Fields must not hold secrets; nothing here takes them out."""

    def __init__(self, path: Path, level: str = "info") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._threshold = _NUMBERS[level]
        self._libraries = _Library(self)
        logging.getLogger().addHandler(self._libraries)

    def event(self, name: str, level: str = "info", **fields: Any) -> None:
        """Write one event, with the time (UTC) and its fields."""
        if _NUMBERS[level] < self._threshold or self._stream.closed:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": level, "event": name, **finite_or_none(fields)}
        text = json.dumps(line, ensure_ascii=False, default=_in_words)
        # The log is told what happens and decides nothing: a full disk is met where it matters, by
        # the ledger, and must not be hidden by a log that cannot tell of it.
        with suppress(OSError):
            self._stream.write(text + "\n")

    def close(self) -> None:
        """Stop listening to the libraries and close the file."""
        logging.getLogger().removeHandler(self._libraries)
        with suppress(OSError):
            self._stream.close()


def _in_words(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value)


class _Library(logging.Handler):
    """Warnings and errors of the libraries become events too."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._journal.event("library", level, logger=record.name, message=record.getMessage())
