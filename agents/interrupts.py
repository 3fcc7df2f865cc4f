"""Signals that ask the orchestrator to leave. Jobs are not touched by them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LATE_SECONDS = 1.0
"""After so long without leaving, a person who asked for it is told what it waits for."""


class Interrupted(BaseException):
    """A signal asked us to leave. No error: whatever catches errors must not catch this."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Remembers a signal until the loop comes to a point where it can leave.

    A second SIGINT does not wait for that: it raises KeyboardInterrupt at once. SIGHUP stays ignored where
    it was, as `nohup` has it.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._number = 0
        self._before: dict[int, Any] = {}
        self.first_rest: Callable[[], None] = lambda: None
        """Called once, when there is time for the first time."""
        self.late: Callable[[], None] = lambda: None
        """Called where a SIGINT finds the loop busy: a question on its way may take minutes."""

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            # Under nohup the end of the terminal is nothing to us.
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._received)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: self.late())
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._number = number
        self._asked.set()
        if number == signal.SIGINT:
            signal.setitimer(signal.ITIMER_REAL, LATE_SECONDS)

    def check(self) -> None:
        """Raise Interrupted where a signal has come."""
        if self._asked.is_set():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interrupted(self._number)

    def sleep(self, seconds: float) -> None:
        """Wait, at most until a signal comes; then raise Interrupted."""
        use_it, self.first_rest = self.first_rest, lambda: None
        use_it()
        self._asked.wait(seconds)
        self.check()
