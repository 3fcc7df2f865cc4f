"""``cancel``: of a running search it is asked; jobs of a stopped one, or of a submitted experiment, are
ended from here."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Literal

from agents import requests
from agents.commands.status import resume_command
from agents.commands.steering import Answer, ask
from agents.errors import ConfigurationError
from agents.experiment import Experiment, explained, relative
from agents.interrupts import Interrupts
from agents.patience import OneTry
from agents.resuming import own_configuration
from agents.search import Run, open_run
from agents.steering import Request, cancelled_by
from agents.words import named
from agents.workspace import Workspace, run_at
from scheduler.errors import Away

Trials = list[int] | Literal["all"]


def cancel(directory: Path, trials: Trials, wait: float) -> Answer:
    """Cancel trials. Raises ConfigurationError, RunLocked, Interrupted."""
    workspace = run_at(directory)
    # Somebody who waits for an experiment has it open, and takes the request as a search does.
    if workspace.is_held or not (workspace.is_experiment or _is_left(workspace)):
        return ask(directory, "cancel", {"trials": trials}, wait)
    if workspace.is_finished:
        raise ConfigurationError(
            f"cancel: {workspace.directory}: the experiment has ended, so no job of it is there; "
            f"`python -m agents.run harvest {_named(workspace)}` says how it ended"
        )
    loaded = own_configuration(workspace)
    request = requests.new_request("cancel", {"trials": trials})
    with (
        Interrupts() as interrupts,
        open_run(loaded, workspace, interrupts, patience=OneTry) as run,
        explained(run),
    ):
        if not workspace.is_experiment:
            return _left(run, request, trials)
        requests.leave(workspace.directory, request)
        return _ended(Experiment(run), interrupts, request, wait)


def _is_left(workspace: Workspace) -> bool:
    """Whether it is a search that was left, and may have jobs that nobody follows."""
    return workspace.has_begun and not workspace.is_finished


def _left(run: Run, request: Request, trials: Trials) -> Answer:
    """End the jobs of a search that was left. The request stays for the search, which enters what
    became of its trials, and who asked, when it goes on."""
    running = run.flight.numbers()
    meant = running if trials == "all" else [number for number in trials if number in running]
    if not meant:
        raise ConfigurationError(f"cancel: no such trial of {run.workspace.directory} is in flight")
    requests.leave(run.workspace.directory, request)
    resume = resume_command(run.workspace)
    try:
        run.flight.obey_at_once(dict.fromkeys(meant, cancelled_by(request.by)))
    except Away as error:
        remedy = f"; to go on: {error.remedy}" if error.remedy else ""
        said = f"{error}{remedy}\n  its jobs go on; cancelled when the search goes on: {resume}"
        return Answer(request, "waiting", said)
    said = f"the jobs of {named(meant)} are ended; entered when the search goes on: {resume}"
    return Answer(request, "waiting", said)


def _ended(experiment: Experiment, interrupts: Interrupts, request: Request, wait: float) -> Answer:
    """Have the jobs ended, and wait `wait` seconds for their ends."""
    until = time.monotonic() + wait
    try:
        experiment.advance()
        while _goes_on(experiment, request) and time.monotonic() < until:
            left = until - time.monotonic()
            interrupts.sleep(max(0.0, min(experiment.run.flight.interval(), left)))
            experiment.advance()
    except Away as error:
        remedy = f"; to go on: {error.remedy}" if error.remedy else ""
        return Answer(request, "waiting", f"{error}{remedy}\n  {_later(experiment)}")
    taken = next(one for one in experiment.history() if one.id == request.id)
    if taken.refused:
        return Answer(request, "refused", taken.effect)
    later = f"; {_later(experiment)}" if _goes_on(experiment, request) else ""
    return Answer(request, "taken", f"{taken.effect}{later}")


def _goes_on(experiment: Experiment, request: Request) -> bool:
    """Whether a trial that the request means has not ended yet."""
    meant = {n for one in experiment.history() if one.id == request.id for n in one.trials}
    trials = experiment.run.ledger.trials()
    return any(not trial.state.is_finished for trial in trials if trial.number in meant)


def _later(experiment: Experiment) -> str:
    where = _named(experiment.run.workspace)
    return f"`python -m agents.run harvest {where}` enters its end once the cluster tells of it"


def _named(workspace: Workspace) -> str:
    return shlex.quote(relative(str(workspace.directory)))
