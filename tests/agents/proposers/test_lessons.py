"""What a history teaches about its points, and what it does not."""

import math
import random
from dataclasses import replace

import pytest
from trials import failed, trial, view

from agents.config.model import FloatParameter
from agents.proposers.mirror import Mirror
from agents.proposers.standing import standing
from agents.proposers.surrogate import MAX_TRIALS, Surrogate
from agents.proposers.tools import RunTools
from agents.space import SearchSpace
from agents.steering import Steered, lessons
from agents.trial import NOT_OF_THE_POINT, TrialState
from scheduler.job import Cause, Failure
from training.contract import Curve

REAL = FloatParameter(type="float", low=0, high=1)
SPACE = SearchSpace.build({"x": REAL, "y": REAL}, [])
TRIALS = [
    trial(n, math.exp(-20 * ((x - 0.7) ** 2 + (y - 0.3) ** 2)), parameters={"x": x, "y": y})
    for n, (x, y) in enumerate(
        [(0.1, 0.1), (0.5, 0.5), (0.9, 0.2), (0.7, 0.3), (0.3, 0.8), (0.6, 0.2), (0.8, 0.9)]
    )
]
BEST = TRIALS[3]
NEAR = {"x": 0.72, "y": 0.3}


def expected(*more):
    """Of the best point and one beside it."""
    model = Surrogate.of(SPACE, lessons(view(*TRIALS, *more), Steered()))
    return [model.predict(point).mean for point in (BEST.parameters, NEAR)]


def again(number, value=None, **fields):
    return trial(number, value, parameters=BEST.parameters, confirms=BEST.number, **fields)


def dead(number, cause, **fields):
    return failed(number, parameters=NEAR, failure=Failure(cause, "gone"), **fields)


@pytest.mark.parametrize(
    "more",
    [
        again(7),
        again(7, 0.2),
        again(7, state=failed(0).state, failure=Failure(Cause.DIVERGED, "nan")),
        *(dead(7, cause) for cause in sorted(NOT_OF_THE_POINT, key=str)),
    ],
)
def test_what_says_nothing_of_its_point_changes_no_expectation(more):
    assert expected(more) == expected()
    mirror = Mirror(SPACE, "maximize")
    mirror.sync(lessons(view(*TRIALS, more), Steered()))
    assert mirror.study.trials[7].state.name == "FAIL" and mirror.seen(more.parameters)


@pytest.mark.parametrize("cause", sorted(set(Cause) - NOT_OF_THE_POINT, key=str))
def test_what_fails_by_its_point_teaches(cause):
    assert expected(dead(7, cause))[1] < expected()[1] - 0.1


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_two_pruned_trials_the_more_accurate_is_the_better_one_also_where_a_loss_counts(
    direction,
):
    ends = {0: 0.2, 1: 0.8}
    pruned = [
        trial(n, state=TrialState.PRUNED, parameters=NEAR, curve=Curve((1, 2), (0.1, end)))
        for n, end in ends.items()
    ]
    mirror = Mirror(SPACE, direction)
    mirror.sync(view(*pruned))
    weak, strong = (one.intermediate_values[2] for one in mirror.study.trials)
    assert strong > weak if direction == "maximize" else strong < weak


def test_an_llm_is_not_shut_out_by_nodes_that_fail():
    start = [replace(one, origin="sampler") for one in [*TRIALS, trial(7, 0.1, parameters=NEAR)]]

    def earned(cause):
        lost = [replace(dead(8 + n, cause), origin="llm") for n in range(3)]
        return standing(lessons(view(*start, *lost), Steered()), 4, 100, 2)

    assert "left out" in earned(Cause.DIVERGED).reason
    assert "left out" not in earned(Cause.NODE_FAILURE).reason


def test_an_llm_that_looks_a_confirming_run_up_is_told_what_came_of_it():
    known = lessons(view(*TRIALS, again(7, 0.987), dead(8, Cause.LOST)), Steered())
    told = RunTools(SPACE, known).look_up(7)
    assert "run 7: 0.987" in told and "runs run 3 again with another seed" in told
    assert "proposed by" not in told
    assert "proposed by" not in RunTools(SPACE, known).look_up(8)


def long(completed, pruned, running=0):
    """A history of three sorts, mixed."""
    chance = random.Random(1)
    states = [TrialState.COMPLETED] * completed + [TrialState.PRUNED] * pruned
    chance.shuffle(states)
    found = []
    for n, state in enumerate([*states, *[TrialState.RUNNING] * running]):
        x, y = chance.random(), chance.random()
        value = 1 - (x - 0.5) ** 2 - (y - 0.5) ** 2 if state is TrialState.COMPLETED else None
        found.append(trial(n, value, state=state, parameters={"x": x, "y": y}))
    return view(*found)


@pytest.mark.parametrize(
    ("history", "without_value"),
    [
        (long(90, 100, 10), 110),
        (long(400, 100), 50),
        (long(50, 700), MAX_TRIALS),
        (long(700, 1400, 300), 2 * MAX_TRIALS),
    ],
)
def test_the_model_of_a_long_history_is_bounded_in_fair_proportion(history, without_value):
    with_value = len(Surrogate.fit(SPACE, history)._y)
    assert with_value <= MAX_TRIALS
    added = len(Surrogate.of(SPACE, history)._y) - with_value
    assert 0.8 * without_value <= added <= without_value  # less where the best are latest, too
