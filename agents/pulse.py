"""A sign of life that does not wait for what the search is doing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 60.0
"""Between two of them: well below `run_lock.HEARTBEAT_TIMEOUT_SECONDS`."""


@contextmanager
def pulse(path: Path) -> Iterator[None]:
    """Keep the time stamp of `path` (progress.json) fresh meanwhile, from a thread of its own.

    An endpoint that hangs, a slow line or a large copy can hold the search for longer than another
    host waits before it takes us for dead. What the file says is left to who writes it.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(SECONDS):
            with suppress(OSError):  # not there yet, or a full disk that others have met
                os.utime(path)

    threading.Thread(target=beat, daemon=True, name="pulse").start()
    try:
        yield
    finally:
        over.set()
