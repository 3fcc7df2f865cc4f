"""Errors of the orchestrator, below the one root that the whole project shares."""

from __future__ import annotations

from collections.abc import Sequence

from training.contract import PilothouseError


class ConfigurationError(PilothouseError):
    """The configuration, or something it names, is wrong. Exit code 2.

    `problems` are complete sentences, each with file and line where there is one.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class ProposalRejected(PilothouseError):
    """A proposal is outside the search space; `reasons` say why, one for each fault."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = list(reasons)
        super().__init__("; ".join(self.reasons))


class RunLocked(PilothouseError):
    """Another orchestrator works on this run directory."""


class LedgerError(PilothouseError):
    """The ledger cannot be read or written."""


class NewerLedger(LedgerError):
    """The ledger is whole, and holds what only a newer version knows."""


class NoRoom(PilothouseError):
    """A disk on this side has no room left. What was written is whole; a person makes room."""


class LlmError(PilothouseError):
    """The LLM endpoint failed or answered something that cannot be used."""


class ReplayDiffers(PilothouseError):
    """A replayed search asked something that the kept exchanges do not answer."""


class UnexpectedError(PilothouseError):
    """Something failed that nobody thought of. The traceback is in the run's log."""
