"""Trials for tests, by their few facts that matter."""

from datetime import UTC, datetime, timedelta

from agents.convergence import stop_reasons
from agents.trial import Job, StudyView, Trial, TrialState
from scheduler.job import Resources

START = datetime(2026, 11, 23, tzinfo=UTC)


def trial(number, value=None, *, iteration=None, state=None, parameters=None, **fields):
    if state is None:
        state = TrialState.COMPLETED if value is not None else TrialState.RUNNING
    return Trial(
        number=number,
        iteration=number + 1 if iteration is None else iteration,
        state=state,
        parameters=parameters or {"x": number},
        origin="sampler",
        seed=0,
        value=value,
        **fields,
    )


def failed(number, **fields):
    return trial(number, state=TrialState.FAILED, **fields)


def job(hours=None, *, nodes=1, walltime=None, **fields):
    """One that began at `START`, and ran so many hours if it has ended."""
    ended = START + timedelta(hours=hours) if hours is not None else None
    resources = Resources(nodes=nodes, walltime_seconds=walltime)
    times = {"submitted_at": START, "started_at": START, "ended_at": ended}
    return Job("name", "directory", **{**times, "resources": resources, **fields})


def view(*trials, direction="maximize"):
    return StudyView("experiment", "accuracy_auc", direction, trials)


def stop_reason(*arguments, **options):
    """The rule that stops a search, or None."""
    return next(iter(stop_reasons(*arguments, **options)), None)
