"""Scripts over the OpenSSH client, through a master connection that a person opened."""

from __future__ import annotations

import secrets
import threading
import time

from scheduler.errors import Away, ConnectionLost, LoginNeeded, SchedulerError, TooSlow
from scheduler.settings import SshTransportSettings
from scheduler.transport import Completed, TransportState
from scheduler.transports import framing, ssh_client
from scheduler.transports.child import Ended, exchange
from scheduler.transports.copying import CopiesFiles
from scheduler.transports.ssh_client import Trouble
from scheduler.transports.ssh_master import Life, Master, MasterStatus

PROBE_SECONDS = 15.0
"""Time limit of the question whether the line works."""
AFTERMATH_SECONDS = 3.0
"""Time limit of the question why a script did not even begin."""
SESSION_RETRIES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Waits (s) after a refused session: a server closes an ended one late (MaxSessions)."""


class SshTransport(CopiesFiles):
    """The transport to a machine reached by ``ssh``, configured in the person's own way.

    Never logs in: without a master, every verb raises LoginNeeded at once.
    """

    def __init__(self, settings: SshTransportSettings, connect: str) -> None:
        """`connect` is the command that a person types to open the connection."""
        self.name = f"ssh {settings.host}"
        self._settings = settings
        self._connect_command = connect
        self._master = Master(settings)
        self._sessions = threading.BoundedSemaphore(settings.max_sessions)

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `script` over the master. See `Transport.run`."""
        end = time.monotonic() + timeout
        if not self._sessions.acquire(timeout=timeout):
            raise ConnectionLost(
                f"no free session on {self.name} for {round(timeout, 1):g} s; nothing was run there"
            )
        try:
            for wait in (*SESSION_RETRIES, None):
                done = self._run_once(script, stdin, max(end - time.monotonic(), 0.0))
                if done is not None:
                    return done
                if wait is None or wait > end - time.monotonic():
                    break
                time.sleep(wait)
        finally:
            self._sessions.release()
        raise ConnectionLost(
            f"{self.name} refuses a further session on the connection (MaxSessions); "
            "lower cluster.transport.max_sessions, or close sessions of your own"
        )

    def _run_once(self, script: str, stdin: bytes, timeout: float) -> Completed | None:
        """None where the server refused a session, so that nothing ran."""
        if not self._master.path.exists():
            raise self._login_needed("there is no open connection")
        nonce = secrets.token_hex(8)
        ended = self._exchange(
            framing.pack(script, stdin, nonce=nonce, timeout=timeout), nonce, timeout
        )
        answer = framing.unpack(ended.stdout, ended.stderr, nonce)
        if answer is not None:
            return Completed(answer.code, answer.stdout, answer.stderr)
        said = ended.stderr.decode(errors="replace")
        begun = framing.has_begun(ended.stdout, nonce)
        if not begun and ssh_client.read_trouble(said) is Trouble.SESSIONS:
            return None
        raise self._failure(ended, said, begun, timeout)

    def _exchange(self, stdin: bytes, nonce: str, timeout: float) -> Ended:
        command = [
            *ssh_client.base_command(self._settings),
            *ssh_client.options(
                BatchMode="yes",
                ControlMaster="no",
                # Without a usable master the client would log in by itself: it gets no line.
                ProxyCommand="false",
                RemoteCommand="none",
                RequestTTY="no",
                PermitLocalCommand="no",
                ClearAllForwardings="yes",
                ForwardX11="no",
                ForwardAgent="no",
                LogLevel="ERROR",
            ),
            *("-S", str(self._master.path), "-T", "--", self._settings.host, framing.COMMAND),
        ]
        try:
            return exchange(
                command,
                stdin,
                timeout=timeout,
                is_complete=lambda output: framing.is_complete(output, nonce),
                environment=ssh_client.environment(),
            )
        except FileNotFoundError as error:
            raise SchedulerError("there is no `ssh` on this machine any more") from error

    def _failure(self, ended: Ended, said: str, begun: bool, timeout: float) -> Away:
        if ended.code is None and begun:
            return TooSlow(self.name, timeout)
        if ended.code is None:
            status = self._master.check(AFTERMATH_SECONDS)
            if status.life is Life.FROZEN:
                return self._frozen(status)
            return ConnectionLost(
                f"{self.name} did not answer within {round(timeout, 1):g} s; what the script did is not known"
            )
        # A session has no line of its own: one that tried to connect found no master.
        if not begun and ssh_client.read_trouble(said) in (Trouble.NO_MASTER, Trouble.UNREACHABLE):
            return self._login_needed("the connection has gone")
        if begun:
            return ConnectionLost(
                f"the connection to {self.name} broke while a script ran; what it did is not known"
            )
        return ConnectionLost(
            f"{self.name} gave no answer ({ssh_client.last_words(said)}); "
            "what the script did is not known"
        )

    def _frozen(self, status: MasterStatus) -> ConnectionLost:
        remedy = f"{self._master.end_frozen(status)}; {self._connect_command}"
        return ConnectionLost(f"the {status}", remedy=remedy)

    def _login_needed(self, cause: str) -> LoginNeeded:
        return LoginNeeded(
            f"{cause} to {self._master.destination}; only a person can log in",
            remedy=self._connect_command,
        )

    def state(self) -> TransportState:
        """Asks the master and, through it, the machine."""
        life = self._master.check().life
        if life is not Life.ALIVE:
            absent = life is Life.ABSENT
            return TransportState.LOGIN_NEEDED if absent else TransportState.UNREACHABLE
        try:
            self.run(":", timeout=PROBE_SECONDS)
        except LoginNeeded:
            return TransportState.LOGIN_NEEDED
        except Away:
            return TransportState.UNREACHABLE
        return TransportState.READY

    def remedy(self) -> str:
        """The command that opens the connection; a master that is of no use is ended first."""
        status = self._master.check()
        if status.life is Life.FROZEN:
            return self._frozen(status).remedy
        if status.life is Life.ALIVE:
            return f"{self._master.exit_command()}; {self._connect_command}"
        return self._connect_command

    def close(self) -> None:
        """Nothing: the master serves other commands too; `Master.disconnect` closes it."""
