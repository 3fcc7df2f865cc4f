"""The seam to a batch system that is examined: text for the two scripts, and their reading."""

from __future__ import annotations

from typing import Protocol

from agents.doctor.check import Check
from agents.doctor.heard import Heard, Word
from scheduler.job import Resources

SCHEDULER = "scheduler"
REQUEST = "account and queue"


class Prober(Protocol):
    """What to ask a batch system, and what its answers mean."""

    def prelude(self) -> str:
        """Shell text that finds the batch system's commands; asks nothing."""
        ...

    def look(self) -> str:
        """Shell text that asks, by ``ph_hear``, whether it answers and what queues it has."""
        ...

    def scheduler(self, seen: Heard) -> Check:
        """Whether it answers."""
        ...

    def rehearse(self, script: str, question: str) -> str:
        """Shell text that has the job script `script` checked without submitting it."""
        ...

    def request(self, seen: Heard, said: Word | None, asked: Resources) -> Check:
        """Whether it would take the job; `said`: the answer to the question of `rehearse`."""
        ...
