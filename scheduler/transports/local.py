"""Jobs run on this machine: the scripts go to a local sh, framed as they are over ssh."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection

from scheduler.errors import ConnectionLost, TooSlow
from scheduler.transport import Completed, TransportState
from scheduler.transports import framing
from scheduler.transports.child import exchange
from scheduler.transports.copying import CopiesFiles


class LocalTransport(CopiesFiles):
    """The transport to this machine itself."""

    name = "local"

    def __init__(self, hidden: Collection[str] = ()) -> None:
        """`hidden`: variables of our environment that no script or job may see (keys)."""
        self._hidden = frozenset(hidden)

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `script`; at the limit its process group is killed. See `Transport.run`."""
        nonce = secrets.token_hex(8)
        ended = exchange(
            ["/bin/sh", "-c", framing.COMMAND],
            framing.pack(script, stdin, nonce=nonce, timeout=timeout),
            timeout=timeout,
            environment={k: v for k, v in os.environ.items() if k not in self._hidden},
            is_complete=lambda output: framing.is_complete(output, nonce),
        )
        answer = framing.unpack(ended.stdout, ended.stderr, nonce)
        if answer is None:
            if ended.code is None:
                raise TooSlow("this machine", timeout)
            raise ConnectionLost("a script on this machine was killed; what it did is not known")
        return Completed(answer.code, answer.stdout, answer.stderr)

    def state(self) -> TransportState:
        """Always ready."""
        return TransportState.READY

    def remedy(self) -> str:
        """Nothing ever needs mending."""
        return ""

    def close(self) -> None:
        """Nothing is held open."""
