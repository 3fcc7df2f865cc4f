"""How many of the next trials an LLM may choose: what its proposals have earned. Pure.

The optimizer always runs and keeps at least half of the trials. An LLM begins with a few seeds,
leaves the start to space-filling, and then gets a share that falls as the search ripens, opens
again on a plateau, and is multiplied by how often its trials were good against the sampler's.
It is computed from the history alone, so a resumed run comes to the same shares.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from dataclasses import dataclass

from agents.trial import Origin, StudyView, Trial, TrialState

SOURCES: tuple[Origin, ...] = ("llm", "sampler")

SEEDS = 3
"""Trials that the LLM chooses at the start, from the task card; fewer where the first ones are all
worse than the default."""
SHARE_AT_FIRST = 0.3
SHARE_AT_LAST = 0.1
MOST = 0.5
LEAST_TRUST = 0.25
"""Of the share; what keeps an LLM in the game that has had bad luck."""
MOST_TRUST = 1.6
GOOD = 0.75
"""A trial is good when it beats this quantile of all that were completed before it."""
PRIOR = (1.0, 3.0)
"""Good and other trials that each source is credited with beforehand."""
MEMORY = 30
"""Trials of each source that count."""
FEWEST = 4
"""Completed trials before the first that is judged."""
FAILURES = 3
"""Trials of the LLM that fail one after the other shut it out …"""
SHUT_OUT = 10
"""… for so many trials."""
WINDOW = 30
"""Trials over which the share is kept; the start does not count."""


@dataclass(frozen=True)
class Standing:
    """What the LLM may do next, and why."""

    slots: int
    share: float
    reason: str


@dataclass(frozen=True)
class Record:
    """What the trials of one source came to."""

    good: int = 0
    other: int = 0

    @property
    def rate(self) -> float:
        """Expected share of good trials."""
        good, other = self.good + PRIOR[0], self.other + PRIOR[1]
        return good / (good + other)


def standing(view: StudyView, count: int, planned: int, dimensions: int) -> Standing:
    """How many of the next `count` trials are the LLM's.

    `planned`: trials of the whole search. `dimensions`: parameters that are searched.
    """
    start = start_trials(dimensions)
    seeds = min(count, SEEDS - sum(was_llms(trial) for trial in view.trials))
    if len(view.trials) < start and seeds > 0 and not _misled(view):
        return Standing(seeds, 1.0, f"the LLM begins with {SEEDS} seeds")
    if len(view.trials) < start:
        return Standing(0, 0.0, f"the first {start} trials fill the space")
    if _shut_out(view):
        text = f"{FAILURES} trials of the LLM failed one after the other"
        return Standing(0, 0.0, f"{text}: it is left out for {SHUT_OUT} trials")
    records = track(view)
    trust = min(MOST_TRUST, max(LEAST_TRUST, records["llm"].rate / records["sampler"].rate))
    base, why = _base(view, planned, dimensions)
    share = min(MOST, base * trust)
    earned = ", ".join(
        f"{name} {record.good} of {record.good + record.other} good"
        for name, record in records.items()
    )
    later = [t for t in view.trials[start:] if t.origin in ("llm", "sampler")]
    return Standing(_slots(later, count, share), share, f"{why}; {earned}")


def was_llms(trial: Trial) -> bool:
    """Whether the slot was the LLM's, also where the sampler had to fill it."""
    return trial.origin == "llm" or trial.fallback_reason is not None


def start_trials(dimensions: int) -> int:
    """Trials before the models are trusted at all."""
    return max(8, dimensions + 2)


def track(view: StudyView) -> dict[Origin, Record]:
    """Good and other trials of the LLM and of the sampler, the latest `MEMORY` of each."""
    sign = 1.0 if view.direction == "maximize" else -1.0
    judged = {number for origin in SOURCES for number in _latest(view, origin)}
    first = min(judged, default=len(view.trials))
    before = sorted(sign * t.value for t in view.trials[:first] if t.value is not None)
    good: Counter[Origin] = Counter()
    other: Counter[Origin] = Counter()
    for trial in view.trials[first:]:
        value = trial.value if trial.state is TrialState.COMPLETED else None
        if trial.number in judged and len(before) >= FEWEST:
            bar = before[math.ceil(GOOD * len(before)) - 1]
            is_good = value is not None and sign * value > bar
            (good if is_good else other)[trial.origin] += 1
        if value is not None:
            bisect.insort(before, sign * value)
    return {origin: Record(good[origin], other[origin]) for origin in SOURCES}


def _latest(view: StudyView, origin: Origin) -> list[int]:
    ended = (t.number for t in reversed(view.trials) if t.origin == origin and t.state.is_finished)
    return list(itertools.islice(ended, MEMORY))


def _misled(view: StudyView) -> bool:
    """Whether the LLM's seeds so far were all worse than where the search began."""
    ended = [t for t in view.trials if t.origin == "llm" and t.state.is_finished]
    first = next((t.value for t in view.trials if t.origin in ("user", "default")), None)
    if not ended or first is None:
        return False
    sign = 1.0 if view.direction == "maximize" else -1.0
    return all(t.value is None or sign * t.value < sign * first for t in ended)


def _shut_out(view: StudyView) -> bool:
    llm = [t for t in view.trials if t.origin == "llm" and t.state.is_finished][-FAILURES:]
    if len(llm) < FAILURES or any(trial.state is not TrialState.FAILED for trial in llm):
        return False
    return len(view.trials) - 1 - llm[-1].number < SHUT_OUT


def _base(view: StudyView, planned: int, dimensions: int) -> tuple[float, str]:
    best = view.best
    since = sum(t.number > best.number for t in view.completed) if best else 0
    if since >= 4 * math.ceil(math.sqrt(dimensions)) + 2:
        return SHARE_AT_FIRST, f"a plateau: nothing better in {since} trials"
    progress = min(1.0, len(view.trials) / max(1, planned))
    share = SHARE_AT_FIRST + progress * (SHARE_AT_LAST - SHARE_AT_FIRST)
    return share, f"{progress:.0%} of the search is done"


def _slots(later: list[Trial], count: int, share: float) -> int:
    recent = [was_llms(trial) for trial in later[-(WINDOW - 1) :]]
    slots = 0
    for _ in range(count):
        due = sum(recent) + 1 <= share * (len(recent) + 1)
        slots += due
        recent = [*recent, due][-(WINDOW - 1) :]
    return slots
