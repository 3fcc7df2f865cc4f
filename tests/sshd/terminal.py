"""A person at a terminal: a program on a pty that is answered what it asks."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Mapping, Sequence


def converse(
    command: Sequence[str], answers: Mapping[str, str], *, timeout: float = 30.0
) -> tuple[int, str]:
    """Run `command` on a terminal of its own; exit code and all that was on the screen.

    Each time a key of `answers` shows on the screen, its value and Return are typed.
    """
    pid, screen = pty.fork()
    if pid == 0:
        os.execvp(command[0], list(command))
    shown, seen = "", 0
    end = time.monotonic() + timeout
    try:
        while time.monotonic() < end:
            if not select.select([screen], [], [], 0.1)[0]:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    return os.waitstatus_to_exitcode(status), shown
                continue
            try:
                chunk = os.read(screen, 4096)
            except OSError:  # Linux says EIO once the last process has closed the terminal.
                chunk = b""
            if not chunk:
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown
            shown += chunk.decode(errors="replace")
            for question in [q for q in answers if q in shown[seen:]]:
                seen = len(shown)
                os.write(screen, f"{answers[question]}\n".encode())
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise TimeoutError(f"still asking: {shown}")
    finally:
        os.close(screen)
