"""Jobs run on this machine: the scripts go to a local sh, framed as they are over ssh."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from scheduler.errors import ConnectionLost
from scheduler.transport import Completed, TransportState
from scheduler.transports import copying, framing
from scheduler.transports.child import exchange


class LocalTransport:
    """The transport to this machine itself."""

    name = "local"

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `script`; at the limit its process group is killed. See `Transport.run`."""
        nonce = secrets.token_hex(8)
        ended = exchange(
            ["/bin/sh", "-c", framing.COMMAND],
            framing.pack(script, stdin, nonce=nonce, timeout=timeout),
            timeout=timeout,
            is_complete=lambda output: framing.is_complete(output, nonce),
        )
        answer = framing.unpack(ended.stdout, ended.stderr, nonce)
        if answer is None:
            cause = f"did not end within {timeout:g} s" if ended.code is None else "was killed"
            raise ConnectionLost(f"a script on this machine {cause}; what it did is not known")
        return Completed(answer.code, answer.stdout, answer.stderr)

    def put(self, source: Path, destination: str, *, timeout: float) -> None:
        """See `Transport.put`."""
        copying.put(self._run, self.name, source, destination, timeout)

    def get(
        self,
        sources: Sequence[str],
        destination: Path,
        *,
        timeout: float,
        largest: int | None = None,
    ) -> list[Path]:
        """See `Transport.get`."""
        return copying.get(self._run, self.name, sources, destination, timeout, largest)

    def _run(self, script: str, stdin: bytes, timeout: float) -> Completed:
        return self.run(script, stdin=stdin, timeout=timeout)

    def state(self) -> TransportState:
        """Always ready."""
        return TransportState.READY

    def remedy(self) -> str:
        """Nothing ever needs mending."""
        return ""

    def close(self) -> None:
        """Nothing is held open."""
