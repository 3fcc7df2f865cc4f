"""``submit``: one experiment from a template, without a search."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agents.commands.harvest import standing_text, to_json
from agents.config import LoadedConfig, load
from agents.experiment import (
    TO_BE_SUBMITTED,
    Experiment,
    chosen,
    explained,
    has_failed,
    relative,
    remedy_of,
)
from agents.interrupts import Interrupted, Interrupts
from agents.patience import OneTry, Patience
from agents.screen import Screen, open_screen
from agents.search import open_run
from agents.workspace import Workspace, create
from scheduler.errors import Away, SchedulerError
from training.contract import ParameterValue


@dataclass(frozen=True)
class Submission:
    """What the command line says."""

    config: Path
    overrides: Sequence[str] = ()
    pairs: Sequence[str] = ()
    """Hyperparameters, ``name=value``."""
    wait: bool = False
    as_json: bool = False


def submit(asked: Submission) -> int:
    """Submit one experiment, exactly once. Returns the exit code.

    The experiment is in its directory before anything is sent: whatever happens then, `harvest` goes
    on with it.
    """
    loaded = load(asked.config, asked.overrides)
    parameters = chosen(loaded.settings, asked.pairs)
    workspace = _new(loaded)
    patience = Patience if asked.wait else OneTry
    with (
        Interrupts() as interrupts,
        open_run(loaded, workspace, interrupts, "info", patience) as run,
    ):
        experiment = Experiment(run)
        run.flight.said = lambda text: print(text, file=sys.stderr)
        try:
            with explained(run):
                experiment.enter(parameters)
                if asked.wait and not asked.as_json:
                    return _wait(experiment, interrupts, open_screen(), parameters)
                return _once(experiment, interrupts, asked, parameters)
        except Interrupted as interrupted:
            _say_later(workspace)
            return 128 + interrupted.number


def _new(loaded: LoadedConfig) -> Workspace:
    settings = loaded.settings
    now = datetime.now().astimezone()
    name = settings.experiment.id
    return create(settings.directories, name, loaded.resolved, now, kind="experiment")


def _once(
    experiment: Experiment,
    interrupts: Interrupts,
    asked: Submission,
    parameters: dict[str, ParameterValue],
) -> int:
    workspace = experiment.run.workspace
    trouble: Away | SchedulerError | None = None
    try:
        experiment.submit()
        if asked.wait:
            _until_finished(experiment, interrupts)
    except (Away, SchedulerError) as error:
        trouble = error
    experiment.write()
    found = experiment.standings()
    if asked.as_json:
        print(to_json(found))
    else:
        print(workspace.directory)
        print(f"  {_parameters_text(parameters)}")
        print(*(f"  {standing_text(one, named=False)}" for one in found), sep="\n")
    if trouble is not None:
        print(f"error: {trouble}", file=sys.stderr)
    if trouble is not None and remedy_of(trouble):
        print(f"  to go on: {remedy_of(trouble)}", file=sys.stderr)
    if not experiment.is_finished() and not asked.as_json:
        _say_later(workspace)
    waits = any(one.state == TO_BE_SUBMITTED for one in found)
    return 1 if trouble is not None or waits or has_failed(found) else 0


def _wait(
    experiment: Experiment,
    interrupts: Interrupts,
    screen: Screen,
    parameters: dict[str, ParameterValue],
) -> int:
    """Follow the experiment to its end in front of a person."""
    screen.say(str(experiment.run.workspace.directory))
    screen.say(f"  {_parameters_text(parameters)}")
    experiment.run.flight.said = screen.say
    experiment.run.patience.changed = lambda: screen.show(experiment.progress())
    try:
        _until_finished(experiment, interrupts, screen)
    finally:
        screen.close()
    found = experiment.standings()
    for one in found:
        screen.say(f"  {standing_text(one, named=False)}")
    screen.say(f"  report: {experiment.run.workspace.reports / 'report.html'}")
    return 1 if has_failed(found) else 0


def _until_finished(
    experiment: Experiment, interrupts: Interrupts, screen: Screen | None = None
) -> None:
    while True:
        experiment.advance()
        if screen is not None:
            screen.show(experiment.progress())
        if experiment.is_finished():
            return
        experiment.rest(interrupts)


def _parameters_text(parameters: dict[str, ParameterValue]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


def _say_later(workspace: Workspace) -> None:
    where = shlex.quote(relative(str(workspace.directory)))
    print(f"  to go on with it, later: python -m agents.run harvest {where}")
