"""Tells people elsewhere, by a command of theirs, that a search needs them or has ended."""

from __future__ import annotations

import os
import queue
import shlex
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agents.config.model import NotifySettings
from agents.journal import Journal
from agents.progress import Progress, Waiting
from agents.screen import best_text, counts_text
from scheduler.errors import SchedulerError
from scheduler.plain import in_one_line, printable
from scheduler.transports.child import exchange
from training.contract import PilothouseError

LIMIT_SECONDS = 60.0
"""Time limit of the command; it is ended after it."""
CLOSING_SECONDS = 15.0
"""How long the end of a search waits for its last message to be on its way."""
SUBJECT = "{subject}"
"""What is filled in in the command's arguments."""


@dataclass(frozen=True)
class Message:
    """What people are told."""

    event: str
    """``waiting``, ``goes_on``, ``notice``, ``ended``, ``broke_off``, ``left`` or ``test``."""
    subject: str
    """One line."""
    text: str


def deliver(command: Sequence[str], message: Message, hidden: Collection[str] = ()) -> str | None:
    """Run the command with the message on its standard input. Returns why it failed, if it did.

    It has our environment, but for the `hidden` variables (keys), and the event and the subject as
    PILOTHOUSE_EVENT and PILOTHOUSE_SUBJECT.
    """
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    words = [word.replace(SUBJECT, message.subject) for word in command]
    told = {"PILOTHOUSE_EVENT": message.event, "PILOTHOUSE_SUBJECT": message.subject}
    try:
        ended = exchange(
            words,
            f"{message.subject}\n\n{message.text}\n".encode(),
            timeout=LIMIT_SECONDS,
            is_complete=lambda output: False,
            environment={**environment, **told},
        )
    except SchedulerError:
        return f"{words[0]} prints without end, and was ended"
    except (OSError, PilothouseError) as error:
        return in_one_line(str(error))
    if ended.code is None:
        return f"{words[0]} did not end within {LIMIT_SECONDS:g} s"
    if ended.code == 0:
        return None
    said = in_one_line((ended.stderr or ended.stdout).decode(errors="replace"))
    return f"{words[0]} ended with exit code {ended.code}{f': {said[-300:]}' if said else ''}"


class Notifier:
    """Sends the messages of one run, one after another, while the search goes on.

    A command that fails is told on the screen, and never ends a search. Without settings nobody is told.
    """

    def __init__(
        self,
        settings: NotifySettings | None,
        experiment: str,
        directory: Path,
        journal: Journal,
        said: Callable[[str], None],
        hidden: Collection[str] = (),
    ) -> None:
        """`hidden`: variables of our environment that the command may not see (keys). `said` is called
        by the thread that calls this object's methods."""
        self._settings = settings
        self._experiment = experiment
        self._directory = directory
        self._journal = journal
        self._said = said
        self._hidden = hidden
        self._told: Waiting | None = None
        """The wait that people have been told of."""
        self._last_notice = ""
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._faults: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def show(self, progress: Progress) -> None:
        """Look at where the search stands: a wait that lasts is told, and its end."""
        self._say_faults()
        if self._settings is None:
            return
        waiting = progress.waiting
        if self._told is not None and not _same(self._told, waiting):
            subject = f"no longer waits for {self._told.what}"
            self._told = None
            self._send("goes_on", subject, standing_text(progress))
        if waiting is None or waiting.since is None or self._told is not None:
            return
        if (datetime.now(UTC) - waiting.since).total_seconds() >= self._settings.after:
            self._told = waiting
            text = f"{waiting_text(waiting)}\n\n{standing_text(progress)}"
            self._send("waiting", f"waits for {waiting.what}", text)

    def notice(self, text: str) -> None:
        """Tell of something that the report will hold. Told again where another came between: an LLM
        that is away a second time may be for a person to mend."""
        if text != self._last_notice:
            self._last_notice = text
            self._send("notice", in_one_line(text)[:120], text)

    def ended(self, subject: str, lines: Sequence[str]) -> None:
        """Tell that the search has come to its end."""
        self._send("ended", subject, "\n".join(lines))

    def broke_off(self, error: str) -> None:
        """Tell that an error ended this process; the run can be resumed."""
        way = self._way_on()  # which some errors tell themselves
        self._send("broke_off", "broke off", error if way in error else f"{error}\n\n{way}")

    def left(self, signal: str) -> None:
        """Tell that a signal ended this process; the run can be resumed."""
        text = f"It was asked to leave by {signal}. Jobs go on.\n\n{self._way_on()}"
        self._send("left", f"left on {signal}", text)

    def close(self) -> None:
        """Wait, not for long, until the last message is on its way."""
        if self._thread is not None:
            self._messages.put(None)
            self._thread.join(CLOSING_SECONDS)
        self._say_faults()

    def _way_on(self) -> str:
        return f"to go on: python -m agents.run --resume {shlex.quote(str(self._directory))}"

    def _send(self, event: str, subject: str, text: str) -> None:
        if self._settings is None:
            return
        where = f"run directory: {self._directory} on {socket.gethostname()}"
        whole = f"pilothouse {self._experiment}: {printable(subject)}"
        self._messages.put(Message(event, whole, f"{printable(text)}\n{where}"))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        assert self._settings is not None
        while (message := self._messages.get()) is not None:
            why = deliver(self._settings.command, message, self._hidden)
            level = "info" if why is None else "warning"
            self._journal.event("notified", level, what=message.event, failed=why)
            if why is not None:
                self._faults.put(why)

    def _say_faults(self) -> None:
        while not self._faults.empty():
            self._said(f"note: nobody was told (notify.command): {self._faults.get()}")


def _same(told: Waiting, now: Waiting | None) -> bool:
    return now is not None and (told.what, told.since) == (now.what, now.since)


def waiting_text(waiting: Waiting) -> str:
    """What it waits for, since when, and what a person does about it."""
    since = f"since {waiting.since.astimezone():%Y-%m-%d %H:%M} " if waiting.since else ""
    remedy = f"\nto go on: {waiting.remedy}" if waiting.remedy else ""
    return f"It waits {since}for {waiting.what}: {waiting.why}{remedy}"


def standing_text(progress: Progress) -> str:
    """Where the search stands, in two lines."""
    return f"trials: {counts_text(progress.trials) or 'none yet'}\nbest: {best_text(progress)}"
