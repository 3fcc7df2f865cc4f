"""What becomes of a search that has come to its end and is resumed: it goes on, or nothing changes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents import requests
from agents.config import LoadedConfig, load
from agents.config.model import Settings
from agents.confirm import due, is_wanted
from agents.convergence import StopReason
from agents.helm import history_of
from agents.report.numbers import measure
from agents.report.reading import Reading, read_run, summary_of
from agents.steering import Steered, steered
from agents.stopping import BOUNDS, bound, reasons_now
from agents.workspace import Workspace


@dataclass(frozen=True)
class AtItsEnd:
    """A finished search that has nothing more to do."""

    reading: Reading
    reasons: Sequence[StopReason]
    """The rules that hold, with the budgets that it is asked to go on with."""


def at_its_end(
    workspace: Workspace, loaded: LoadedConfig, laid_over: Sequence[str]
) -> AtItsEnd | None:
    """Why the search, resumed with this configuration, would do nothing; None where it goes on.

    Nothing is written. `laid_over`: what the command line sets.
    """
    if not workspace.is_finished or workspace.is_held or not workspace.graph_file.exists():
        return None
    if requests.waiting(workspace.directory):
        return None
    reading = read_run(workspace.directory)
    if reading.salvaged is not None or not _has_ended(reading):
        return None
    now = steered(history_of(reading.facts.steering))
    settings = _in_force(loaded, now, laid_over)
    view = reading.view
    reasons = reasons_now(view, settings, reading.facts.elapsed_seconds, now.cancelled)
    if not reasons or (is_wanted(reasons[0]) and due(view, settings.confirm)):
        return None
    return AtItsEnd(reading, reasons)


def _has_ended(reading: Reading) -> bool:
    """Whether its summary is that of all its trials: it may have been taken up and left again."""
    trials = reading.view.trials
    told = summary_of(reading.workspace).get("counts")
    is_whole = isinstance(told, Mapping) and sum(told.values()) == len(trials)
    has_stopped = reading.facts.stop_reason is not None
    return is_whole and has_stopped and all(trial.state.is_finished for trial in trials)


def _in_force(loaded: LoadedConfig, now: Steered, laid_over: Sequence[str]) -> Settings:
    """The settings with what was set while the search ran; the command line is newer than that."""
    given = {text.partition("=")[0] for text in laid_over}
    kept = [f"{key}={value}" for key, value in now.overrides.items() if key not in given]
    return load(loaded.path, [*kept, *laid_over]).settings if kept else loaded.settings


def end_text(workspace: Workspace, end: AtItsEnd) -> str:
    """For a person: that nothing was done, and what would make the search go on."""
    facts, best = end.reading.facts, end.reading.view.best
    why = facts.stop_reason or end.reasons[0].sentence
    lines = [f"{workspace.directory} has finished ({why}); nothing was run, nothing was changed"]
    if best is not None:
        lines.append(f"best: trial {best.number}, {end.reading.view.metric} {measure(best.value)}")
    keys = " ".join(f"--set {BOUNDS[reason.rule][0]}=N" for reason in end.reasons)
    where = shlex.quote(str(workspace.directory))
    lines.append(f"to go on: python -m agents.run resume {where} {keys}")
    return "\n".join([*lines, *(f"  {_bound(reason)}" for reason in end.reasons)])


def _bound(reason: StopReason) -> str:
    key, name = BOUNDS[reason.rule]
    reached = reason.numbers[name]
    limit = bound(reason)
    if reason.rule == "target":
        return f"{key}: better than {reached:.6g} (it is {limit:.6g}), or null"
    unit = "s" if reason.rule == "wall_clock" else ""
    return f"{key}: more than {reached:.6g}{unit} (it is {limit:.6g}{unit})"
