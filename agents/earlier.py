"""What earlier searches found out, for one that begins with it (`warm_start`).

Their trials are no trials of the new search: they are in no count, no report and no "best". Samplers and the
LLM know them. They are kept in the run's directory, so that a resume needs nothing of the earlier runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.config.model import Settings
from agents.errors import ConfigurationError, ProposalRejected
from agents.report.numbers import parameters_text
from agents.report.reading import read_run
from agents.space import SearchSpace
from agents.thinning import spread
from agents.tradeoff import ranked, second_value
from agents.trial import Second, StudyView, Trial, TrialState
from agents.words import count
from training.contract import to_json_bytes, write_atomically

FILE = "warm_start.json"
MOST = 100
"""Trials that are kept: half of them the best, the rest evenly over all others. The sampler's model takes
a bounded number, and most should be the new search's own."""


@dataclass(frozen=True)
class Found:
    """What there is of earlier searches."""

    trials: Sequence[Trial] = ()
    said: Sequence[str] = ()
    """For a person: a line for each run."""


def earlier_trials(settings: Settings, space: SearchSpace, directory: Path) -> Found:
    """Those of the runs that `warm_start` names, as they were when this run first saw them.

    Raises ConfigurationError where one of them is no run, or is for another objective.
    """
    if not settings.warm_start:
        return Found()
    kept = _kept(settings, directory)
    if kept is not None:
        return Found(kept)
    found = collected(settings, space)
    document = {"runs": _names(settings), "trials": [_document(trial) for trial in found.trials]}
    write_atomically(directory / FILE, to_json_bytes(document))
    return found


def _names(settings: Settings) -> list[str]:
    return [str(path) for path in settings.warm_start]


def _kept(settings: Settings, directory: Path) -> list[Trial] | None:
    """What a run began with; None where that is not known, or where it named other runs."""
    try:
        document = json.loads((directory / FILE).read_bytes())
        if document["runs"] != _names(settings):
            return None
        return [_trial(number, one) for number, one in enumerate(document["trials"])]
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # a damaged one is made anew
        return None


def collected(settings: Settings, space: SearchSpace) -> Found:
    """The trials of the runs that can be used, read now; in a replay those that the search began with
    which it repeats. Raises ConfigurationError."""
    replay = settings.llm.replay
    again = _kept(settings, replay) if replay is not None else None
    if again is not None:
        return Found(again, [f"warm start: {count(len(again), 'trial')}, as {replay} began with"])
    trials: list[Trial] = []
    said = []
    for path in settings.warm_start:
        taken, line = _of_run(path, StudyView.of(settings, ()), space)
        trials += taken
        said.append(line)
    kept = _fewer(StudyView.of(settings, _numbered(trials)))
    if len(kept) < len(trials):
        said.append(f"warm start: {len(kept)} of these {len(trials)} trials are kept")
    return Found(_numbered(kept), said)


def _of_run(path: Path, wanted: StudyView, space: SearchSpace) -> tuple[list[Trial], str]:
    try:
        view = read_run(path).view
    except ConfigurationError as error:
        raise ConfigurationError(f"warm_start: {error}") from error
    if (view.metric, view.direction) != (wanted.metric, wanted.direction):
        raise ConfigurationError(
            f"warm_start: {path} was to {view.direction} {view.metric}, and this search is to "
            f"{wanted.direction} {wanted.metric}: name runs of the same objective"
        )
    taught = [trial for trial in view.trials if trial.teaches and _has_ended(trial)]
    taken, reasons = [], list[str]()
    for trial in taught:
        point, why = _point(trial, space)
        if point is None:
            reasons.append(why)
        else:
            taken.append(_trial(0, {**_document(trial), "parameters": point}))
    total = count(len(taught), "trial")
    said = f"warm start: {len(taken)} of {total} of {path}{_left_out(reasons)}"
    return taken, said + _supposed(taught, taken) + _half_known(taken, wanted.second)


def _supposed(taught: Sequence[Trial], taken: Sequence[Trial]) -> str:
    """What nobody told of the trials: the values of parameters that there were none of. The program may
    well have had others."""
    had = {name for trial in taught for name in trial.parameters}
    new = {n: v for trial in taken for n, v in trial.parameters.items() if n not in had}
    return f"; of what is new they are taken to have had {parameters_text(new)}" if new else ""


def _half_known(taken: Sequence[Trial], second: Second | None) -> str:
    """How many say nothing of the second objective: with them alone there is no model of it."""
    if second is None:
        return ""
    completed = [trial for trial in taken if trial.state is TrialState.COMPLETED]
    lacking = sum(second_value(trial, second.metric) is None for trial in completed)
    told = f"; {lacking} of them did not measure {second.metric}, and teach nothing of it"
    return told if lacking else ""


def _left_out(reasons: Sequence[str]) -> str:
    """Why trials were not taken, by the parameter: each may have another value of it."""
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(reason.partition(":")[0], []).append(reason)
    most = sorted(groups.values(), key=len, reverse=True)
    told = [
        f"{len(alike)} not: {alike[0]}{' and the like' if len(set(alike)) > 1 else ''}"
        for alike in most[:3]
    ]
    if most[3:]:
        told.append(f"{sum(map(len, most[3:]))} not for other reasons")
    return f" ({'; '.join(told)})" if told else ""


def _has_ended(trial: Trial) -> bool:
    if trial.state is TrialState.COMPLETED:
        return trial.value is not None and math.isfinite(trial.value)
    return trial.state.is_finished


def _point(trial: Trial, space: SearchSpace) -> tuple[Mapping[str, Any] | None, str]:
    """Its parameters in the new space, new ones at their defaults; or why there is no such point."""
    gone = [name for name in trial.parameters if name not in space.parameters]
    if gone:
        return None, f"there is no parameter {gone[0]} any more"
    try:
        return space.validate(space.complete(trial.parameters)), ""
    except ProposalRejected as error:
        return None, str(error.reasons[0])


def _fewer(view: StudyView) -> list[Trial]:
    if len(view.trials) <= MOST:
        return list(view.trials)
    best = ranked(view)[: MOST // 2]
    chosen = {trial.number for trial in best}
    rest = [trial for trial in view.trials if trial.number not in chosen]
    chosen |= {trial.number for trial in spread(rest, MOST - len(best))}
    return [trial for trial in view.trials if trial.number in chosen]


def _numbered(trials: Sequence[Trial]) -> list[Trial]:
    return [replace(trial, number=number) for number, trial in enumerate(trials)]


def _document(trial: Trial) -> dict[str, Any]:
    return {
        "state": trial.state.value,
        "parameters": dict(trial.parameters),
        "origin": trial.origin,
        "value": trial.value,
        "metrics": dict(trial.metrics),
        "seconds": trial.seconds,
    }


def _trial(number: int, kept: Mapping[str, Any]) -> Trial:
    return Trial(
        number=number,
        iteration=0,
        state=TrialState(kept["state"]),
        parameters=kept["parameters"],
        origin=kept["origin"],
        seed=0,
        value=kept["value"],
        metrics=kept["metrics"],
        seconds=kept["seconds"],
    )
