"""The program, from its start to its end."""

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from training.adapt.ledger import Ledger
from training.adapt.numbers import Reader
from training.adapt.options import Wanted
from training.adapt.source import Source

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")
LOOK_SECONDS = 0.3
"""How often the file STOP and a file of numbers are looked at."""
DRAIN_SECONDS = 5.0
"""For so long after the program's end what it printed is waited for: something that it left running
may hold the pipe open."""


class Pump(threading.Thread):
    """Hands on what the program prints, and puts its lines into a queue."""

    def __init__(self, source: int, target: int, lines: "queue.Queue[str]") -> None:
        super().__init__(daemon=True)
        self._source, self._target, self._lines = source, target, lines

    def run(self) -> None:
        rest = b""
        while True:
            chunk = os.read(self._source, 65536)
            if not chunk:
                break
            _write(self._target, chunk)
            *whole, rest = re.split(b"[\r\n]", rest + chunk)
            for line in whole:
                self._lines.put(line.decode("utf-8", "replace"))
        self._lines.put(rest.decode("utf-8", "replace"))


def _write(target: int, chunk: bytes) -> None:
    try:
        while chunk:
            chunk = chunk[os.write(target, chunk) :]
    except OSError:
        pass  # A full disk: the numbers count more than the log.


class Program:
    """Starts the program, hands on signals and the wish to end, and has its numbers read."""

    def __init__(self, wanted: Wanted, ledger: Ledger) -> None:
        self._wanted, self._ledger = wanted, ledger
        self._began = time.time()
        self._child = None  # type: subprocess.Popen[bytes] | None
        self._lines = queue.Queue()  # type: queue.Queue[str]
        self.reader = Reader(wanted, self._began)
        self.source = Source(wanted.source) if wanted.source is not None else None
        self.signal = 0
        """That this process got, and handed on."""
        self.stopped = False
        """Whether the program was asked to end for the file STOP."""

    def run(self, words: "Sequence[str]") -> int:
        """From start to end: the exit code, 128 and its number for a signal. Raises OSError."""
        for name in SIGNALS:
            signal.signal(getattr(signal, name), self._hand_on)
        child = self._start(words)
        pumps = [
            Pump(stream.fileno(), target, self._lines)
            for stream, target in ((child.stdout, 1), (child.stderr, 2))
            if stream is not None
        ]
        for pump in pumps:
            pump.start()
        while child.poll() is None:
            self._look(is_last=False)
            if not self.stopped and self._ledger.is_asked_to_stop:
                self.stopped = True
                child.terminate()
        for pump in pumps:
            pump.join(DRAIN_SECONDS)
        self._look(is_last=True)
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def _start(self, words: "Sequence[str]") -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE if self.source is None else None
        # What Python prints into a pipe would come when 8 KiB are together.
        environment = dict({"PYTHONUNBUFFERED": "1"}, **os.environ)
        self._child = subprocess.Popen(list(words), stdout=pipe, stderr=pipe, env=environment)
        if self.signal:  # It came before there was a program to hand it to.
            self._child.send_signal(self.signal)
        return self._child

    def _hand_on(self, number: int, frame: object) -> None:
        self.signal = number
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _look(self, is_last: bool) -> None:
        """Read what there is by now."""
        try:
            self.reader.line(self._lines.get(timeout=0.0001 if is_last else LOOK_SECONDS))
            while True:
                self.reader.line(self._lines.get_nowait())
        except queue.Empty:
            pass
        if self.source is not None:
            fresh = Reader(self._wanted, self._began)
            self.reader = self.source.read(fresh, is_last) or self.reader
        if is_last:
            self.reader.end()
        self._ledger.metrics(self.reader)
