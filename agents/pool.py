"""Experiments put together: one ledger that knows the results of several, for a report or a search."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from agents.config import load
from agents.config.model import Settings
from agents.convergence import StopReason
from agents.errors import ConfigurationError
from agents.experiment import ITERATION, Experiment
from agents.home import expanded
from agents.interrupts import Interrupts
from agents.outcome import outcome_of
from agents.patience import OneTry
from agents.search import Run, open_run
from agents.trial import Proposal, Trial
from agents.workspace import Workspace, lay_out


def gather(sources: Sequence[Workspace], into: Path) -> tuple[Workspace, int]:
    """Enter the ended trials of `sources` in the ledger of `into`, which is made where it is not.

    Returns it, and how many of them were not there before: doing it twice is doing it once. Raises
    ConfigurationError where the experiments are not of one task.
    """
    first = load(sources[0].config_file)
    for source in sources[1:]:
        _check_same(first.settings, load(source.config_file).settings, sources[0], source)
    pool = _pool(into, sources[0], first.settings)
    loaded = load(pool.config_file)
    with Interrupts() as interrupts, open_run(loaded, pool, interrupts, patience=OneTry) as run:
        new = sum(_entered(run, source) for source in sources)
        count = len(run.ledger.trials())
        stop = StopReason("gathered", f"{count} experiments were put together", {})
        run.paperwork.write_last(Experiment(run).view(), stop)
    return pool, new


def _pool(into: Path, source: Workspace, settings: Settings) -> Workspace:
    pool = Workspace(expanded(into).absolute())
    if pool.experiment is not None:
        _check_same(load(pool.config_file).settings, settings, pool, source)
        return pool
    try:
        pool.directory.mkdir(parents=True, exist_ok=True)
        if any(pool.directory.iterdir()):
            raise ConfigurationError(
                f"--into {into}: there is something else in that directory; name a new one"
            )
        now = datetime.now().astimezone()
        config = source.config_file.read_text(encoding="utf-8")
        return lay_out(pool.directory, settings.experiment.id, config, now, "pool")
    except OSError as error:
        raise ConfigurationError(f"--into {into}: cannot be made: {error.strerror}") from error


def _check_same(one: Settings, other: Settings, here: Workspace, there: Workspace) -> None:
    changed = [
        name
        for name, old, new in (
            ("experiment.id", one.experiment.id, other.experiment.id),
            ("objective", one.objective, other.objective),
            ("search_space", one.search_space, other.search_space),
            ("constraints", one.constraints, other.constraints),
        )
        if old != new
    ]
    if changed:
        raise ConfigurationError(
            f"{here.directory} and {there.directory} differ in {', '.join(changed)}: their results "
            "cannot be in one ledger; name those that belong together"
        )


def _entered(run: Run, source: Workspace) -> int:
    """Enter the ended trials of `source` that are not there yet. Returns how many.

    A trial is known by the words of where it comes from; one whose entry was cut off is finished.
    """
    from agents.report.reading import read_run

    known = {trial.rationale: trial for trial in run.ledger.trials()}
    reading = read_run(source.directory)
    # Directories of several people share a name where they were made in the same second.
    which = f"run {reading.token}" if reading.token else str(source.directory)
    new = 0
    for trial in reading.view.trials:
        mark = f"{trial.rationale} ({source.name}, trial {trial.number}, {which})"
        before = known.get(mark) or _marked_by_name(known, trial, source)
        if not trial.state.is_finished or (before is not None and before.state.is_finished):
            continue
        number = before.number if before is not None else _added(run, trial, mark)
        if trial.job is not None:
            directory = os.path.relpath(
                source.directory / trial.job.directory, run.workspace.directory
            )
            run.ledger.record_job(number, replace(trial.job, directory=directory))
        run.ledger.finish(number, outcome_of(trial), trial.finished_at or datetime.now(UTC))
        new += 1
    return new


def _marked_by_name(known: Mapping[str, Trial], trial: Trial, source: Workspace) -> Trial | None:
    """The entry of `trial` with a mark as they were before: by the directory's name alone, which
    may be another's."""
    entry = known.get(f"{trial.rationale} ({source.name}, trial {trial.number})")
    if entry is None or dict(entry.parameters) != dict(trial.parameters):
        return None
    is_its_own = not entry.state.is_finished or trial.finished_at in (None, entry.finished_at)
    return entry if is_its_own else None


def _added(run: Run, trial: Trial, mark: str) -> int:
    proposal = Proposal(trial.parameters, trial.origin, mark, trial.predicted)
    return run.ledger.add(proposal, ITERATION, trial.seed)
