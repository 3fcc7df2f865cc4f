"""How often an endpoint that keeps failing is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable

MAX_PAUSE = 15
"""Calls at most during which an endpoint that keeps failing is left alone."""


class Breaker:
    """Leaves an endpoint that keeps failing alone for a while, counted in calls.

    After the n-th failure in a row 2^(n-1) - 1 calls are let off, at most `MAX_PAUSE`. Where a
    person can mend it, as by a login, and has done so, everything begins anew at once.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._pause = 0
        self._mended: Callable[[], bool] | None = None
        self.reason = ""
        """Of the last failure."""

    @property
    def is_closed(self) -> bool:
        """Whether the last call worked."""
        return self._failures == 0

    def lets_pass(self) -> bool:
        """Whether to ask this time."""
        if self._mended is not None and self._mended():
            self.worked()
        if self._pause == 0:
            return True
        self._pause -= 1
        return False

    def failed(self, reason: str, mended: Callable[[], bool] | None = None) -> None:
        """The endpoint was asked and did not answer. `mended`: whether a person has done since what
        was missing."""
        self._failures += 1
        self._pause = min(MAX_PAUSE, 2 ** min(self._failures - 1, 10) - 1)
        self._mended = mended
        self.reason = reason

    def worked(self) -> None:
        """The endpoint answered, whatever it said."""
        self._failures = 0
        self._pause = 0
        self._mended = None
