"""Who is ahead over time: the LLM or the sampler. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.proposers.standing import SOURCES, track
from agents.report.numbers import measure
from agents.report.study import is_better, valued
from agents.report.words import origin_name
from agents.trial import Origin, StudyView, Trial
from agents.words import count


@dataclass(frozen=True)
class Lead:
    """From this trial on, `origin` had the best value of all that the two proposed."""

    origin: Origin
    trial: Trial
    value: float


def bests(view: StudyView, origin: Origin) -> list[tuple[Trial, float]]:
    """The trials of a proposer that were its best when they came."""
    found: list[tuple[Trial, float]] = []
    for trial, value in valued(view):
        if trial.origin == origin and (not found or is_better(value, found[-1][1], view)):
            found.append((trial, value))
    return found


def leads(view: StudyView) -> list[Lead]:
    """Each change of the lead, the first included."""
    found: list[Lead] = []
    best: float | None = None
    for trial, value in valued(view):
        if trial.origin not in SOURCES or not (best is None or is_better(value, best, view)):
            continue
        best = value
        if not found or found[-1].origin != trial.origin:
            found.append(Lead(trial.origin, trial, value))
    return found


def are_compared(view: StudyView) -> bool:
    """Whether both have a result."""
    return all(bests(view, origin) for origin in SOURCES)


def told(view: StudyView) -> str:
    """The race in words."""
    found = leads(view)
    if not found:
        return ""
    last = found[-1]
    name, best = origin_name(last.origin), bests(view, last.origin)[-1]
    other = next(origin for origin in SOURCES if origin != last.origin)
    behind = measure(bests(view, other)[-1][1])
    said = [
        f"The {name} is ahead with {measure(best[1])}; the {origin_name(other)} has {behind}.",
        _changes(found),
        _records(view),
    ]
    return " ".join(part for part in said if part)


def _changes(found: Sequence[Lead]) -> str:
    if len(found) == 1:
        return "The lead never changed."
    changes = len(found) - 1
    times = "once" if changes == 1 else f"{changes} times"
    return f"The lead changed {times}, last with trial {found[-1].trial.number}."


def _records(view: StudyView) -> str:
    """How often their latest trials were good, as the share of slots is decided."""
    found = {origin_name(origin): record for origin, record in track(view).items()}
    parts = [
        f"{record.good} of the {name}'s last {count(record.good + record.other, 'trial')}"
        for name, record in found.items()
        if record.good + record.other
    ]
    if len(parts) < len(SOURCES):
        return ""
    return f"Among the best quarter at their time: {' and '.join(parts)}."
