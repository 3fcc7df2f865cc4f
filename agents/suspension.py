"""Ctrl-Z: the terminal is the shell's meanwhile, and ours again after `fg`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def suspendable(close: Callable[[], None], redraw: Callable[[], None]) -> Iterator[None]:
    """`close` the screen before this process is stopped, and `redraw` it when it goes on.

    Left as it is, a panel hides the cursor from the shell, and is drawn over what the shell said.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        close()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # comes back when somebody lets us go on
        signal.signal(signal.SIGTSTP, stop)
        redraw()

    before = signal.getsignal(signal.SIGTSTP)
    if before == signal.SIG_IGN:  # a shell without job control
        yield
        return
    signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
