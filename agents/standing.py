"""From the ledger's snapshot and the watch to what a person is shown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from agents.config.model import Settings
from agents.confirm import confirmed
from agents.convergence import is_at_least
from agents.cost import node_hours
from agents.outcome import intermediate_values
from agents.progress import (
    Again,
    Budget,
    Compromise,
    JobLine,
    Progress,
    Source,
    Waiting,
    trials_by_state,
)
from agents.schedule import complete_iterations, confirming
from agents.steering import Taken, steered
from agents.tradeoff import on_the_front, second_value
from agents.trial import StudyView, Trial
from agents.watch import Watch

POINTS = 60
"""Of a curve, at most."""
LONGEST_REASON = 300
"""Characters of why a trial failed."""
OLDEST = datetime.min.replace(tzinfo=UTC)
LAST = 20
"""Requests that are shown, the newest."""


def standing(
    view: StudyView,
    watch: Watch,
    *,
    iteration: int,
    max_iterations: int,
    elapsed: float,
    doing: str,
    waiting: Waiting | None,
    doing_since: datetime | None = None,
    budgets: Sequence[Budget] = (),
    history: Sequence[Taken] = (),
    held_back: Mapping[int, str] | None = None,
) -> Progress:
    """Where the run stands. `history`: what people asked for; `held_back`: why trials could not be
    submitted so far."""
    best, paused = view.best, steered(history).paused
    return Progress(
        experiment=view.experiment,
        iteration=min(iteration, max_iterations),
        max_iterations=max_iterations,
        metric=view.metric,
        direction=view.direction,
        elapsed=elapsed,
        trials=trials_by_state(view),
        jobs=_jobs(view.trials, watch, view.metric, held_back or {}),
        best_value=best.value if best else None,
        best_trial=best.number if best else None,
        best_parameters=best.parameters if best else {},
        best_so_far=thinned(best_so_far(view), POINTS),
        second_metric=view.second.metric if view.second else None,
        front=_front(view),
        confirmed=[
            Again(one.trial.number, one.mean, one.deviation, len(one.values))
            for one in confirmed(view)
        ],
        sources=sources(view),
        failures=failures(view),
        last_failure=_last_failure(view),
        budgets=budgets,
        doing=doing,
        doing_since=doing_since,
        waiting=waiting,
        paused=paused.to_json() if paused else None,
        steering=[
            taken.to_json()
            for place, taken in enumerate(history)
            if place >= len(history) - LAST or _forbids(taken)
        ],
    )


def failures(view: StudyView) -> dict[str, int]:
    """How many trials failed, by cause, the most frequent first."""
    causes = Counter(failure.cause.value for _, failure in view.failed)
    return dict(causes.most_common())


def _last_failure(view: StudyView) -> str:
    if not view.failed:
        return ""
    trial, failure = max(view.failed, key=lambda pair: (_ended(pair[0]), pair[0].number))
    return f"trial {trial.number}: {' '.join(failure.message.split())}"[:LONGEST_REASON]


def _ended(trial: Trial) -> datetime:
    return trial.finished_at or trial.created_at or OLDEST


def _front(view: StudyView) -> list[Compromise]:
    if view.second is None:
        return []
    pairs = ((trial, second_value(trial, view.second.metric)) for trial in on_the_front(view))
    return [
        Compromise(trial.number, trial.value, second)
        for trial, second in pairs
        if trial.value is not None and second is not None
    ]


def _forbids(taken: Taken) -> bool:
    """Whether it holds on, however long ago it was asked."""
    return taken.request.verb == "forbid" and not taken.refused


def _jobs(
    trials: Sequence[Trial], watch: Watch, metric: str, held_back: Mapping[int, str]
) -> list[JobLine]:
    running = [trial for trial in trials if not trial.state.is_finished]
    return [_job(trial, watch, metric, held_back.get(trial.number, "")) for trial in running]


def _job(trial: Trial, watch: Watch, metric: str, why: str) -> JobLine:
    if trial.job is None or trial.job.job_id is None:
        return JobLine(trial.number, "to be submitted", None, reason=why, origin=trial.origin)
    lines = watch.lines(trial)
    last = lines[-1] if lines else None
    return JobLine(
        trial=trial.number,
        state=watch.state(trial).value,
        job_id=trial.job.job_id,
        step=last.step if last else None,
        accuracy=last.values.get("accuracy") if last else None,
        reason=watch.reason(trial),
        origin=trial.origin,
        never_starts=watch.stuck_for(trial) is not None,
        curve=thinned(list(intermediate_values(lines, metric).values()), POINTS),
    )


def best_so_far(view: StudyView) -> list[float]:
    """The best objective after each completed trial."""
    found: list[float] = []
    for trial in view.completed:
        if trial.value is None:
            continue
        is_better = not found or is_at_least(trial.value, found[-1], view.direction)
        found.append(trial.value if is_better else found[-1])
    return found


def thinned(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of the values, evenly spread; the last one stays."""
    if len(values) <= most:
        return list(values)
    return [values[(place + 1) * len(values) // most - 1] for place in range(most)]


def sources(view: StudyView) -> dict[str, Source]:
    """What came of each kind of proposer; trials that only confirm others are nobody's."""
    searched = [trial for trial in view.trials if trial.confirms is None]
    found: dict[str, Source] = {}
    for origin in dict.fromkeys(trial.origin for trial in searched):
        own = [trial for trial in searched if trial.origin == origin]
        values = [t.value for t in own if t.value is not None]
        best = (max if view.direction == "maximize" else min)(values) if values else None
        found[origin] = Source(len(own), best)
    return found


def budgets_of(view: StudyView, settings: Settings, elapsed: float) -> list[Budget]:
    """What is used of what may be used, where there is a limit."""
    loop, stop = settings.loop, settings.stop
    done = set(complete_iterations(view.trials, loop)) - confirming(view.trials)
    searched = sum(trial.confirms is None for trial in view.trials)
    found = [Budget("iterations", len(done), loop.max_iterations)]
    if loop.max_trials is not None:
        found.append(Budget("trials", searched, loop.max_trials))
    if stop.wall_clock is not None:
        found.append(Budget("time", elapsed, stop.wall_clock))
    if stop.node_hours is not None:
        found.append(Budget("node-hours", node_hours(view), stop.node_hours))
    return found
