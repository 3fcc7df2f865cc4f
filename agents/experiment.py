"""Single experiments: trials that a person chose, each submitted exactly once, without a search.

Each has a run directory of its own, with a ledger that is that of a search of one trial: reports read
it, and ``--resume`` goes on from it with a search that knows the experiment's result.
"""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import requests
from agents.config.model import Settings
from agents.config.yaml_text import scalar
from agents.convergence import StopReason
from agents.errors import ConfigurationError, ProposalRejected, UnexpectedError
from agents.helm import Circumstances, Helm, history_of
from agents.interrupts import Interrupts
from agents.jobs import trial_seed
from agents.ledger import snapshot
from agents.no_room import Files, no_room
from agents.progress import JobLine, Progress, trials_by_state, write_heartbeat
from agents.search import Run
from agents.space import SearchSpace
from agents.steering import ATTRIBUTE, Taken, cancelled_by, steered
from agents.trial import Proposal, StudyView, Trial, TrialState
from scheduler.errors import Away
from training.contract import ParameterValue, PilothouseError

ENDED = StopReason("experiments", "every experiment has ended", {})
TO_BE_SUBMITTED = "to be submitted"
LOOK_SECONDS = 1.0
"""Between two looks for requests, while somebody waits."""
ITERATION = 1
"""Experiments are all of the first iteration: a search that goes on from them begins with the second,
or fills up the first."""


@dataclass(frozen=True)
class Standing:
    """Where one experiment stands."""

    directory: str
    trial: int | None
    """None where the directory holds none, or cannot be read."""
    state: str
    """``to be submitted``, ``submitted`` (not asked about yet), ``queued``, ``running``, ``ended``
    (its files are awaited), ``unknown`` (to the batch system), ``completed``, ``pruned``, ``failed``,
    ``away`` (the cluster does not answer), ``in use`` (somebody else works on it), ``unreadable``."""
    why: str = ""
    """In the words of the batch system, of the failure, or of what is away."""
    remedy: str = ""
    job_id: str | None = None
    metric: str = ""
    value: float | None = None
    seconds: float | None = None
    step: int | None = None
    """The last epoch that it reported."""

    @property
    def is_finished(self) -> bool:
        return self.state in ("completed", "pruned", "failed")


def chosen(settings: Settings, pairs: Sequence[str]) -> dict[str, ParameterValue]:
    """The hyperparameters of ``name=value`` pairs; what they leave out takes its default.

    Raises ConfigurationError with every reason why they are no point of the search space.
    """
    space = SearchSpace.build(settings.search_space, settings.constraints)
    given: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            problems.append(f"{pair}: write NAME=VALUE, such as {next(iter(space.names))}=…")
        elif name in given:
            problems.append(f"{name}: is given twice")
        else:
            given[name] = scalar(text)
    if problems:
        raise ConfigurationError(problems)
    try:
        return space.validate(space.complete(given))
    except ProposalRejected as error:
        raise ConfigurationError(error.reasons) from None


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """What nobody thought of (a full disk, a damaged database) as one message with a way on.

    Raises UnexpectedError.
    """
    try:
        yield
    except PilothouseError:
        raise
    except Exception as error:
        where = shlex.quote(relative(str(run.workspace.directory)))
        way_on = f"A job goes on, nothing is lost; to go on: python -m agents.run harvest {where}"
        full = no_room(error, Files.of(run.workspace, run.loaded.settings), way_on)
        if full is not None:
            raise full from error
        run.journal.event("unexpected", "error", traceback=traceback.format_exc())
        words = str(error).splitlines()[0] if str(error) else ""
        raise UnexpectedError(
            f"{run.workspace.directory}: {type(error).__name__}: {words}\n  The traceback is in "
            f"{run.workspace.log_file}. {way_on}"
        ) from error


class Experiment:
    """The experiments of one run directory that is open in this process."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.trouble: PilothouseError | None = None
        """Why the last round did not come to its end."""
        self._settings = run.loaded.settings

    def view(self) -> StudyView:
        """A snapshot of the ledger."""
        return snapshot(self.run.ledger, self._settings)

    def enter(self, parameters: dict[str, ParameterValue]) -> int:
        """Enter an experiment in the ledger. Returns its number."""
        number = len(self.run.ledger.trials())
        proposal = Proposal(parameters, "user", "submitted by hand")
        seed = trial_seed(self._settings.experiment.seed, number)
        self.run.ledger.add(proposal, ITERATION, seed)
        self.run.journal.event("entered", trial=number, parameters=dict(parameters))
        return number

    def submit(self) -> None:
        """Submit what has no job yet, each exactly once. May raise scheduler.errors.Away.

        What an earlier process was refused for a limit on jobs is known as refused by the first
        round, and submitted anew by the second.
        """
        for _ in range(2):
            if self.run.flight.submittable():
                self.run.flight.submit()

    def advance(self) -> None:
        """Submit what has to be, ask about all jobs once, and enter what has ended.

        May raise scheduler.errors.Away; then nothing is lost, and it is done again.
        """
        flight = self.run.flight
        self._steer()
        self.submit()
        self._obey()
        if flight.watched():
            flight.poll()
            flight.collect()
        self.submit()
        self.write()

    def history(self) -> Sequence[Taken]:
        """What people asked for, such as to cancel it."""
        return history_of(self.run.ledger.attributes().get(ATTRIBUTE, []))

    def _steer(self) -> None:
        """Take what people ask for."""
        run = self.run
        if not requests.waiting(run.workspace.directory):
            return self._obey()
        ending = ENDED.sentence if self.is_finished() else None
        helm = Helm(run.loaded, run.workspace, run.ledger, run.journal)
        helm.take(Circumstances(run.ledger.trials(), ending, ended=self.is_finished()))
        return self._obey()

    def _obey(self) -> None:
        """End what people cancelled, also in an earlier process. May raise scheduler.errors.Away."""
        cancelled = steered(self.history()).cancelled
        if cancelled:
            self.run.flight.obey(
                {n: cancelled_by(taken.request.by) for n, taken in cancelled.items()}
            )

    def rest(self, interrupts: Interrupts) -> None:
        """Sleep until the next round is due, or until somebody asks for something."""
        until = time.monotonic() + self.run.flight.interval()
        while (left := until - time.monotonic()) > 0:
            interrupts.sleep(min(left, LOOK_SECONDS))
            if requests.waiting(self.run.workspace.directory):
                return

    def awaits_files(self) -> bool:
        """Whether a job has left the queue, and its files may still come."""
        flight = self.run.flight
        return any(flight.watch.is_gone(trial) for trial in flight.watched())

    def is_finished(self) -> bool:
        """Whether every experiment has ended."""
        trials = self.run.ledger.trials()
        return bool(trials) and all(trial.state.is_finished for trial in trials)

    def progress(self, doing: str = "wait") -> Progress:
        """Where things stand, for a screen and for `status`."""
        view = self.view()
        best = view.best
        return Progress(
            experiment=view.experiment,
            iteration=ITERATION,
            max_iterations=ITERATION,
            metric=view.metric,
            elapsed=self.run.paperwork.elapsed(),
            trials=trials_by_state(view),
            jobs=[_job_line(one) for one in self.standings() if not one.is_finished],
            best_value=best.value if best else None,
            best_trial=best.number if best else None,
            best_parameters=best.parameters if best else {},
            doing=doing,
            waiting=self.run.patience.waiting,
            steering=[taken.to_json() for taken in self.history()],
        )

    def write(self) -> None:
        """Leave a sign of life and, when all have ended, the report and the summary.

        What has ended before is left as it is: its age counts from its end.
        """
        if self.run.workspace.is_finished:
            return
        write_heartbeat(self.run.workspace.progress_file, self.progress())
        if self.is_finished():
            self.run.paperwork.write_last(self.view(), ENDED)

    def standings(self) -> list[Standing]:
        """Where each experiment stands."""
        where = str(self.run.workspace.directory)
        if not self.run.ledger.trials():
            return [Standing(where, None, "unreadable", "no experiment was entered here")]
        metric = self._settings.objective.metric
        return [self._standing(trial, where, metric) for trial in self.run.ledger.trials()]

    def _standing(self, trial: Trial, where: str, metric: str) -> Standing:
        if trial.state.is_finished:
            return ended_standing(trial, where, metric)
        job_id = trial.job.job_id if trial.job else None
        if trial.job is None or job_id is None:
            why = self.run.flight.submitting.held_back.get(trial.number, "")
            return Standing(where, trial.number, TO_BE_SUBMITTED, why, metric=metric)
        watch = self.run.flight.watch
        lines = watch.lines(trial)
        state = "ended" if watch.is_gone(trial) else watch.state(trial).value
        return Standing(
            where,
            trial.number,
            "submitted" if watch.verdict(trial) is None else state,
            watch.reason(trial),
            job_id=job_id,
            metric=metric,
            step=lines[-1].step if lines else None,
        )


def _job_line(one: Standing) -> JobLine:
    return JobLine(one.trial or 0, one.state, one.job_id, step=one.step, reason=one.why)


def ended_standing(trial: Trial, where: str, metric: str) -> Standing:
    """Of an experiment that has ended, as the ledger has it."""
    failure = trial.failure
    why = f"{failure.cause.value}: {failure.message}" if failure else ""
    job_id = trial.job.job_id if trial.job else None
    return Standing(
        where,
        trial.number,
        trial.state.value,
        why,
        job_id=job_id,
        metric=metric,
        value=trial.value,
        seconds=trial.seconds,
    )


def has_failed(found: Sequence[Standing]) -> bool:
    """Whether an experiment failed, or could not be asked about."""
    return any(one.state in (TrialState.FAILED.value, "unreadable", "away") for one in found)


def remedy_of(error: PilothouseError) -> str:
    """What a person types where something is away; empty where there is nothing to type."""
    return error.remedy if isinstance(error, Away) else ""


def relative(directory: str) -> str:
    """The directory as a person would type it here."""
    with suppress(ValueError, OSError):
        return str(Path(directory).relative_to(Path.cwd()))
    return directory
