"""Points in the corners of the space, where nothing speaks for a corner."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import EMPTY, spaces

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter
from agents.proposers.edges import hugging, sides
from agents.space import SearchSpace
from agents.space.values import drawn
from agents.trial import Trial, TrialState

SPACE = SearchSpace.build(
    {
        "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
        "decay": FloatParameter(type="float", low=0, high=1),
        "width": IntParameter(type="int", low=8, high=512, scale="log"),
        "depth": IntParameter(type="int", low=1, high=3),
        "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
        "momentum": FloatParameter(type="float", low=0, high=0.9, when={"opt": "sgd"}),
    },
    [],
)
CORNER = {"lr": 1e-1, "decay": 0.0, "width": 512, "depth": 3, "opt": "adam"}


def best_at(**changes):
    point = {**SPACE.default(), **changes}
    return replace(EMPTY, trials=[Trial(0, 1, TrialState.COMPLETED, point, "llm", 0, value=1.0)])


def test_a_corner_is_refused_with_the_names():
    reason = hugging(SPACE, EMPTY, CORNER)
    assert reason.startswith("lr, decay, width lie at the edges of their ranges")


@pytest.mark.parametrize("inside", [{"lr": 0.05}, {"decay": 0.01}, {"width": 500}])
def test_two_edges_of_three_are_no_corner(inside):
    assert hugging(SPACE, EMPTY, {**CORNER, **inside}) is None


def test_an_edge_at_which_the_best_run_lies_does_not_count():
    assert hugging(SPACE, best_at(lr=1e-1), CORNER) is None
    assert hugging(SPACE, best_at(lr=1e-5), CORNER) is not None
    failed = replace(best_at(lr=1e-1).trials[0], state=TrialState.FAILED, value=None)
    assert hugging(SPACE, replace(EMPTY, trials=[failed]), CORNER) is not None


def test_sides_are_of_numbers_with_room():
    assert sides(SPACE, {**CORNER, "opt": "sgd", "momentum": 0.45}) == {
        "lr": "high", "decay": "low", "width": "high", "momentum": "",
    }  # fmt: skip


@given(space=spaces(), seed=st.integers(0, 99))
def test_the_default_is_never_refused_and_a_point_away_from_all_edges_neither(space, seed):
    assert hugging(space, EMPTY, space.default()) is None
    chance = random.Random(seed)
    point = space.active_part({name: drawn(p, chance) for name, p in space.parameters.items()})
    reason = hugging(space, EMPTY, point)
    assert reason is None or sum(map(bool, sides(space, point).values())) >= 3
