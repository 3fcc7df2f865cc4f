"""The sampler proposer: what it promises about every space, and that it is Optuna's equal."""

import math
from dataclasses import replace
from itertools import pairwise

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from spaces import EMPTY, enter, finish, finite_spaces, score, spaces

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter, SamplerSettings
from agents.errors import ConfigurationError
from agents.proposers.pending import point_key
from agents.proposers.sampler import SamplerProposer, ask_seed
from agents.space import SearchSpace
from agents.trial import TrialState

QUICK_KINDS = ("auto", "tpe", "cmaes", "qmc", "random")
KINDS = st.sampled_from(QUICK_KINDS)


def proposer(space, kind="tpe", seed=5, startup=None):
    return SamplerProposer(
        space, SamplerSettings(kind=kind, startup_trials=startup), seed, "maximize"
    )


def points(proposed):
    return [dict(proposal.parameters) for proposal in proposed.proposals]


def search(space, kind, batches, make=proposer, seed=5):
    """Run a search with one proposer from end to end. Returns the views before each batch."""
    mind, view, views = make(space, kind, seed, 3), EMPTY, [EMPTY]
    for count in batches:
        view = finish(enter(view, mind.propose(view, count)), score)
        views.append(view)
    return views


@settings(max_examples=40)
@given(space=spaces(), kind=KINDS)
def test_every_proposal_passes_the_validator_unchanged(space, kind):
    for trial in search(space, kind, [3, 3, 3])[-1].trials:
        assert space.validate(trial.parameters) == trial.parameters
        assert set(trial.parameters) == space.active(trial.parameters)


@settings(max_examples=40)
@given(space=finite_spaces(), kind=KINDS)
def test_no_point_is_repeated_while_another_is_left(space, kind):
    from agents.proposers.grid import Grid

    size = len(list(Grid(space, 0).points()))
    asked = min(size, 40)
    trials = search(space, kind, [4] * math.ceil(asked / 4))[-1].trials
    assert len({point_key(trial.parameters) for trial in trials[:asked]}) == asked


def test_a_used_up_space_is_repeated_rather_than_left_idle():
    space = SearchSpace.build({"a": CategoricalParameter(type="categorical", choices=[1, 2])}, [])
    proposed = proposer(space).propose(EMPTY, 3)
    assert len(proposed.proposals) == 3
    assert "repeat" in proposed.proposals[2].rationale


@settings(max_examples=25)
@given(space=spaces(), kind=KINDS)
def test_a_resumed_run_proposes_what_the_uninterrupted_one_did(space, kind):
    views = search(space, kind, [3, 3, 3, 3])
    for before, after in pairwise(views):
        fresh = proposer(space, kind, startup=3).propose(before, 3)
        expected = [dict(trial.parameters) for trial in after.trials[len(before.trials) :]]
        assert points(fresh) == expected


@settings(max_examples=25)
@given(space=spaces(), kind=KINDS)
def test_one_after_the_other_is_what_all_at_once_is(space, kind):
    view = search(space, kind, [4, 3])[-1]
    together = proposer(space, kind, startup=3).propose(view, 3)
    mind, singles = proposer(space, kind, startup=3), []
    for _ in range(3):
        proposed = mind.propose(view, 1)
        singles += points(proposed)
        view = enter(view, proposed)
    assert singles == points(together)
    assert proposed.sampler_state == together.sampler_state


def test_a_sobol_sequence_goes_on_where_it_was_left():
    space = SearchSpace.build(BOWL, [])
    at_once = proposer(space, "qmc").propose(EMPTY, 40)
    view, mind = EMPTY, proposer(space, "qmc")
    for _ in range(40):
        view = enter(view, mind.propose(view, 1))
    assert [dict(trial.parameters) for trial in view.trials] == points(at_once)
    assert {one.rationale for one in at_once.proposals} == {"scrambled Sobol sequence"}
    assert view.sampler_state


def test_the_gaussian_process_keeps_the_same_promises():
    pytest.importorskip("torch")
    space = SearchSpace.build(
        {
            "x": FloatParameter(type="float", low=0, high=2),
            "n": IntParameter(type="int", low=1, high=4),
        },
        ["n > x"],
    )
    views = search(space, "gp", [3, 1])
    for trial in views[-1].trials:
        assert space.validate(trial.parameters) == trial.parameters
    fresh = proposer(space, "gp", startup=3).propose(views[-2], 1)
    assert points(fresh) == [dict(trial.parameters) for trial in views[-1].trials[-1:]]


@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_another_seed_is_another_search(kind):
    space = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=1)}, [])
    first = [point_key(t.parameters) for t in search(space, kind, [4], seed=1)[-1].trials]
    second = [point_key(t.parameters) for t in search(space, kind, [4], seed=2)[-1].trials]
    assert first != second


def test_a_mirror_that_followed_a_wrong_history_forgets_it():
    space = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=1)}, [])
    one = search(space, "tpe", [4, 4, 4], seed=1)[-1]
    other = search(space, "tpe", [4, 4, 4], seed=2)[-1]
    mind = proposer(space)
    mind.propose(one, 1)
    assert points(mind.propose(other, 2)) == points(proposer(space).propose(other, 2))


def test_trials_of_another_space_are_numbered_but_not_learnt_from():
    narrow = {"x": FloatParameter(type="float", low=0, high=1)}
    wide = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=9)}, [])
    space = SearchSpace.build(narrow, [])
    before = finish(enter(EMPTY, proposer(wide, "qmc").propose(EMPTY, 8)), score)
    running = replace(
        before, trials=[replace(t, state=TrialState.RUNNING, value=None) for t in before.trials]
    )
    mind = proposer(space)
    mind.propose(running, 1)
    after = mind.propose(before, 2)
    assert points(after) == points(proposer(space).propose(before, 2))
    assert all(0 <= point["x"] <= 1 for point in points(after))


def test_a_space_without_an_allowed_point_is_the_configurations_fault():
    space = SearchSpace.build(
        {"x": FloatParameter(type="float", low=0, high=1, default=0.5)}, ["x == 0.5"]
    )
    with pytest.raises(ConfigurationError, match="no point of the search space keeps them"):
        proposer(space).propose(EMPTY, 1)


def test_seeds_of_trials_are_spread_and_stay_as_they_are():
    assert len({ask_seed(seed, number) for seed in range(30) for number in range(300)}) == 9000


def distance(parameters):
    return -(
        (math.log10(parameters["lr"]) + 2.5) ** 2 + 4 * (parameters["drop"] - 0.3) ** 2
    ) - 0.2 * abs(parameters["layers"] - 4)


BOWL = {
    "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
    "drop": FloatParameter(type="float", low=0, high=0.8),
    "layers": IntParameter(type="int", low=1, high=8),
}


def optuna_best(seed, trials):
    """Plain Optuna, asked and told one at a time."""
    space = SearchSpace.build(BOWL, [])
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, distance(space.suggest(trial)))
    return study.best_value


def our_best(seed, trials):
    space, view = SearchSpace.build(BOWL, []), EMPTY
    mind = proposer(space, seed=seed)
    for _ in range(trials):
        view = enter(view, mind.propose(view, 1))
        trials_now = [
            t
            if t.value is not None
            else replace(t, state=TrialState.COMPLETED, value=distance(t.parameters))
            for t in view.trials
        ]
        view = replace(view, trials=trials_now)
    return view.best.value


def test_tpe_finds_what_plain_optuna_finds():
    ours = [our_best(seed, 35) for seed in range(12)]
    plain = [optuna_best(seed, 35) for seed in range(12)]
    uniform = [max(distance(t.parameters) for t in search_uniform(seed, 35)) for seed in range(12)]
    assert mannwhitneyu(ours, plain).pvalue > 0.02
    assert mannwhitneyu(ours, uniform, alternative="greater").pvalue < 0.02


def search_uniform(seed, trials):
    space = SearchSpace.build(BOWL, [])
    return enter(EMPTY, proposer(space, "random", seed).propose(EMPTY, trials)).trials
