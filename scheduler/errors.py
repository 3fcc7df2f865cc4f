"""What can go wrong between the orchestrator and a cluster.

Most of these mean "the world is away" (`Away`): the loop waits and goes on. The others end
a submission or a run.
"""

from __future__ import annotations

from training.contract import PilothouseError


class Away(PilothouseError):
    """Something outside does not answer for now. What was asked may or may not have happened.

    `waiting_for` is the short name shown while waiting (``ssh``, ``scheduler``); `remedy` is the
    exact command that a person has to type, or empty when only patience helps.
    """

    waiting_for = "the cluster"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConnectionLost(Away):
    """The transport failed or timed out: the command's outcome is unknown."""

    waiting_for = "ssh"


class TooSlow(ConnectionLost):
    """A script began and did not end in time: a file system hangs, a scheduler, a machine under load."""

    waiting_for = "an answer"

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(
            f"a script on {where} did not end within {round(seconds, 1):g} s; what it did is not known"
        )


class HostOverloaded(Away):
    """This machine has no process, memory or descriptor left for the client that would ask."""

    waiting_for = "this machine"


class LoginNeeded(Away):
    """Only a person can open the connection (a second factor). Never retried as a login."""

    waiting_for = "ssh login"


class HostKeyRefused(Away):
    """The machine's host key is unknown or not the one on record: a person has to look."""

    waiting_for = "ssh host key"


class SchedulerAway(Away):
    """The scheduler's commands fail or hang. Says nothing about any job."""

    waiting_for = "scheduler"


class StorageFull(Away):
    """The remote directory cannot be written (disk full, quota)."""

    waiting_for = "disk space"


class SchedulerError(PilothouseError):
    """The scheduler refused for a reason that waiting does not mend; the message has its words."""
