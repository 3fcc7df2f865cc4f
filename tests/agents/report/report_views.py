"""Random studies, as hostile as the ledger's types allow."""

from __future__ import annotations

from datetime import UTC

from hypothesis import strategies as st

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
)
from agents.trial import Job, PastAttempt, StudyView, Trial, TrialState
from scheduler.job import Cause, Failure, Resources
from training.contract import Curve

texts = st.text(max_size=40)
numbers = st.floats() | st.floats(0, 1)
values = st.floats() | st.integers(-(10**400), 10**400) | texts | st.booleans() | st.none()

ends = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-307, allow_infinity=False)


moments = st.datetimes(timezones=st.just(UTC))
KEYS = ("host", "device_name", "torch", "git_commit", "threads")


@st.composite
def jobs(draw):
    """A job whose times may be missing, out of order, and ages apart."""
    times = {name: draw(st.none() | moments) for name in ("submitted_at", "started_at", "ended_at")}
    resources = Resources(nodes=draw(st.integers(0, 99)), gpus=draw(st.none() | st.integers(0, 8)))
    pack = draw(st.none() | st.sampled_from(["pack_1", "pack_2"]))
    return Job(draw(texts), draw(texts), resources=resources, pack=pack, **times)


@st.composite
def parameters(draw):
    kind = draw(st.sampled_from(["float", "log", "int", "categorical", "fixed"]))
    text = draw(texts)
    if kind == "fixed":
        return FixedParameter(type="fixed", value=draw(values), description=text)
    if kind == "categorical":
        choices = draw(st.lists(values, min_size=1, max_size=5))
        return CategoricalParameter(type="categorical", choices=choices)
    if kind == "int":
        low, high = sorted([draw(st.integers(-(2**60), 2**60)), draw(st.integers(-(2**60), 2**60))])
        return IntParameter(type="int", low=low, high=high)
    number = positive if kind == "log" else ends
    low, high = sorted([draw(number), draw(number)])
    scale = "log" if kind == "log" else "linear"
    return FloatParameter(type="float", low=low, high=high, scale=scale)


@st.composite
def value_of(draw, parameter):
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    if isinstance(parameter, FixedParameter):
        return parameter.value
    if isinstance(parameter, CategoricalParameter):
        return draw(st.sampled_from(parameter.choices))
    kind = st.integers if isinstance(parameter, IntParameter) else st.floats
    return draw(kind(parameter.low, parameter.high))


@st.composite
def trials(draw, number, space):
    state = draw(st.sampled_from(list(TrialState)))
    chosen = [name for name in space if draw(st.integers(0, 4)) > 0]
    points = draw(st.lists(st.tuples(numbers, st.none() | numbers), max_size=4))
    failure = Failure(draw(st.sampled_from(Cause)), draw(texts), 1, draw(texts), draw(texts))
    return Trial(
        number=number,
        iteration=number // 2 + 1,
        state=state,
        parameters={name: draw(value_of(space[name])) for name in chosen},
        origin=draw(st.sampled_from(["llm", "sampler", "user", "default"])),
        seed=0,
        rationale=draw(texts),
        predicted=draw(st.none() | numbers),
        fallback_reason=draw(st.none() | texts),
        job=draw(jobs()) if draw(st.integers(0, 5)) else None,
        attempts=draw(st.lists(st.builds(PastAttempt, jobs(), st.just(failure)), max_size=2)),
        value=draw(st.none() | numbers) if state is TrialState.COMPLETED else None,
        metrics={draw(texts): draw(numbers), "final_accuracy": draw(st.none() | numbers)},
        curve=Curve([step for step, _ in points], [value for _, value in points]),
        seconds=draw(st.none() | numbers),
        failure=failure if state is TrialState.FAILED else None,
        warnings=draw(st.lists(texts, max_size=2)),
        confirms=draw(st.none() | st.integers(0, number - 1)) if number else None,
        adopted=draw(st.booleans()),
        stop_advice=draw(st.none() | texts),
        environment=draw(st.dictionaries(texts | st.sampled_from(KEYS), values, max_size=3)),
        finished_at=draw(st.none() | moments),
    )


@st.composite
def studies(draw, most=30):
    """A study and the search space that it was made in."""
    space = draw(st.dictionaries(texts.filter(bool), parameters(), min_size=1, max_size=5))
    count = draw(st.integers(0, most))
    made = [draw(trials(number, space)) for number in range(count)]
    direction = draw(st.sampled_from(["maximize", "minimize"]))
    return StudyView(draw(texts), draw(texts), direction, made), space
