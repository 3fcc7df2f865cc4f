"""Trials for tests, by their few facts that matter."""

from agents.convergence import stop_reasons
from agents.trial import StudyView, Trial, TrialState


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


def view(*trials, direction="maximize"):
    return StudyView("experiment", "accuracy_auc", direction, trials)


def stop_reason(*arguments, **options):
    """The rule that stops a search, or None."""
    return next(iter(stop_reasons(*arguments, **options)), None)
