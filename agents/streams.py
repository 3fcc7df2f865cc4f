"""Standard input, output and error: there from the beginning, and let go when nobody reads them."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
"""A reader that has left (`| head`) or a terminal that is no more. A full disk may have room again."""


def make_whole() -> None:
    """Open what was closed (`>&-`, a cron of its own making): else the next file that is opened, such
    as a run's lock, takes that number, and what a child says ends up in it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    # Python leaves None where it found nothing.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def let_go_of_output() -> None:
    """Send to nowhere what else is written to standard output: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
