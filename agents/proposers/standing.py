"""How many of the next trials an LLM may choose: what its proposals have earned. Pure.

The optimizer always runs and keeps at least a quarter of the trials. An LLM begins with one seed,
and with two more once it is seen that the first is no worse than the default; it leaves the rest of
the start to space-filling, unless the best run is its own. Then it
gets a share, as odds against the sampler: they fall as the search ripens, open again on a plateau,
and are multiplied by how often its trials were good against the sampler's, squared.
It is computed from the history alone, so a resumed run comes to the same shares.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace

from agents.tradeoff import Point, advances, beats, on_the_front, point_of
from agents.trial import Origin, Second, StudyView, Trial, TrialState, sign

SOURCES: tuple[Origin, ...] = ("llm", "sampler")

SEEDS = 3
"""Trials that the LLM chooses at the start, from the task card. The first runs alone among the
sampler's, and the others are due only if it is no worse than the default: in a batch, three seeds of
an LLM that is wrong would be most of the start."""
SHARE_AT_FIRST = 0.4
SHARE_AT_LAST = 0.15
MOST = 0.75
LEAST = 0.06
"""What keeps an LLM in the game that has had bad luck."""
TRUST = 2
"""Power of the ratio of good trials: who is twice as often good has four times the odds."""
GOOD = 0.75
"""A trial is good when it reaches this quantile of all that were completed before it."""
PRIOR = (1.0, 3.0)
"""Good and other trials that the sampler is credited with beforehand. The LLM is credited with as
many trials, and the sampler's rate."""
MEMORY = 15
"""Trials of each source that count."""
FAILURES = 3
"""Trials of the LLM that fail one after the other shut it out …"""
SHUT_OUT = 10
"""… for so many trials."""
WINDOW = 20
"""Trials over which the share is kept."""


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

    def rate(self, usual: float = PRIOR[0] / sum(PRIOR)) -> float:
        """Expected share of good trials; `usual`: where nothing is known."""
        return (self.good + usual * sum(PRIOR)) / (self.good + self.other + sum(PRIOR))


def standing(view: StudyView, count: int, planned: int, dimensions: int) -> Standing:
    """How many of the next `count` trials are the LLM's.

    `planned`: trials of the whole search. `dimensions`: parameters that are searched.
    """
    view = _searched(view)
    start = start_trials(dimensions)
    seeds = min(count, _seeds_due(view) - sum(was_llms(trial) for trial in view.trials))
    if len(view.trials) < start and seeds > 0 and not _misled(view):
        return Standing(seeds, 1.0, f"the LLM begins with up to {SEEDS} seeds")
    if len(view.trials) < start and not leads(view):
        return Standing(0, 0.0, f"the first {start} trials fill the space")
    if _shut_out(view):
        text = f"{FAILURES} trials of the LLM failed one after the other"
        return Standing(0, 0.0, f"{text}: it is left out for {SHUT_OUT} trials")
    records = track(view)
    base, why = _base(view, planned, dimensions)
    usual = records["sampler"].rate()
    ratio = records["llm"].rate(usual) / usual
    odds = base / (1 - base) * ratio**TRUST
    share = min(MOST, max(LEAST, odds / (1 + odds)))
    earned = ", ".join(
        f"{name} {record.good} of {record.good + record.other} good"
        for name, record in records.items()
    )
    theirs = [trial for trial in view.trials if trial.origin in SOURCES]
    return Standing(_slots(theirs, count, share), share, f"{why}; {earned}")


def _searched(view: StudyView) -> StudyView:
    """The history without runs that only confirm another one."""
    return replace(view, trials=[trial for trial in view.trials if trial.confirms is None])


def _seeds_due(view: StudyView) -> int:
    """How many trials the LLM may have chosen by now, at the start."""
    return SEEDS if any(was_llms(t) and t.state.is_finished for t in view.trials) else 1


def was_llms(trial: Trial) -> bool:
    """Whether the slot was the LLM's, also where the sampler had to fill it."""
    return trial.origin == "llm" or trial.fallback_reason is not None


def start_trials(dimensions: int) -> int:
    """Trials before the models are trusted at all."""
    return max(8, dimensions + 2)


def track(view: StudyView) -> dict[Origin, Record]:
    """Good and other trials of the LLM and of the sampler, the latest `MEMORY` of each.

    A candidate of the sampler's that the LLM took over is the merit of neither.
    """
    view = _searched(view)
    if view.second is not None:
        return _track_of_two(view, view.second)
    up = sign(view.direction)
    judged = {number for origin in SOURCES for number in _latest(view, origin)}
    first = next((n for n, t in enumerate(view.trials) if t.number in judged), len(view.trials))
    before = sorted(up * t.value for t in view.trials[:first] if t.value is not None)
    good: Counter[Origin] = Counter()
    other: Counter[Origin] = Counter()
    for trial in view.trials[first:]:
        value = trial.value if trial.state is TrialState.COMPLETED else None
        if trial.number in judged and before:
            bar = before[math.ceil(GOOD * len(before)) - 1]
            is_good = value is not None and up * value >= bar
            (good if is_good else other)[trial.origin] += 1
        if value is not None:
            bisect.insort(before, up * value)
    return {origin: Record(good[origin], other[origin]) for origin in SOURCES}


def _track_of_two(view: StudyView, second: Second) -> dict[Origin, Record]:
    """With two objectives a trial is good that moves the front of those before it."""
    judged = {number for origin in SOURCES for number in _latest(view, origin)}
    good: Counter[Origin] = Counter()
    other: Counter[Origin] = Counter()
    before: list[Point] = []
    for trial in view.trials:
        point = point_of(trial, second)
        if trial.number in judged and before:
            moves = point is not None and advances(point, before, view, 0.0)
            (good if moves else other)[trial.origin] += 1
        if point is not None:
            before.append(point)
    return {origin: Record(good[origin], other[origin]) for origin in SOURCES}


def _latest(view: StudyView, origin: Origin) -> list[int]:
    own = (t for t in reversed(view.trials) if t.origin == origin and not t.adopted)
    ended = (trial.number for trial in own if trial.state.is_finished)
    return list(itertools.islice(ended, MEMORY))


def _misled(view: StudyView) -> bool:
    """Whether the LLM's seeds so far were all worse than where the search began."""
    ended = [t for t in view.trials if t.origin == "llm" and t.state.is_finished]
    first = next((t for t in view.trials if t.origin in ("user", "default")), None)
    if not ended or first is None or first.value is None:
        return False
    return all(t.value is None or beats(first, t, view) for t in ended)


def leads(view: StudyView) -> bool:
    """Whether the best run is the LLM's."""
    return view.best is not None and view.best.origin == "llm"


def _shut_out(view: StudyView) -> bool:
    llm = [t for t in view.trials if t.origin == "llm" and t.state.is_finished][-FAILURES:]
    if len(llm) < FAILURES or any(trial.state is not TrialState.FAILED for trial in llm):
        return False
    return sum(trial.number > llm[-1].number for trial in view.trials) < SHUT_OUT


def _base(view: StudyView, planned: int, dimensions: int) -> tuple[float, str]:
    newest = max((trial.number for trial in on_the_front(view)), default=None)
    since = sum(t.number > newest for t in view.completed) if newest is not None else 0
    if since >= 4 * math.ceil(math.sqrt(dimensions)) + 2:
        return SHARE_AT_FIRST, f"a plateau: nothing better in {since} trials"
    progress = min(1.0, len(view.trials) / max(1, planned))
    share = SHARE_AT_FIRST + progress * (SHARE_AT_LAST - SHARE_AT_FIRST)
    return share, f"{progress:.0%} of the search is done"


def _slots(theirs: list[Trial], count: int, share: float) -> int:
    recent = [was_llms(trial) for trial in theirs[-(WINDOW - 1) :]]
    slots = 0
    for _ in range(count):
        due = sum(recent) + 1 <= share * (len(recent) + 1)
        slots += due
        recent = [*recent, due][-(WINDOW - 1) :]
    return slots
