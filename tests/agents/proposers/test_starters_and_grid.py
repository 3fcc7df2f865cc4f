"""What comes before any model (starters), and what needs none (the grid)."""

from dataclasses import replace

import pytest
from hypothesis import given
from spaces import EMPTY, enter, finish, finite_spaces, score

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter, SamplerSettings
from agents.errors import ConfigurationError
from agents.proposers.grid import Grid, GridProposer
from agents.proposers.pending import point_key
from agents.proposers.sampler import SamplerProposer
from agents.proposers.starters import StarterProposer
from agents.space import SearchSpace

PARAMETERS = {
    "x": FloatParameter(type="float", low=0, high=1, default=0.5),
    "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
    "momentum": FloatParameter(type="float", low=0, high=0.9, default=0.5, when={"opt": "sgd"}),
}
SPACE = SearchSpace.build(PARAMETERS, [])
DEFAULT = {"x": 0.5, "opt": "adam"}


def starting(initial_trials, space=SPACE):
    inner = SamplerProposer(space, SamplerSettings(), 0, "maximize")
    return StarterProposer(space, initial_trials, inner)


def test_the_users_trials_come_first_then_the_default_then_the_sampler():
    proposed = starting([{"x": 0.1}, {"opt": "sgd"}]).propose(EMPTY, 4)
    assert [proposal.origin for proposal in proposed.proposals] == [
        "user",
        "user",
        "default",
        "sampler",
    ]
    assert [dict(proposal.parameters) for proposal in proposed.proposals[:3]] == [
        {"x": 0.1, "opt": "adam"},
        {"x": 0.5, "opt": "sgd", "momentum": 0.5},
        DEFAULT,
    ]


def test_starters_are_spread_over_iterations_and_never_come_twice():
    mind, view, origins = starting([{"x": 0.1}, {"x": 0.2}]), EMPTY, []
    for _ in range(3):
        proposed = mind.propose(view, 2)
        origins += [proposal.origin for proposal in proposed.proposals]
        view = finish(enter(view, proposed), score)
        mind = starting([{"x": 0.1}, {"x": 0.2}])  # as after a crash
    assert origins == ["user", "user", "default", "sampler", "sampler", "sampler"]


def test_a_starter_that_is_the_default_is_proposed_once():
    proposed = starting([{}]).propose(EMPTY, 2)
    assert [proposal.origin for proposal in proposed.proposals] == ["user", "sampler"]


def test_a_starter_outside_the_space_is_named_with_all_its_faults():
    with pytest.raises(ConfigurationError) as caught:
        starting([{"x": 3}, {"y": 1, "opt": "lion"}])
    assert len(caught.value.problems) == 3
    assert caught.value.problems[0].startswith("initial_trials[0]: x:")


@given(space=finite_spaces())
def test_the_grid_is_all_allowed_points_each_once(space):
    proposer, view, keys = GridProposer(space, 3), EMPTY, []
    while True:
        proposed = proposer.propose(view, 5)
        keys += [point_key(p.parameters) for p in proposed.proposals]
        for proposal in proposed.proposals:
            assert space.validate(proposal.parameters) == proposal.parameters
        view = enter(view, proposed)
        if len(proposed.proposals) < 5:
            break
    assert len(keys) == len(set(keys))
    assert list(proposed.notices) == ["The grid is used up."]
    drawn = SamplerProposer(space, SamplerSettings(kind="random"), 0, "maximize")
    assert {point_key(p.parameters) for p in drawn.propose(EMPTY, 20).proposals} <= set(keys)


def test_a_grid_is_counted_by_hand():
    space = SearchSpace.build(
        {
            "n": IntParameter(type="int", low=1, high=3),
            "opt": PARAMETERS["opt"],
            "momentum": FloatParameter(
                type="float", low=0, high=0.9, step=0.3, when={"opt": "sgd"}
            ),
        },
        ["n != 2"],
    )
    points = list(Grid(space, 0).points())
    assert len(points) == 2 * (1 + 4)
    assert len({point_key(point) for point in points}) == 10


def test_a_grid_over_a_continuous_parameter_is_refused():
    with pytest.raises(ConfigurationError, match=r"search_space\.x: grid search needs"):
        GridProposer(SPACE, 0)


def test_an_unfinished_starter_counts_as_done():
    view = enter(EMPTY, starting([{"x": 0.1}]).propose(EMPTY, 1))
    proposed = starting([{"x": 0.1}]).propose(replace(view), 1)
    assert dict(proposed.proposals[0].parameters) == DEFAULT
