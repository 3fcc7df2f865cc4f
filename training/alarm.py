"""The failure of one of several processes reaches the others, also where they wait for it on a device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from torch import distributed

FAILURE = "training/failure"
EVERY, GRACE = 2.0, 5.0
"""Seconds between two looks, and for a process to notice by itself: gloo does, NCCL does not."""


def first_failure(report: str) -> str:
    """What the process that failed first has told: this one's report where no other has failed.

    Who waits for a process that is gone fails too, of a broken connection: that is not the reason.
    """
    if not distributed.is_initialized():
        return report
    store = distributed.distributed_c10d._get_default_store()
    try:
        told: bytes = store.compare_set(FAILURE, "", report)
    except RuntimeError:  # the process that keeps the store is gone
        return report
    return told.decode()


def linger() -> None:
    """Stay, after a failure, until the first process has noticed it and told it.

    Where the connection to another process breaks, NCCL takes a process down before it can tell
    anything; gloo raises.
    """
    if distributed.is_initialized() and distributed.get_backend() != "gloo":
        time.sleep(EVERY + GRACE + EVERY)


def watch(give_up: Callable[[str], None]) -> Callable[[], None]:
    """Call `give_up` with another process's report once it has failed, from a thread of its own.

    Returns what ends the watch. A process must not end before it: a thread that is in torch when Python
    is taken down aborts the process, or hangs it.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(give_up, ended), daemon=True)
    thread.start()

    def stop() -> None:
        ended.set()
        thread.join()

    return stop


def _look(give_up: Callable[[str], None], ended: threading.Event) -> None:
    while not distributed.is_initialized():
        if ended.wait(EVERY):
            return
    # A connection of its own: the training's may be waiting for an answer.
    store = distributed.distributed_c10d._get_default_store().clone()
    report = None
    while report is None:
        if ended.wait(EVERY):
            return
        report = _told(store)
    if not ended.wait(GRACE):
        give_up(report)


def _told(store: distributed.Store) -> str | None:
    try:
        return store.get(FAILURE).decode() if store.check([FAILURE]) else None
    except RuntimeError:  # the process that keeps the store has ended, and it is the first one's
        return ""
