"""``harvest``: ask about experiments, and enter in their ledgers what has ended."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from agents.config import load
from agents.errors import ConfigurationError, LedgerError, NoRoom, RunLocked, UnexpectedError
from agents.experiment import Experiment, Standing, explained, has_failed, relative, remedy_of
from agents.home import expanded
from agents.interrupts import Interrupted, Interrupts
from agents.patience import OneTry
from agents.report.numbers import measure
from agents.screen import duration_text
from agents.search import open_run
from agents.words import count
from agents.workspace import Workspace, run_at, runs
from training.contract import PilothouseError

_BROKE_OFF = (NoRoom, UnexpectedError)
"""What no further round mends."""
_NO_EXPERIMENT = "`python -m agents.run submit --config FILE` makes one"


def harvest(places: Sequence[Path], *, wait: bool, into: Path | None, as_json: bool) -> int:
    """Harvest the experiments in, or below, `places`. Returns the exit code.

    1 where one failed or could not be asked about; experiments that go on are no failure. `into`: a
    directory in which those that have ended are put together, for one report or a search.
    """
    found: list[Standing] = []
    workspaces = experiments(places)
    with Interrupts() as interrupts, ExitStack() as stack:
        try:
            open_ones = _first_round(workspaces, interrupts, stack, found)
            _more_rounds(open_ones, interrupts, wait)
        except Interrupted as interrupted:
            return 128 + interrupted.number
        for experiment in open_ones:
            found += _standings(experiment)
    said = "" if into is None else _put_together(found, into)
    found.sort(key=lambda one: (one.directory, one.trial or 0))
    print(to_json(found) if as_json else "\n".join(standing_text(one) for one in found))
    if said and not as_json:
        print(said)
    return 1 if has_failed(found) else 0


def _put_together(found: Sequence[Standing], into: Path) -> str:
    from agents.pool import gather

    ended = dict.fromkeys(one.directory for one in found if one.is_finished)
    if not ended:
        return f"{into}: nothing has ended yet that could be put there"
    pool, new = gather([Workspace(Path(directory)) for directory in ended], into)
    return (
        f"{relative(str(pool.directory))}: {count(new, 'more experiment')}; a search that begins with them: "
        f"python -m agents.run --config FILE --resume {shlex.quote(relative(str(pool.directory)))}"
    )


def experiments(places: Sequence[Path]) -> list[Workspace]:
    """The experiments in or below `places`. Raises ConfigurationError where there is none."""
    found: dict[Path, Workspace] = {}
    for place in places:
        own = Workspace(expanded(place).absolute())
        if own.experiment is not None and not own.is_experiment:
            raise ConfigurationError(
                f"{place} is a search, no single experiment: "
                f"`python -m agents.run --resume {place}` goes on with it"
            )
        below = [own] if own.experiment is not None else [r for r in runs(place) if r.is_experiment]
        if not below:
            what = "no such directory" if not own.directory.is_dir() else "no experiment is there"
            raise ConfigurationError(f"{place}: {what}; {_NO_EXPERIMENT}")
        found.update((workspace.directory, workspace) for workspace in below)
    return list(found.values())


def _first_round(
    workspaces: Sequence[Workspace],
    interrupts: Interrupts,
    stack: ExitStack,
    found: list[Standing],
) -> list[Experiment]:
    """Ask about each once. What cannot be opened is told in `found`, and does not stop the others."""
    open_ones = []
    for workspace in workspaces:
        where = str(workspace.directory)
        try:
            loaded = load(run_at(workspace.directory).config_file)
            run = stack.enter_context(open_run(loaded, workspace, interrupts, patience=OneTry))
        except RunLocked as error:
            found.append(Standing(where, None, "in use", str(error)))
            continue
        except (ConfigurationError, LedgerError) as error:
            found.append(Standing(where, None, "unreadable", str(error)))
            continue
        experiment = Experiment(run)
        open_ones.append(experiment)
        _advance(experiment)
    return open_ones


def _more_rounds(open_ones: Sequence[Experiment], interrupts: Interrupts, wait: bool) -> None:
    """Ask again while files of ended jobs may still come and, with `wait`, until all have ended."""
    told = 0
    while True:
        due = [
            experiment
            for experiment in open_ones
            if not isinstance(experiment.trouble, _BROKE_OFF)
            and (experiment.awaits_files() or (wait and not experiment.is_finished()))
        ]
        if not due:
            return
        if len(due) != told:
            told = len(due)
            print(f"waiting for {told} of {len(open_ones)} experiments", file=sys.stderr)
        interrupts.sleep(min(experiment.run.flight.interval() for experiment in due))
        for experiment in due:
            _advance(experiment)


def _advance(experiment: Experiment) -> None:
    """One round; an error is kept with the experiment, for what is said of it."""
    try:
        with explained(experiment.run):
            experiment.advance()
        experiment.trouble = None
    except PilothouseError as error:
        experiment.trouble = error


def _standings(experiment: Experiment) -> list[Standing]:
    trouble = experiment.trouble
    if isinstance(trouble, _BROKE_OFF):
        where = str(experiment.run.workspace.directory)
        return [Standing(where, None, "unreadable", str(trouble))]
    if trouble is None:
        return experiment.standings()
    remedy = remedy_of(trouble)
    return [
        one if one.is_finished else replace(one, state="away", why=str(trouble), remedy=remedy)
        for one in experiment.standings()
    ]


def standing_text(one: Standing, *, named: bool = True) -> str:
    """One line (and what to do, on a second) for a person."""
    parts = [one.state]
    if one.value is not None:
        parts[0] += f": {one.metric} {measure(one.value)}"
    elif one.why:
        parts[0] += f": {one.why}"
    if one.seconds is not None:
        parts.append(f"{duration_text(one.seconds)}")
    if one.step is not None:
        parts.append(f"epoch {one.step}")
    if one.job_id is not None and not one.is_finished:
        parts.append(f"job {one.job_id}")
    text = ", ".join(parts)
    if named:
        trial = f" trial {one.trial}" if one.trial else ""
        text = f"{relative(one.directory)}{trial}: {text}"
    return f"{text}\n  to go on: {one.remedy}" if one.remedy else text


def to_json(found: Sequence[Standing]) -> str:
    """For scripts: a list of objects, one an experiment."""
    return json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False)
