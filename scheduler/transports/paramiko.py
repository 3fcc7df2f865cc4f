"""Scripts over a connection of our own, for sites where a key or an agent is enough.

Such a login asks nobody anything, so a lost connection is made anew. A refused one is not tried
again until the keys have changed: sites lock accounts that knock too often.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from typing import TYPE_CHECKING

from scheduler.errors import Away, ConnectionLost, HostKeyRefused, LoginNeeded, TooSlow
from scheduler.settings import ParamikoTransportSettings
from scheduler.transport import Completed, TransportState
from scheduler.transports import child, framing
from scheduler.transports.copying import CopiesFiles
from scheduler.transports.paramiko_login import KeyLogin, words
from scheduler.transports.ssh import PROBE_SECONDS, SESSION_RETRIES

if TYPE_CHECKING:
    import paramiko

_CHUNK = 1 << 15
_WATCH_SECONDS = 0.5


class ParamikoTransport(CopiesFiles):
    """The transport to a machine that lets a key in. Threads share its one connection."""

    def __init__(self, settings: ParamikoTransportSettings) -> None:
        self.name = f"ssh {settings.host}"
        self._login = KeyLogin(settings)
        self._client: paramiko.SSHClient | None = None
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._sessions = threading.BoundedSemaphore(settings.max_sessions)

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `script`, on a new connection where there is none. See `Transport.run`."""
        end = time.monotonic() + timeout
        if not self._sessions.acquire(timeout=timeout):
            raise ConnectionLost(
                f"no free session on {self.name} for {timeout:g} s; nothing was run there"
            )
        try:
            channel = self._open_session(end)
            try:
                return self._exchange(channel, script, stdin, timeout, end)
            finally:
                _close(channel)
        finally:
            self._sessions.release()

    def _open_session(self, end: float) -> paramiko.Channel:
        import paramiko

        for wait in (*SESSION_RETRIES, None):
            line = self._line()
            try:
                # One at a time: a paramiko transport keeps one exception for all its threads.
                with self._opening:
                    return line.open_session(timeout=max(0.1, end - time.monotonic()))
            except paramiko.ChannelException as error:
                if wait is None or time.monotonic() + wait > end:
                    raise ConnectionLost(
                        f"{self.name} refuses a further session on the connection ({error}); "
                        "lower cluster.transport.max_sessions"
                    ) from error
                time.sleep(wait)
            except (paramiko.SSHException, EOFError, OSError) as error:
                self._drop(line)
                raise ConnectionLost(
                    f"the connection to {self.name} is broken ({words(error)}); nothing was run"
                ) from error
        raise AssertionError("unreachable")

    def _exchange(
        self, channel: paramiko.Channel, script: str, stdin: bytes, timeout: float, end: float
    ) -> Completed:
        import paramiko

        nonce = secrets.token_hex(8)
        sent = framing.pack(script, stdin, nonce=nonce, timeout=timeout)
        stdout, stderr, broken = bytearray(), bytearray(), "the line ended"
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(channel, end, done), daemon=True)
        watch.start()
        try:
            channel.exec_command(framing.COMMAND)
            threading.Thread(target=_feed, args=(channel, sent), daemon=True).start()
            listener = threading.Thread(target=_listen, args=(channel, stderr, nonce), daemon=True)
            listener.start()
            while not framing.is_complete(stdout, nonce) and (chunk := channel.recv(_CHUNK)):
                stdout += chunk
                if len(stdout) > child.MAX_OUTPUT_BYTES:
                    raise child.too_much()
            listener.join(child.LINGER_SECONDS)
        except (paramiko.SSHException, EOFError, OSError) as error:
            broken = words(error)
        finally:
            done.set()
        answer = framing.unpack(bytes(stdout), bytes(stderr), nonce)
        if answer is not None:
            return Completed(answer.code, answer.stdout, answer.stderr)
        if not framing.has_begun(stdout, nonce):
            # A line that answers nothing is not used again: it may be half dead.
            self._drop(channel.get_transport())
        if time.monotonic() >= end:
            raise TooSlow(self.name, timeout)
        raise ConnectionLost(
            f"a script on {self.name} was cut off ({broken}); what it did is not known"
        )

    def _line(self) -> paramiko.Transport:
        with self._lock:
            line = self._client.get_transport() if self._client else None
            if line is not None and line.is_active():
                return line
            if self._client:
                self._client.close()
            self._client = self._login.log_in()
            line = self._client.get_transport()
            if line is None:
                raise ConnectionLost(f"{self.name} closed the connection at once")
            return line

    def _drop(self, line: paramiko.Transport | None) -> None:
        if line is not None:
            line.close()

    def state(self) -> TransportState:
        """Asks the machine, over a new connection where there is none."""
        try:
            self.run(":", timeout=PROBE_SECONDS)
        except (LoginNeeded, HostKeyRefused):
            return TransportState.LOGIN_NEEDED
        except Away:
            return TransportState.UNREACHABLE
        return TransportState.READY

    def remedy(self) -> str:
        """The login by hand that shows what is wrong with keys or host keys."""
        return self._login.command() if self.state() is TransportState.LOGIN_NEEDED else ""

    def close(self) -> None:
        """Close the connection; a later verb opens a new one."""
        with self._lock:
            if self._client:
                self._client.close()
            self._client = None


def _watch(channel: paramiko.Channel, end: float, done: threading.Event) -> None:
    """Closes the channel, which ends every wait in it, at `end` or when the line has died.

    paramiko's waits have no limit of their own, and one that begins as the line dies is not woken.
    """
    while not done.wait(min(_WATCH_SECONDS, max(0.0, end - time.monotonic()))):
        line = channel.get_transport()
        if time.monotonic() >= end or not line.is_active():
            _close(channel)
            return


def _close(channel: paramiko.Channel) -> None:
    import paramiko

    # Closing says so to the far side, which may not be there any more.
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        channel.close()


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    import paramiko

    # Where the channel is closed, the script had ended, or the reader reports the cut.
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        channel.sendall(data)
        channel.shutdown_write()


def _listen(channel: paramiko.Channel, received: bytearray, nonce: str) -> None:
    try:
        while not framing.is_complete(received, nonce):
            chunk = channel.recv_stderr(_CHUNK)
            if not chunk:
                return
            received += chunk
            if len(received) > child.MAX_OUTPUT_BYTES:
                _close(channel)  # The reader of standard output sees it cut off.
    except (TimeoutError, OSError):
        return  # The reader of standard output reports what happened to the channel.
