"""When a search has gone on long enough: pure rules, the first that holds stops it.

Only completed trials count as results: a failed trial has no value, and failures alone never look
like convergence.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from agents.config.model import ConfirmSettings, LoopSettings, StopSettings
from agents.cost import cost_of, node_hours
from agents.schedule import complete_iterations
from agents.spans import spans
from agents.tradeoff import Point, advances, points
from agents.trial import Direction, Second, StudyView, Trial, TrialState, sign
from agents.words import count


@dataclass(frozen=True)
class StopReason:
    """Why the search stopped: the rule's name, a sentence, and the numbers behind it."""

    rule: str
    sentence: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Reserve:
    """What is kept back of the budgets to confirm the best trials at the end."""

    seconds: float = 0.0
    node_hours: float = 0.0


def stop_reasons(
    view: StudyView,
    iteration: int,
    elapsed: float,
    loop: LoopSettings,
    stop: StopSettings,
    *,
    reserve: Reserve | None = None,
    cancelled: Collection[int] = (),
) -> list[StopReason]:
    """All rules that hold after `iteration` iterations and `elapsed` seconds; the first stops the search.

    `cancelled`: trials that a person ended, which are no failures.
    """
    kept = reserve or Reserve()
    rules = (
        _target(view, stop),
        _failures(view, stop, cancelled),
        _iterations(iteration, loop),
        _trials(view, loop),
        _patience(view, loop, stop),
        _wall_clock(elapsed, stop, kept.seconds),
        _node_hours(view, stop, kept.node_hours),
    )
    return [reason for reason in rules if reason is not None]


def _target(view: StudyView, stop: StopSettings) -> StopReason | None:
    best = view.best
    if stop.target is None or best is None or best.value is None:
        return None
    if not is_at_least(best.value, stop.target, view.direction):
        return None
    return StopReason(
        "target",
        f"trial {best.number} reached {view.metric} = {best.value:.6g}; the target is {stop.target:.6g}",
        {"value": best.value, "target": stop.target},
    )


def reserve_for(view: StudyView, confirm: ConfirmSettings, loop: LoopSettings) -> Reserve:
    """What confirming will take, by what the completed trials took, attempts that failed included."""
    found = spans(replace(view, trials=view.completed), datetime.now(UTC))
    took = [span.ran for span in found if not span.cause]
    runs = confirm.trials * confirm.seeds
    if not took or not runs:
        return Reserve()
    rounds = -(-runs // loop.jobs_per_iteration)
    each = cost_of(found).node_hours / len(took)
    return Reserve(rounds * statistics.fmean(took), runs * each)


def _failures(view: StudyView, stop: StopSettings, cancelled: Collection[int]) -> StopReason | None:
    if stop.failures_in_a_row is None:
        return None
    trials = [t for t in view.trials if t.number not in cancelled and t.confirms is None]
    failed = failures_in_a_row(trials)
    if failed < stop.failures_in_a_row:
        return None
    last = [trial for trial in trials if trial.state is TrialState.FAILED][-1]
    cause = f"; the last one: {last.failure.message}" if last.failure else ""
    return StopReason(
        "failures_in_a_row",
        f"{count(failed, 'trial')} failed in a row; the limit is {stop.failures_in_a_row}{cause}",
        {"failed": failed, "limit": stop.failures_in_a_row},
    )


def _iterations(iteration: int, loop: LoopSettings) -> StopReason | None:
    if iteration < loop.max_iterations:
        return None
    return StopReason(
        "max_iterations",
        f"{iteration} of {loop.max_iterations} iterations are done",
        {"iterations": iteration, "limit": loop.max_iterations},
    )


def _trials(view: StudyView, loop: LoopSettings) -> StopReason | None:
    count = sum(trial.confirms is None for trial in view.trials)
    if loop.max_trials is None or count < loop.max_trials:
        return None
    return StopReason(
        "max_trials",
        f"{count} of {loop.max_trials} trials are done",
        {"trials": count, "limit": loop.max_trials},
    )


def _patience(view: StudyView, loop: LoopSettings, stop: StopSettings) -> StopReason | None:
    if stop.patience is None:
        return None
    # In schedule steady, iterations begin long before those before them have ended.
    complete = set(complete_iterations(view.trials, loop))
    idle = [one for one in idle_iterations(view, stop.minimum_improvement) if one in complete]
    advised = len(stop_advised(view).intersection(idle))
    if len(idle) + advised < stop.patience:
        return None
    best = view.best
    value = best.value if best is not None and best.value is not None else 0.0
    twice = f", of which {advised} count twice: the LLM recommended to stop" if advised else ""
    without = (
        f"without an improvement of {stop.minimum_improvement:g} on {view.metric} = {value:.6g}"
    )
    if view.second is not None:
        without = f"left the Pareto front of {view.metric} and {view.second.metric} where it was"
    numbers: dict[str, float] = {"iterations": len(idle), "limit": stop.patience, "value": value}
    return StopReason(
        "patience",
        f"{count(len(idle), 'iteration')} {without}{twice}; the limit is {stop.patience}",
        numbers | ({"advised": advised} if advised else {}),
    )


def _wall_clock(elapsed: float, stop: StopSettings, reserve: float) -> StopReason | None:
    if stop.wall_clock is None or elapsed + reserve < stop.wall_clock:
        return None
    kept = f", and {reserve:.0f} s are kept back to confirm the best" if reserve else ""
    return StopReason(
        "wall_clock",
        f"{elapsed:.0f} s have gone by; the limit is {stop.wall_clock:.0f} s{kept}",
        {"wall_clock": elapsed, "limit": stop.wall_clock},
    )


def is_at_least(value: float, other: float, direction: Direction) -> bool:
    """Whether `value` is as good as `other` or better."""
    return value >= other if direction == "maximize" else value <= other


def _node_hours(view: StudyView, stop: StopSettings, reserve: float) -> StopReason | None:
    if stop.node_hours is None:
        return None
    spent = node_hours(view)
    if spent + reserve < stop.node_hours:
        return None
    kept = f", and {reserve:.3g} are kept back to confirm the best" if reserve else ""
    return StopReason(
        "node_hours",
        f"{spent:.3g} node-hours are spent; the budget is {stop.node_hours:g}{kept}",
        {"node_hours": spent, "limit": stop.node_hours},
    )


def failures_in_a_row(trials: Sequence[Trial]) -> int:
    """How many of the finished trials, from the latest back, failed without one that did not."""
    count = 0
    for trial in reversed(trials):
        if trial.state is TrialState.RUNNING:
            continue
        if trial.state is not TrialState.FAILED:
            break
        count += 1
    return count


def stop_advised(view: StudyView) -> set[int]:
    """Iterations in which the LLM recommended to end the search."""
    return {trial.iteration for trial in view.trials if trial.stop_advice is not None}


def iterations_without_improvement(view: StudyView, minimum: float) -> int:
    """Iterations with a completed trial since the best value last improved by `minimum`."""
    return len(idle_iterations(view, minimum))


def idle_iterations(view: StudyView, minimum: float) -> list[int]:
    """The iterations with a completed trial since the best value last improved by `minimum`."""
    if view.second is not None:
        return _idle_of_two(view, view.second, minimum)
    best_of: dict[int, float] = {}
    for trial in view.completed:
        if trial.value is None:
            continue
        known = best_of.get(trial.iteration)
        if known is None or is_at_least(trial.value, known, view.direction):
            best_of[trial.iteration] = trial.value
    up = sign(view.direction)
    reference: float | None = None
    idle: list[int] = []
    for iteration in sorted(best_of):
        gain = None if reference is None else up * (best_of[iteration] - reference)
        if gain is None or (gain >= minimum and gain > 0):
            reference, idle = best_of[iteration], []
        else:
            idle.append(iteration)
    return idle


def _idle_of_two(view: StudyView, second: Second, minimum: float) -> list[int]:
    """Those since an iteration last moved the Pareto front."""
    by_iteration: dict[int, list[Point]] = {}
    for point in points(view, second):
        by_iteration.setdefault(point.trial.iteration, []).append(point)
    before: list[Point] = []
    idle: list[int] = []
    for iteration in sorted(by_iteration):
        own = by_iteration[iteration]
        moved = any(advances(point, before, view, minimum) for point in own)
        idle = [] if moved else [*idle, iteration]
        before += own
    return idle
