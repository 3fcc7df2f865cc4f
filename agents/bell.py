"""Jobs that say themselves that they have ended: an HTTP listener that only shortens a wait.

A ring says nothing but "look now": what has become of a job is read as ever, by a poll, and never
more often than `cluster.poll.floor` allows. Nothing that arrives here is believed, kept or shown, so
whoever finds the address can at worst have the cluster asked as often as that.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from scheduler.settings import BellSettings

TOKEN_FILE = "bell.token"
SLOW_SECONDS = 5.0
"""A caller who takes longer to say what he wants is not listened to."""
MOST_CALLERS = 32
"""At a time. The address is open to a whole network, and each caller costs a descriptor and a thread
of the search; one who is turned away rang in vain, and the next poll sees the same."""


def bell_url(settings: BellSettings, token: str) -> str:
    """What a job calls."""
    _, port = settings.address
    base = settings.url or f"http://{socket.getfqdn()}:{port}"
    return f"{base.rstrip('/')}/ring/{token}"


class Bell:
    """Listens until `close`. Raises OSError where the address cannot be had."""

    def __init__(self, settings: BellSettings, directory: Path) -> None:
        token = _token(directory / TOKEN_FILE)
        self.url = bell_url(settings, token)
        self._rung = threading.Event()
        self._server = _Server(settings.address, _handler(f"/ring/{token}", self._rung))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def rung(self) -> bool:
        """Whether it has been rung since this was asked last."""
        was = self._rung.is_set()
        self._rung.clear()
        return was

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A search that is resumed at once listens where it did: its jobs know no other address.
    allow_reuse_address = True
    # Jobs that end together ring together; beyond it the kernel has them wait a second.
    request_queue_size = MOST_CALLERS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._until: dict[socket.socket, float] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            is_full = len(self._until) >= MOST_CALLERS
            if not is_full:
                self._until[request] = time.monotonic() + SLOW_SECONDS
        if is_full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._lock:
            self._until.pop(request, None)

    def service_actions(self) -> None:
        """Hang up on who is late: a timeout of the socket begins anew with each byte."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, until in self._until.items() if until < now]
        for request in late:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller who hangs up is no news."""


def _handler(path: str, rung: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SLOW_SECONDS

        def do_POST(self) -> None:
            is_ours = secrets.compare_digest(self.path.encode(), path.encode())
            if is_ours:
                rung.set()
            self.send_response(204 if is_ours else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """What callers say is nobody's business."""

    return Handler


def _token(path: Path) -> str:
    """The run's own; jobs that were submitted before a resume know it too."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept = path.read_text(encoding="ascii").strip()
        if kept:
            return kept
        path.unlink()  # From a process that died between making and writing it.
        return _token(path)
    with open(descriptor, "w", encoding="ascii") as stream:
        token = secrets.token_urlsafe(24)
        stream.write(token)
    return token
