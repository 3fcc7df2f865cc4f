"""A person at a terminal: a program on a pty that is answered what it asks."""

from __future__ import annotations

import codecs
import os
import pty
import select
import time
from collections.abc import Mapping, Sequence


def converse(
    command: Sequence[str], answers: Mapping[str, str], *, timeout: float = 180.0
) -> tuple[int, str]:
    """Run `command` on a terminal of its own; exit code and all that was on the screen.

    Each time a key of `answers` shows on the screen, its value and Return are typed.
    """
    pid, screen = pty.fork()
    if pid == 0:
        os.execvp(command[0], list(command))
    shown, seen, ended = "", 0, None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    end = time.monotonic() + timeout
    try:
        while time.monotonic() < end:
            if not select.select([screen], [], [], 0.1)[0]:
                if ended is not None:
                    return ended, shown
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:  # Its last words may have come between the look and the wait.
                    ended = os.waitstatus_to_exitcode(status)
                continue
            try:
                chunk = os.read(screen, 4096)
            except OSError:  # Linux says EIO once the last process has closed the terminal.
                chunk = b""
            if not chunk:
                if ended is None:
                    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                return ended, shown
            shown += decoder.decode(chunk)
            for question in [q for q in answers if q in shown[seen:]]:
                seen = len(shown)
                os.write(screen, f"{answers[question]}\n".encode())
        if ended is None:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        raise TimeoutError(f"still asking: {shown}")
    finally:
        os.close(screen)
