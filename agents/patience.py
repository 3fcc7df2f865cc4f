"""Waiting while the world is away: for as long as it takes, saying for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from agents.interrupts import Interrupts
from agents.journal import Journal
from agents.progress import Waiting
from scheduler.errors import Away, LoginNeeded

T = TypeVar("T")


class Patience:
    """Does things with the outside world until they succeed.

    `changed` is called when a waiting begins, changes or ends. No login is ever tried from here:
    verbs of a transport do not log in, they say `LoginNeeded`.
    """

    def __init__(
        self, interrupts: Interrupts, journal: Journal, floor: float, ceiling: float
    ) -> None:
        self._interrupts = interrupts
        self._journal = journal
        self._floor = floor
        self._ceiling = ceiling
        self.waiting: Waiting | None = None
        self.changed: Callable[[], None] = lambda: None

    def __call__(self, action: Callable[[], T]) -> T:
        """The result of `action`, once nothing it needs is away. Raises Interrupted."""
        delay = self._floor
        while True:
            self._interrupts.check()
            try:
                result = action()
            except Away as error:
                self._away(error)
                # Whether a person has logged in meanwhile is asked of this machine alone.
                delay = self._floor if isinstance(error, LoginNeeded) else delay
                self._interrupts.sleep(delay)
                delay = min(self._ceiling, delay * 2)
                continue
            self._back()
            return result

    def _away(self, error: Away) -> None:
        waiting = Waiting(error.waiting_for, str(error), error.remedy, datetime.now(UTC))
        if self.waiting is not None and waiting.what == self.waiting.what:
            waiting = replace(waiting, since=self.waiting.since)
        else:
            self._journal.event(
                "waiting", "warning", what=waiting.what, why=waiting.why, remedy=waiting.remedy
            )
        self.waiting = waiting
        self.changed()

    def _back(self) -> None:
        if self.waiting is None:
            return
        self._journal.event("goes_on", waited_for=self.waiting.what)
        self.waiting = None
        self.changed()


class OneTry(Patience):
    """Does things once: what is away is an error, for commands that somebody waits for."""

    def __call__(self, action: Callable[[], T]) -> T:
        """The result of `action`. Raises Away, Interrupted."""
        self._interrupts.check()
        return action()
