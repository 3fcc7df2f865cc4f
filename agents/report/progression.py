"""How the best value came about: over trials, node-hours and time. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.cost import Meter
from agents.elapsed import seconds_at_work
from agents.report.facts import RunFacts
from agents.report.study import is_better
from agents.spans import Span, spans
from agents.trial import StudyView, Trial, TrialState

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A new best value, and what had been spent when it was known."""

    trial: int
    value: float
    trials: float
    """That had ended, this one included."""
    node_hours: float
    time: float
    """Hours at work since the start."""


@dataclass(frozen=True)
class Progression:
    """The improvements of one run, in the order in which they came, and its end."""

    name: str
    steps: Sequence[Step]
    trials: float
    node_hours: float
    time: float


def progression(name: str, view: StudyView, facts: RunFacts) -> Progression:
    """How the run went. Trials count in the order in which they ended."""
    by_trial: dict[int, list[Span]] = {}
    for span in spans(view, facts.updated_at):
        by_trial.setdefault(span.trial.number, []).append(span)
    ended = sorted((t for t in view.trials if t.state.is_finished), key=_when)
    steps: list[Step] = []
    spent, time = Meter(), 0.0
    for place, trial in enumerate(ended, start=1):
        for span in by_trial.pop(trial.number, ()):
            spent.add(span)
        if trial.finished_at is not None:
            seconds = seconds_at_work(facts.idle, facts.started_at, trial.finished_at)
            time = max(time, seconds / 3600)
        value = trial.value if trial.state is TrialState.COMPLETED else None
        if value is not None and (not steps or is_better(value, steps[-1].value, view)):
            steps.append(Step(trial.number, value, place, spent.node_hours, time))
    for span in itertools.chain(*by_trial.values()):  # of trials that have not ended
        spent.add(span)
    return Progression(name, steps, len(ended), spent.node_hours, time)


def _when(trial: Trial) -> tuple[datetime, int]:
    return trial.finished_at or _NEVER, trial.number
