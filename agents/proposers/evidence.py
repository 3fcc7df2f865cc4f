"""What the runs tell beside their results: which parameters mattered, what lies next to the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agents.proposers.prompt import Evidence
from agents.report.importance import importances
from agents.report.numbers import number, parameter_text, signed
from agents.space import SearchSpace
from agents.trial import StudyView, Trial

NEIGHBOURS = 4
"""Runs next to the best one that are shown."""
LATEST = 2000
"""Runs among which neighbours are looked for."""


def evidence(space: SearchSpace, view: StudyView, hints: Sequence[str] = ()) -> Evidence:
    """Everything that the question may hold beside the runs themselves."""
    shares = importances(view, space.parameters).shares
    return Evidence(list(hints), list(shares), neighbours(space, view))


def neighbours(space: SearchSpace, view: StudyView) -> list[str]:
    """The completed runs nearest to the best, a line each: what changed, and what came of it."""
    from agents.proposers.encoding import Encoder

    best = view.best
    if best is None:
        return []
    encoder = Encoder(space.distributions())
    here = encoder.encode(best.parameters)
    distances = sorted(
        (math.dist(here, encoder.encode(trial.parameters)), trial.number, trial)
        for trial in view.completed[-LATEST:]
        if trial.number != best.number and trial.value is not None
    )
    return [_changed(best, trial) for _, _, trial in distances[:NEIGHBOURS]]


def changed(before: Trial, after: Trial) -> str:
    """The parameters in which two runs differ: ``lr 0.003 instead of 0.001``."""
    names = [*before.parameters, *(n for n in after.parameters if n not in before.parameters)]
    texts = [(name, _text(before, name), _text(after, name)) for name in names]
    different = [f"{name} {new} instead of {old}" for name, old, new in texts if old != new]
    return ", ".join(different) or "nothing that shows"


def _changed(best: Trial, trial: Trial) -> str:
    assert best.value is not None and trial.value is not None
    gap = signed(trial.value - best.value)
    head = f"run {trial.number}: {number(trial.value)} ({gap} against run {best.number})"
    return f"{head}; {changed(best, trial)}"


def _text(trial: Trial, name: str) -> str:
    return parameter_text(trial.parameters[name]) if name in trial.parameters else "nothing"
