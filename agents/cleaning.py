"""Old runs: which may go, how large they are, and their removal. Never one that is in use.

A directory counts as a run by its card (`run.json`) alone. It is removed under its lock, the card
last: a removal that was cut off leaves a run, which can be removed again.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.errors import ConfigurationError, RunLocked
from agents.progress import read_heartbeat
from agents.trial import Trial
from agents.workspace import CARD_FILE, Workspace, runs
from training.contract import PilothouseError

CARD_SCHEMA = 1
_LAST = (CARD_FILE, "run.lock")
"""What goes last of all."""


@dataclass(frozen=True)
class OldRun:
    """One run below the base, and what is to become of it."""

    workspace: Workspace
    experiment: str
    state: str
    """``running``, ``finished`` or ``stopped``."""
    age: float
    """Seconds since its last sign of life."""
    size: int
    """Bytes on the disk here."""
    metric: str = ""
    direction: str | None = None
    best: float | None = None
    kept: str = ""
    """Why it is kept; empty: it may go."""

    @property
    def name(self) -> str:
        return self.workspace.name

    def keep(self, why: str) -> OldRun:
        """The same, kept; the first reason stays."""
        return self if self.kept else replace(self, kept=why)


def old_runs(base: Path, older_than: float, keep_best: int, now: float) -> list[OldRun]:
    """All runs below `base`, the oldest first, each with why it is kept or that it may go.

    `older_than` in seconds; the `keep_best` best of each experiment are kept; `now` as time.time().
    """
    found = [_judged(_looked_at(run, now), older_than) for run in runs(base)]
    best = _best(found, keep_best)
    return [run.keep(f"one of the {keep_best} best") if run in best else run for run in found]


def _looked_at(workspace: Workspace, now: float) -> OldRun:
    beat = read_heartbeat(workspace.progress_file) or {}
    summary = _json(workspace.summary_file)
    held = workspace.is_held
    state = "running" if held else "finished" if workspace.is_finished else "stopped"
    best = summary.get("best")
    value = best.get("value") if isinstance(best, dict) else beat.get("best_value")
    return OldRun(
        workspace,
        workspace.experiment or workspace.name,
        state,
        max(0.0, now - _last_sign(workspace)),
        disk_usage(workspace.directory),
        str(summary.get("metric") or beat.get("metric") or ""),
        summary.get("direction") or beat.get("direction"),
        value if isinstance(value, (int, float)) else None,
    )


_NOT_YOURS = "you cannot write there: whoever it belongs to can delete it"


def _judged(run: OldRun, older_than: float) -> OldRun:
    """Kept for what can be seen at once; the dearer questions come last."""
    workspace = run.workspace
    if workspace.directory.is_symlink():
        return run.keep("it is a link; remove the run where it leads")
    owner = _somebody_else(workspace.directory)
    if owner:
        return run.keep(f"it belongs to {owner}")
    if not (
        os.access(workspace.directory, os.W_OK) and os.access(workspace.directory.parent, os.W_OK)
    ):
        return run.keep(_NOT_YOURS)
    if run.state == "running":
        return run.keep("it is running")
    if _json(workspace.directory / CARD_FILE).get("schema") != CARD_SCHEMA:
        return run.keep("it was made by another version of Pilothouse")
    if run.age < older_than:
        return run.keep("it is not old enough")
    if workspace.is_finished:
        return run
    return run.keep(in_flight(workspace))


def _somebody_else(directory: Path) -> str:
    """Whose a directory is, where it is not mine: a group's project directory lets each delete all."""
    try:
        owner = directory.stat().st_uid
    except OSError:
        return ""
    if owner == os.geteuid():
        return ""
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def in_flight(workspace: Workspace) -> str:
    """Why jobs of an unfinished run may still be there; empty where none are."""
    from agents.report.reading import read_run

    try:
        reading = read_run(workspace.directory)
    except PilothouseError as error:
        return f"whether it has jobs is not known ({str(error).splitlines()[0]})"
    if reading.salvaged is not None:
        return "its ledger is broken, so whether it has jobs is not known: see `report`, then delete it by hand"
    jobs = [trial for trial in reading.view.trials if not trial.state.is_finished and trial.job]
    if not jobs:
        return ""
    names = ", ".join(_job_text(trial) for trial in jobs[:3])
    way = "`harvest` or `cancel` it" if workspace.is_experiment else "`cancel` or `resume` it"
    return f"jobs may still run ({names}): {way} first"


def _job_text(trial: Trial) -> str:
    job_id = trial.job.job_id if trial.job else None
    return f"trial {trial.number}: job {job_id or 'in doubt'}"


def _best(found: Iterable[OldRun], count: int) -> list[OldRun]:
    """The best runs of each experiment and metric. One whose direction is unknown is among them."""
    if count == 0:
        return []
    groups: dict[tuple[str, str], list[OldRun]] = {}
    for run in found:
        if run.best is not None:
            groups.setdefault((run.experiment, run.metric), []).append(run)
    best: list[OldRun] = []
    for group in groups.values():
        directions = {run.direction for run in group}
        if directions == {"maximize"} or directions == {"minimize"}:
            ranked = sorted(
                group, key=lambda run: run.best or 0.0, reverse="maximize" in directions
            )
            best += ranked[:count]
        else:
            best += group
    return best


def disk_usage(directory: Path) -> int:
    """Bytes that a tree takes on the disk; links are not followed."""
    total = 0
    for path, directories, files in os.walk(directory):
        for name in (*directories, *files):
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue
    return total


def remove(run: OldRun) -> None:
    """Remove the run's directory here. The caller holds its lock. Raises OSError."""
    directory = run.workspace.directory
    entries = [entry for entry in os.scandir(directory) if entry.name not in _LAST]
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    for name in _LAST:
        (directory / name).unlink(missing_ok=True)
    directory.rmdir()


@dataclass(frozen=True)
class Locked:
    """Runs that nobody else can begin to use, and those that somebody uses after all."""

    held: Sequence[OldRun]
    lost: Sequence[OldRun]


def locked(found: Sequence[OldRun], stack: ExitStack) -> Locked:
    """Take the locks of runs that may go, until `stack` ends, and look once more."""
    held: list[OldRun] = []
    lost: list[OldRun] = []
    for run in found:
        try:
            lock = run.workspace.lock()
        except RunLocked:
            lost.append(run.keep("it is running"))
            continue
        except ConfigurationError:
            lost.append(run.keep(_NOT_YOURS))
            continue
        except OSError as error:
            lost.append(run.keep(f"it cannot be locked: {error.strerror}"))
            continue
        stack.callback(lock.release)
        # Between the question and its answer somebody may have gone on with it.
        again = "" if run.workspace.is_finished else in_flight(run.workspace)
        (lost if again else held).append(run.keep(again) if again else run)
    return Locked(held, lost)


def job_directories(workspace: Workspace) -> Iterator[str]:
    """The directories of its jobs, relative to the run's, as its ledger has them."""
    from agents.report.reading import read_run

    for trial in read_run(workspace.directory).view.trials:
        if trial.job is not None:
            yield trial.job.directory


def _last_sign(workspace: Workspace) -> float:
    times = []
    for path in (workspace.summary_file, workspace.progress_file, workspace.directory / CARD_FILE):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
