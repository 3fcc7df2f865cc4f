"""``metrics.jsonl`` as it grows: a line an epoch, also through an hour in which the disk is full."""

from __future__ import annotations

import contextlib
from pathlib import Path

from training.notices import warn


class MetricsFile:
    """Appends lines. What cannot be written is kept, and written before the next line."""

    def __init__(self, path: Path | None) -> None:
        """None: nothing is written, as by all processes but the first."""
        self._path = path
        if path is not None:
            with contextlib.suppress(OSError):  # it is there from the beginning, for who follows it
                path.touch()
        self._untold = b""

    def add(self, line: str) -> None:
        """Append the line; warn once where it, and those after it, must wait."""
        if self._path is None:
            return
        waits = bool(self._untold)
        self._untold += line.encode()
        try:
            with open(self._path, "ab", buffering=0) as stream:
                while self._untold:
                    self._untold = self._untold[stream.write(self._untold) or 0 :]
        except OSError as error:
            if not waits:
                warn(f"{self._path}: {error.strerror}: its lines are kept for later")
