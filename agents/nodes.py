"""The nodes of the loop. Each is idempotent: what it does again after a crash changes nothing."""

from __future__ import annotations

from dataclasses import asdict

from agents.config.model import Settings
from agents.convergence import StopReason, stop_reason
from agents.flight import Flight
from agents.graph import AfterCollect, AfterDecide, Position, Update
from agents.interrupts import Interrupts
from agents.jobs import trial_seed
from agents.journal import Journal
from agents.ledger import Ledger, snapshot
from agents.outcome import Outcome, outcome_text
from agents.paperwork import Paperwork
from agents.patience import Patience
from agents.progress import write_heartbeat
from agents.proposers import Proposed, Proposer
from agents.schedule import complete_iterations, iteration_of, next_iteration, wanted
from agents.screen import Screen
from agents.standing import standing
from agents.trial import StudyView, Trial
from agents.workspace import Workspace


class SearchNodes:
    """Implements `agents.graph.Nodes` over the real world."""

    def __init__(
        self,
        settings: Settings,
        workspace: Workspace,
        ledger: Ledger,
        proposer: Proposer,
        flight: Flight,
        patience: Patience,
        paperwork: Paperwork,
        screen: Screen,
        journal: Journal,
        interrupts: Interrupts,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._ledger = ledger
        self._proposer = proposer
        self._flight = flight
        self._patience = patience
        self._paperwork = paperwork
        self._screen = screen
        self._journal = journal
        self._interrupts = interrupts
        self._iteration = 1
        self._doing = "prepare"
        flight.ended = self._say_outcome
        flight.said = screen.say
        patience.changed = self._show

    # -- nodes -----------------------------------------------------------------------------------

    def prepare(self, position: Position) -> Update:
        """Make the run directory on the cluster."""
        self._begin(position, "prepare")
        self._flight.reach()
        return {"in_flight": self._flight.numbers()}

    def propose(self, position: Position) -> Update:
        """Fill the iteration (or the free slots) with new trials, entered in the ledger."""
        self._begin(position, "propose")
        known = self.view()
        count = wanted(known.trials, position["iteration"], self._settings.loop)
        if count == 0:
            return {"in_flight": self._flight.numbers()}
        proposed = self._proposer.propose(known, count)
        self._enter(proposed, position["iteration"])
        running = self._flight.numbers()
        if running:
            return {"in_flight": running}
        reason = StopReason("exhausted", "the proposer has nothing left to try", {})
        return {"in_flight": [], "stop": asdict(reason)}

    def submit(self, position: Position) -> Update:
        """Submit the trials that have no job yet, all in one round trip, each exactly once."""
        self._begin(position, "submit")
        self._flight.submit()
        return {"in_flight": self._flight.numbers()}

    def wait(self, position: Position) -> Update:
        """Poll until a job has ended, or until it is time to submit what could not be before."""
        self._begin(position, "wait")
        while self._flight.watched() and not self._flight.may_submit():
            ended = self._flight.poll()
            self._show()
            if ended:
                break
            self._interrupts.sleep(self._flight.interval())
        return {}

    def collect(self, position: Position) -> Update:
        """Enter the trials whose jobs have ended in the ledger."""
        self._begin(position, "collect")
        self._flight.collect()
        return {"in_flight": self._flight.numbers()}

    def report(self, position: Position) -> Update:
        """Write the reports of the iterations that are complete."""
        self._begin(position, "report")
        known = self.view()
        for iteration in self._paperwork.write_iterations(known, self._complete(position)):
            self._say_iteration(known, iteration)
        return {}

    def decide(self, position: Position) -> Update:
        """Whether to go on, and with which iteration."""
        self._begin(position, "decide")
        if position["stop"] is not None:
            return {}
        known = self.view()
        reason = stop_reason(
            known,
            len(self._complete(position)),
            self._paperwork.elapsed(),
            self._settings.loop,
            self._settings.stop,
        )
        if reason is None:
            return {"iteration": next_iteration(known.trials, self._settings.loop)}
        self._journal.event("stop", **asdict(reason))
        return {"stop": asdict(reason)}

    def finish(self, position: Position) -> Update:
        """Write the last reports and the summary, which marks the run as finished."""
        self._begin(position, "finish")
        known = self.view()
        stop = StopReason(**position["stop"]) if position["stop"] else None
        self._paperwork.write_iterations(known, self._complete(position))
        self._paperwork.write_last(known, stop)
        self._journal.event("finished", stop=stop.sentence if stop else None)
        return {}

    def after_collect(self, position: Position) -> AfterCollect:
        """Submit what waits for a free place; in schedule batch, wait for the whole iteration."""
        if self._flight.may_submit():
            return "submit"
        if position["in_flight"] and self._settings.loop.schedule == "batch":
            return "wait"
        return "report"

    def after_decide(self, position: Position) -> AfterDecide:
        """Go on, let the last jobs end, or finish."""
        if position["stop"] is None:
            return "propose"
        return "wait" if position["in_flight"] else "finish"

    # -- parts of them ---------------------------------------------------------------------------

    def view(self) -> StudyView:
        """A snapshot of the ledger."""
        objective = self._settings.objective
        return snapshot(
            self._ledger, self._settings.experiment.id, objective.metric, objective.direction
        )

    def _complete(self, position: Position) -> list[int]:
        stopping = position["stop"] is not None
        return complete_iterations(self._ledger.trials(), self._settings.loop, stopping=stopping)

    def _enter(self, proposed: Proposed, iteration: int) -> None:
        for notice in proposed.notices:
            if self._paperwork.notice(notice):
                self._screen.say(f"note: {notice}")
                self._journal.event("notice", "warning", text=notice)
        last = len(proposed.proposals) - 1
        for place, proposal in enumerate(proposed.proposals):
            number = len(self._ledger.trials())
            own = iteration_of(number, iteration, self._settings.loop)
            seed = trial_seed(self._settings.experiment.seed, number)
            state = proposed.sampler_state if place == last else None
            self._ledger.add(proposal, own, seed, state)
            self._journal.event(
                "proposed",
                trial=number,
                iteration=own,
                origin=proposal.origin,
                parameters=dict(proposal.parameters),
                fallback_reason=proposal.fallback_reason,
            )

    # -- saying ----------------------------------------------------------------------------------

    def _begin(self, position: Position, node: str) -> None:
        self._interrupts.check()
        self._iteration, self._doing = position["iteration"], node
        self._ledger.refresh()
        self._journal.event("node", "debug", node=node, iteration=position["iteration"])
        self._show()

    def _show(self) -> None:
        progress = standing(
            self.view(),
            self._flight.watch,
            iteration=self._iteration,
            max_iterations=self._settings.loop.max_iterations,
            elapsed=self._paperwork.elapsed(),
            doing=self._doing,
            waiting=self._patience.waiting,
        )
        self._screen.show(progress)
        write_heartbeat(self._workspace.progress_file, progress)

    def _say_outcome(self, trial: Trial, ended: Outcome) -> None:
        self._screen.say(outcome_text(trial, ended, self._settings.objective.metric))

    def _say_iteration(self, known: StudyView, iteration: int) -> None:
        best = known.best
        text = f"{known.metric} {best.value:.4f} (trial {best.number})" if best else "none yet"
        total = self._settings.loop.max_iterations
        self._screen.say(f"iteration {iteration} of {total} is done; best: {text}", important=True)
        self._journal.event("iteration", iteration=iteration, best=best.number if best else None)
