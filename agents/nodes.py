"""The nodes of the loop. Each is idempotent: what it does again after a crash changes nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from agents import confirm
from agents.announcements import Announcements
from agents.convergence import StopReason
from agents.errors import ConfigurationError
from agents.flight import Flight
from agents.graph import AfterCollect, AfterDecide, Position, Update
from agents.helm import Circumstances, Helm
from agents.interrupts import Interrupts
from agents.jobs import trial_seed
from agents.journal import Journal
from agents.ledger import Ledger, snapshot
from agents.outcome import Outcome
from agents.paperwork import Paperwork
from agents.patience import Patience
from agents.progress import Progress, write_heartbeat
from agents.proposers import Proposed, Proposer
from agents.proposers.pending import with_pending
from agents.schedule import (
    complete_iterations,
    iteration_of,
    last_iteration,
    next_iteration,
    wanted,
)
from agents.screen import Screen
from agents.standing import budgets_of, standing
from agents.steering import cancelled_by, lessons, waiting_additions
from agents.stopping import is_outdated, reasons_now
from agents.trial import Proposal, StudyView, Trial
from agents.workspace import Workspace

LOOK_SECONDS = 1.0
"""Between two looks for requests, while there is nothing else to do."""
SIGN_OF_LIFE_SECONDS = 60.0


class SearchNodes:
    """Implements `agents.graph.Nodes` over the real world.

    What people ask for while the search runs is taken at the beginning of every node, and while
    `wait` rests between two polls.
    """

    def __init__(
        self,
        workspace: Workspace,
        ledger: Ledger,
        helm: Helm,
        build_proposer: Callable[[Helm], Proposer],
        flight: Flight,
        patience: Patience,
        paperwork: Paperwork,
        screen: Screen,
        journal: Journal,
        interrupts: Interrupts,
        earlier: Sequence[Trial] = (),
    ) -> None:
        """`earlier`: trials of other searches that this one begins with."""
        self._earlier = earlier
        self._settings = helm.settings
        self._workspace = workspace
        self._ledger = ledger
        self._helm = helm
        self._build_proposer = build_proposer
        self._proposer = build_proposer(helm)
        self._flight = flight
        self._patience = patience
        self._paperwork = paperwork
        self._screen = screen
        self._journal = journal
        self._interrupts = interrupts
        self.announcements = Announcements(screen, journal, paperwork)
        self._iteration = 1
        self._doing, self._since = "prepare", datetime.now(UTC)
        self._configure()
        flight.ended = self._say_outcome
        flight.said = screen.say
        flight.noticed = self.announcements.notice
        self.rung: Callable[[], bool] = lambda: False
        """Whether a job has said that it ended, since this was asked last."""
        self.looked: Callable[[], None] = lambda: None
        """Called after each look at the jobs, also when what has ended is in the ledger."""
        self.shown: Callable[[Progress], None] = lambda progress: None
        """Called with where the search stands, as often as that is shown."""
        patience.changed = self._show

    # -- nodes -----------------------------------------------------------------------------------

    def prepare(self, position: Position) -> Update:
        """Make the run directory on the cluster."""
        self._begin(position, "prepare")
        # After the sign of life, by which the time since the end before is known not to be work.
        self._workspace.take_up()
        self._flight.reach()
        return {"in_flight": self._flight.numbers()}

    def propose(self, position: Position) -> Update:
        """Fill the iteration (or the free slots) with new trials, entered in the ledger."""
        self._begin(position, "propose")
        self._hold(position)
        known = self.view()
        count = wanted(known.trials, position["iteration"], self._settings.loop)
        if count == 0 or self._helm.now.paused or self._helm.now.stop:
            return {"in_flight": self._flight.numbers()}
        self._enter(self._proposals(known, count), position["iteration"])
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
        while self._flight.running() and not self._flight.may_submit():
            ended = self._flight.poll()
            self.looked()
            self._show()
            if ended:
                break
            self._rest(position, self._flight.interval(), self._settings.cluster.poll.floor)
        return {}

    def collect(self, position: Position) -> Update:
        """Enter the trials whose jobs have ended in the ledger."""
        self._begin(position, "collect")
        self._flight.collect()
        self.looked()
        return {"in_flight": self._flight.numbers()}

    def report(self, position: Position) -> Update:
        """Write the reports of the iterations that are complete."""
        self._begin(position, "report")
        known = self.view()
        self._helm.settle(known.trials)
        for iteration in self._paperwork.write_iterations(known, self._complete(position)):
            total = self._settings.loop.max_iterations
            self.announcements.iteration(known, iteration, total)
        return {}

    def decide(self, position: Position) -> Update:
        """Whether to go on, and with which iteration."""
        self._begin(position, "decide")
        if position["stop"] is not None and not self._has_other_bound(position):
            return {}
        known = self.view()
        reason = self._stop_reason(known)
        if reason is None:
            return {"iteration": next_iteration(known.trials, self._settings.loop), "stop": None}
        self._journal.event("stop", **asdict(reason))
        return {"stop": asdict(reason)}

    def confirm(self, position: Position) -> Update:
        """Enter runs of the best trials with fresh seeds, as many as may run side by side."""
        self._begin(position, "confirm")
        self._hold(position)
        if self._helm.now.paused or self._has_other_bound(position):
            return {"in_flight": self._flight.numbers()}
        known = self.view()
        # Trials that run have been entered by this node, before a crash.
        running = [trial for trial in known.trials if not trial.state.is_finished]
        iteration = last_iteration(known.trials) + (0 if running else 1)
        room = max(0, self._settings.loop.jobs_per_iteration - len(running))
        for proposal in confirm.due(known, self._settings.confirm)[:room]:
            self._enter_one(proposal, iteration, None)
        return {"in_flight": self._flight.numbers()}

    def finish(self, position: Position) -> Update:
        """Write the last reports and the summary, which marks the run as finished."""
        self._begin(position, "finish")
        known = self.view()
        stop = StopReason(**position["stop"]) if position["stop"] else None
        self._helm.settle(known.trials)
        self._helm.stopped(known.trials)
        self._paperwork.write_iterations(known, self._complete(position))
        self._paperwork.write_last(known, stop)
        self._journal.event("finished", stop=stop.sentence if stop else None)
        self._steer(position, ended=True)
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
        if position["in_flight"]:
            return "wait"
        return "confirm" if self._has_to_confirm(position) else "finish"

    # -- parts of them ---------------------------------------------------------------------------

    def view(self) -> StudyView:
        """A snapshot of the ledger."""
        known = snapshot(self._ledger, self._settings)
        return replace(known, notes=self._helm.now.notes, earlier=self._earlier)

    def _complete(self, position: Position) -> list[int]:
        stopping = position["stop"] is not None
        return complete_iterations(self._ledger.trials(), self._settings.loop, stopping=stopping)

    def _stop_reason(self, known: StudyView) -> StopReason | None:
        if self._helm.now.stop is not None:
            return StopReason("asked", f"{self._helm.now.stop.request.by} asked for it", {})
        elapsed, cancelled = self._paperwork.elapsed(), self._helm.now.cancelled
        return next(iter(reasons_now(known, self._settings, elapsed, cancelled)), None)

    def _has_other_bound(self, position: Position) -> bool:
        """Whether the search was left while it ended, and taken up with another bound for the rule
        that ends it: then it may go on."""
        stop = position["stop"]
        return stop is not None and is_outdated(StopReason(**stop), self._settings)

    def _has_to_confirm(self, position: Position) -> bool:
        assert position["stop"] is not None
        is_wanted = confirm.is_wanted(StopReason(**position["stop"]))
        return is_wanted and bool(confirm.due(self.view(), self._settings.confirm))

    def _proposals(self, known: StudyView, count: int) -> Proposed:
        """What people asked for first, then the proposer's."""
        asked = [
            Proposal(
                self._helm.space.validate(self._helm.space.complete(given["parameters"])),
                "user",
                f"asked for by {taken.request.by}",
                request=taken.id,
            )
            for taken in waiting_additions(self._helm.now, known.trials)[:count]
            for given in (taken.request.arguments,)
        ]
        learnt = lessons(known, self._helm.now)
        if len(asked) == count:
            return Proposed(asked, sampler_state=known.sampler_state)
        rest = self._proposer.propose(with_pending(learnt, asked), count - len(asked))
        return replace(rest, proposals=[*asked, *rest.proposals])

    def _enter(self, proposed: Proposed, iteration: int) -> None:
        for notice in proposed.notices:
            self.announcements.pass_on(notice)
        last = len(proposed.proposals) - 1
        for place, proposal in enumerate(proposed.proposals):
            own = iteration_of(self._ledger.trials(), iteration, self._settings.loop)
            self._enter_one(proposal, own, proposed if place == last else None)

    def _enter_one(self, proposal: Proposal, iteration: int, last_of: Proposed | None) -> None:
        number = len(self._ledger.trials())
        seed = trial_seed(self._settings.experiment.seed, number)
        state = last_of.sampler_state if last_of is not None else None
        self._ledger.add(proposal, iteration, seed, state)
        self.announcements.proposed(number, iteration, proposal)

    # -- steering --------------------------------------------------------------------------------

    def _steer(self, position: Position, *, ended: bool = False) -> None:
        """Take what people ask for, and act on it."""
        stop = position["stop"]
        here = Circumstances(
            self._ledger.trials(),
            ending=stop["sentence"] if stop is not None else None,
            ended=ended,
        )
        taken = self._helm.take(here)
        for one in taken:
            verdict = "refused: " if one.refused else ""
            self._screen.say(f"{one.request.by} asked: {one.request.what}: {verdict}{one.effect}")
        if any(one.request.verb in ("set", "forbid") and not one.refused for one in taken):
            self._renew_proposer()
        if taken:
            self._configure()
        self._flight.obey(
            {n: cancelled_by(t.request.by) for n, t in self._helm.now.cancelled.items()}
        )
        if taken:
            self._show()

    def _renew_proposer(self) -> None:
        """Make it anew; where that cannot be, such as without the prompt's file, the search goes on."""
        try:
            self._proposer = self._build_proposer(self._helm)
        except ConfigurationError as error:
            self.announcements.notice(f"the proposer stays as it was before: {error}")

    def _configure(self) -> None:
        """Bring everything up to what is in force."""
        self._settings = self._helm.settings
        self._flight.configure(self._settings)
        self._flight.submitting.paused = self._helm.now.paused is not None
        self._paperwork.configure(self._settings, self._helm.loaded.resolved)

    def _hold(self, position: Position) -> None:
        """While a person has paused the search and nothing runs that must be watched: wait."""
        while self._helm.now.paused and not self._helm.now.stop and not self._flight.running():
            self._rest(position, SIGN_OF_LIFE_SECONDS)
            self._show()

    def _rest(self, position: Position, seconds: float, least: float = math.inf) -> None:
        """Sleep, at most until a request comes, which is taken; give signs of life meanwhile. Where
        a job rings, sleep `least` seconds in all."""
        shown = time.monotonic()
        until, earliest = shown + seconds, shown + least
        while (left := until - time.monotonic()) > 0:
            self._interrupts.sleep(min(left, LOOK_SECONDS))
            if self.rung():
                self._flight.watch.expect_change()
                until = min(until, earliest)
            if self._helm.is_asked():
                self._steer(position)
                return
            if time.monotonic() - shown > SIGN_OF_LIFE_SECONDS:
                self._show()
                shown = time.monotonic()

    # -- saying ----------------------------------------------------------------------------------

    def _begin(self, position: Position, node: str) -> None:
        self._interrupts.check()
        self._iteration = position["iteration"]
        if node != self._doing:
            self._doing, self._since = node, datetime.now(UTC)
        self._ledger.refresh()
        self._steer(position)
        self._journal.event("node", "debug", node=node, iteration=position["iteration"])
        self._show()

    def _show(self) -> None:
        known, elapsed = self.view(), self._paperwork.elapsed()
        progress = standing(
            known,
            self._flight.watch,
            iteration=self._iteration,
            max_iterations=self._settings.loop.max_iterations,
            elapsed=elapsed,
            doing=self._doing,
            waiting=self._patience.waiting,
            doing_since=self._since,
            budgets=budgets_of(known, self._settings, elapsed),
            history=self._helm.history,
            held_back=self._flight.submitting.held_back,
        )
        self._screen.show(progress)
        self.shown(progress)
        write_heartbeat(self._workspace.progress_file, progress)

    def _say_outcome(self, trial: Trial, ended: Outcome) -> None:
        self.announcements.ended(trial, ended, *self._settings.objective.metrics)
