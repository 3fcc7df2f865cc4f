"""From the ledger's snapshot and the watch to what a person is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agents.progress import JobLine, Progress, Waiting, trials_by_state
from agents.trial import StudyView, Trial
from agents.watch import Watch


def standing(
    view: StudyView,
    watch: Watch,
    *,
    iteration: int,
    max_iterations: int,
    elapsed: float,
    doing: str,
    waiting: Waiting | None,
) -> Progress:
    """Where the run stands."""
    best = view.best
    return Progress(
        experiment=view.experiment,
        iteration=min(iteration, max_iterations),
        max_iterations=max_iterations,
        metric=view.metric,
        elapsed=elapsed,
        trials=trials_by_state(view),
        jobs=_jobs(view.trials, watch),
        best_value=best.value if best else None,
        best_trial=best.number if best else None,
        best_parameters=best.parameters if best else {},
        doing=doing,
        waiting=waiting,
    )


def _jobs(trials: Sequence[Trial], watch: Watch) -> list[JobLine]:
    flying = [trial for trial in trials if not trial.state.is_finished and trial.job is not None]
    return [_job(trial, watch) for trial in flying]


def _job(trial: Trial, watch: Watch) -> JobLine:
    assert trial.job is not None
    lines = watch.lines(trial)
    last = lines[-1] if lines else None
    state = watch.state(trial).value if trial.job.job_id else "to be submitted"
    return JobLine(
        trial=trial.number,
        state=state,
        job_id=trial.job.job_id,
        step=last.step if last else None,
        accuracy=last.values.get("accuracy") if last else None,
        reason=watch.reason(trial),
    )
