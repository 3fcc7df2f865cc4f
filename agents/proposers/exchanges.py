"""The exchanges with an LLM, each kept as a file of its own. Secrets never."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class ExchangeLog:
    """Writes `trial_0007_01.json`, …: by the first trial that was asked for, and a count.

    The directory is made at the first exchange, for the owner only. A file is written once and
    never replaced: after a crash the same question gets the next count.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, first_trial: int, exchange: Mapping[str, Any]) -> Path:
        """Write one exchange. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        document = {"schema": 1, "time": datetime.now(UTC).isoformat(), **exchange}
        data = json.dumps(document, indent=1, default=str).encode()
        count = 1
        while True:
            path = self._directory / f"trial_{first_trial:04d}_{count:02d}.json"
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                count += 1
                continue
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            return path
