"""``cancel``: of a running search it is asked; the job of a submitted experiment is ended from here."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Literal

from agents import requests
from agents.commands.steering import Answer, ask
from agents.config import load
from agents.errors import ConfigurationError
from agents.experiment import Experiment, explained, relative
from agents.interrupts import Interrupts
from agents.patience import OneTry
from agents.search import open_run
from agents.steering import Request
from agents.workspace import Workspace, run_at
from scheduler.errors import Away

Trials = list[int] | Literal["all"]


def cancel(directory: Path, trials: Trials, wait: float) -> Answer:
    """Cancel trials. Raises ConfigurationError, RunLocked, Interrupted."""
    workspace = run_at(directory)
    # Somebody who waits for an experiment has it open, and takes the request as a search does.
    if not workspace.is_experiment or workspace.is_held:
        return ask(directory, "cancel", {"trials": trials}, wait)
    if workspace.is_finished:
        raise ConfigurationError(
            f"cancel: {workspace.directory}: the experiment has ended, so no job of it is there; "
            f"`python -m agents.run harvest {_named(workspace)}` says how it ended"
        )
    loaded = load(workspace.config_file)
    request = requests.new_request("cancel", {"trials": trials})
    with (
        Interrupts() as interrupts,
        open_run(loaded, workspace, interrupts, patience=OneTry) as run,
        explained(run),
    ):
        requests.leave(workspace.directory, request)
        return _ended(Experiment(run), interrupts, request, wait)


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
        remedy = f"; to go on, type: {error.remedy}" if error.remedy else ""
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
