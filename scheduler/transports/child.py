"""A local child process as the carrier of a framed exchange: fed, read and ended in time."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scheduler.errors import HostOverloaded, SchedulerError

MAX_OUTPUT_BYTES = 256 * 1024 * 1024
"""Of one script; more is a mistake there and would fill the memory here."""
LINGER_SECONDS = 0.5
"""How long a child may take to end by itself once the answer is complete."""
REAPING_SECONDS = 5.0
"""How long a killed child is waited for."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Ended:
    """What became of the child. `code` is None where the time limit ended it."""

    code: int | None
    stdout: bytes
    stderr: bytes


_SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""What fork, pipe and the like say on a login node whose limits are reached."""


@contextlib.contextmanager
def told_when_overloaded() -> Iterator[None]:
    """Turns this machine's lack of processes, memory or descriptors into HostOverloaded."""
    try:
        yield
    except OSError as error:
        if error.errno not in _SCARCE:
            raise
        raise HostOverloaded(
            f"this machine could not start another process: {error.strerror} (too many of yours, "
            "or a limit of this login node?)"
        ) from error


def exchange(
    command: Sequence[str],
    stdin: bytes,
    *,
    timeout: float,
    is_complete: Callable[[bytearray], bool],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run `command` in a session of its own, for `timeout` seconds at most.

    Ends when the child does, or soon after `is_complete` accepts what came on standard output:
    grandchildren that keep the pipes open are not waited for. At the limit, the child's process
    group is killed. Raises HostOverloaded where this machine cannot start it for now.
    """
    with told_when_overloaded():
        return _exchange(command, stdin, timeout, is_complete, environment)


def _exchange(
    command: Sequence[str],
    stdin: bytes,
    timeout: float,
    is_complete: Callable[[bytearray], bool],
    environment: Mapping[str, str] | None,
) -> Ended:
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment,
        bufsize=0,
    )
    deadline = time.monotonic() + timeout
    try:
        stdout, stderr, complete = _pump(child, stdin, deadline, is_complete)
        limit = LINGER_SECONDS if complete else max(0.0, deadline - time.monotonic())
        try:
            code: int | None = child.wait(limit)
        except subprocess.TimeoutExpired:
            code = 0 if complete else None
        return Ended(code, stdout, stderr)
    finally:
        _end(child)


def _pump(
    child: subprocess.Popen[bytes],
    stdin: bytes,
    deadline: float,
    is_complete: Callable[[bytearray], bool],
) -> tuple[bytes, bytes, bool]:
    assert child.stdin and child.stdout and child.stderr
    source, out, err = child.stdin.fileno(), child.stdout.fileno(), child.stderr.fileno()
    received = {out: bytearray(), err: bytearray()}
    complete = False
    rest = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for descriptor in (out, err):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        os.set_blocking(source, False)
        selector.register(source, selectors.EVENT_WRITE)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, _ in selector.select(left):
                if key.fd == source:
                    rest = _feed(source, rest)
                    if not rest:
                        selector.unregister(source)
                        child.stdin.close()
                    continue
                chunk = _read(key.fd)
                if chunk is None:
                    continue
                received[key.fd] += chunk
                if len(received[key.fd]) > MAX_OUTPUT_BYTES:
                    raise too_much()
                if not chunk:
                    selector.unregister(key.fd)
            if not complete and is_complete(received[out]):
                complete = True
                deadline = min(deadline, time.monotonic() + LINGER_SECONDS)
            if complete and is_complete(received[err]):
                break
    return bytes(received[out]), bytes(received[err]), complete


def too_much() -> SchedulerError:
    """The error of a script that prints without end."""
    return SchedulerError(
        f"a script printed more than {MAX_OUTPUT_BYTES >> 20} MiB; it was ended. Lower the sizes "
        "that are asked for at once"
    )


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    try:
        return rest[os.write(descriptor, rest[:_CHUNK]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[len(rest) :]


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        # One that waits for a dead file server cannot be killed: it is left behind.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(REAPING_SECONDS)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            pipe.close()
