"""Search spaces and histories for tests of proposers, drawn by hypothesis."""

from dataclasses import replace

from hypothesis import strategies as st

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter
from agents.proposers.pending import with_pending
from agents.space import SearchSpace
from agents.space.values import default
from agents.trial import StudyView, TrialState


@st.composite
def floats(draw):
    low = draw(st.floats(1e-4, 10))
    high = low * draw(st.floats(1.5, 1e3))
    kind = draw(st.sampled_from(["linear", "log", "step"]))
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 0.7]))
        steps = draw(st.integers(1, 6))
        return FloatParameter(type="float", low=0, high=round(steps * step, 9), step=step)
    return FloatParameter(type="float", low=low, high=high, scale=kind)


@st.composite
def ints(draw):
    low = draw(st.integers(1, 8))
    step = draw(st.integers(1, 3))
    high = low + step * draw(st.integers(1, 4))
    log = step == 1 and draw(st.booleans())
    if log:
        return IntParameter(type="int", low=low, high=high, scale="log")
    return IntParameter(type="int", low=low, high=high, step=step)


def categoricals():
    choices = st.lists(st.sampled_from(["a", "b", "c", True, 0.5]), min_size=1, max_size=3)
    distinct = choices.map(lambda values: list(dict.fromkeys(values)))
    return distinct.map(lambda values: CategoricalParameter(type="categorical", choices=values))


@st.composite
def spaces(draw, parameter=None):
    """One to three parameters, at times a conditional one and a constraint."""
    if parameter is None:
        parameter = st.one_of(floats(), ints(), categoricals())
    chosen = draw(st.lists(parameter, min_size=1, max_size=3))
    parameters = {f"p{n}": one for n, one in enumerate(chosen)}
    constraints = []
    if draw(st.booleans()):
        parameters["kind"] = CategoricalParameter(type="categorical", choices=["plain", "deep"])
        child = draw(parameter)
        parameters["child"] = child.model_copy(update={"when": {"kind": "deep"}})
        if draw(st.booleans()):
            constraints = [f"kind == 'deep' or p0 == {default(parameters['p0'])!r}"]
    return SearchSpace.build(parameters, constraints)


def finite_spaces():
    return spaces(parameter=st.one_of(ints(), categoricals()))


EMPTY = StudyView("experiment", "accuracy_auc", "maximize", [])


def enter(view, proposed):
    """The view once the proposals run."""
    view = with_pending(view, proposed.proposals)
    return replace(view, sampler_state=proposed.sampler_state)


def finish(view, value, leave_running=()):
    """The view once its running trials have ended: every seventh failed."""
    trials = [
        trial
        if trial.state is not TrialState.RUNNING or trial.number in leave_running
        else replace(trial, state=TrialState.FAILED)
        if trial.number % 7 == 3
        else replace(trial, state=TrialState.COMPLETED, value=value(trial.parameters))
        for trial in view.trials
    ]
    return replace(view, trials=trials)


def score(parameters):
    """Some smooth objective of any parameters."""
    return sum(hash_free(value) for value in parameters.values())


def hash_free(value):
    if isinstance(value, bool | str):
        return len(str(value)) * 0.1
    return -abs(float(value) - 1.0)
