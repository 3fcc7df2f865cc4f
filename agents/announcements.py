"""What a search tells while it runs: on the screen, in the log, and what the report should hold."""

from __future__ import annotations

from collections.abc import Callable

from agents.confirm import confirmed
from agents.journal import Journal
from agents.outcome import Outcome, outcome_text
from agents.paperwork import Paperwork
from agents.schedule import confirming
from agents.screen import Screen, confirmed_text, iteration_text
from agents.trial import Proposal, StudyView, Trial


class Announcements:
    """Says what comes to pass in a search, each thing once."""

    def __init__(self, screen: Screen, journal: Journal, paperwork: Paperwork) -> None:
        self._screen = screen
        self._journal = journal
        self._paperwork = paperwork
        self._passed_on = ""
        """The proposer's last notice."""
        self.noticed: Callable[[str], None] = lambda text: None
        """Called with what the report should hold."""

    def notice(self, text: str, *, important: bool = True) -> None:
        """Say it, and keep it for the report."""
        self._paperwork.notice(text)
        self._screen.say(f"note: {text}", important=important)
        self._journal.event("notice", "warning", text=text)
        self.noticed(text)

    def pass_on(self, text: str) -> None:
        """A proposer's notice. One that was said before is news where another came between, such as
        that the LLM proposes again: this is another outage, and it may be for a person to end."""
        if text != self._passed_on:
            self.notice(text, important=False)
        self._passed_on = text

    def proposed(self, number: int, iteration: int, proposal: Proposal) -> None:
        """A trial has been entered."""
        self._journal.event(
            "proposed",
            trial=number,
            iteration=iteration,
            origin=proposal.origin,
            parameters=dict(proposal.parameters),
            fallback_reason=proposal.fallback_reason,
            confirms=proposal.confirms,
        )

    def ended(self, trial: Trial, outcome: Outcome, metric: str, second: str | None = None) -> None:
        """A trial has ended."""
        self._screen.say(outcome_text(trial, outcome, metric, second))

    def iteration(self, known: StudyView, iteration: int, total: int) -> None:
        """An iteration of `total` is complete, or the runs that confirm the best are."""
        if iteration in confirming(known.trials):
            for one in confirmed(known):
                self._screen.say(f"trial {one.trial.number} again: {confirmed_text(one)}")
            return
        best = known.best
        self._screen.say(iteration_text(known, iteration, total), important=True)
        self._journal.event("iteration", iteration=iteration, best=best.number if best else None)
