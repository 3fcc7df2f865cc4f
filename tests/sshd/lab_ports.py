"""Ports on loopback that no other test takes meanwhile, in whatever process it runs.

A port that the kernel chose and that is bound again later may have gone to somebody else in between.
These lie below those that the kernel hands out, and whoever has them holds a lock as long.
"""

from __future__ import annotations

import random
import socket

FIRST, LAST, RUN = 20000, 32000, 120


class Ports:
    """A run of free ports: `numbers`, until `release` or the end of the process."""

    def __init__(self, count: int) -> None:
        assert count <= RUN
        blocks = list(range(FIRST, LAST, RUN))
        random.SystemRandom().shuffle(blocks)
        for first in blocks:
            self.numbers = range(first, first + count)
            self._lock = _taken(first)
            if self._lock is None:
                continue
            if all(_is_free(port) for port in self.numbers):
                return
            self._lock.close()
        raise AssertionError("no free ports")

    def release(self) -> None:
        """Somebody else may have them."""
        if self._lock is not None:
            self._lock.close()


def a_port() -> int:
    """One port, until the end of the process."""
    ports = Ports(1)
    _kept.append(ports)
    return ports.numbers[0]


_kept: list[Ports] = []


def _taken(first: int) -> socket.socket | None:
    """An abstract socket as the lock: it goes with its process, and is of one network as ports are."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0pilothouse-tests-ports-{first}")
    except OSError:
        lock.close()
        return None
    return lock


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As daemons bind.
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
