"""Our own sampler: the cube it draws in, the model it asks, and where it looks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import mannwhitneyu
from spaces import EMPTY, enter, finish, score, spaces

from agents.config.model import FixedParameter, FloatParameter, IntParameter, SamplerSettings
from agents.proposers.cube import Cube
from agents.proposers.encoding import Encoder
from agents.proposers.improvement import APART, EXPLORE, STARTUP
from agents.proposers.sampler import SamplerProposer
from agents.proposers.surrogate import MAX_TRIALS, Surrogate, _evidence
from agents.space import SearchSpace
from agents.trial import TrialState

BOWL = SearchSpace.build(
    {
        "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
        "drop": FloatParameter(type="float", low=0, high=0.8),
        "layers": IntParameter(type="int", low=1, high=8),
    },
    [],
)


def height(parameters):
    hollow = (math.log10(parameters["lr"]) + 2.5) ** 2 + 4 * (parameters["drop"] - 0.3) ** 2
    return -hollow - 0.2 * abs(parameters["layers"] - 4)


def proposer(space=BOWL, kind="auto", seed=5):
    return SamplerProposer(space, SamplerSettings(kind=kind), seed, "maximize")


def ended(view, value):
    """The view once its running trials have ended; those without a value have failed."""
    trials = []
    for trial in view.trials:
        if trial.state is TrialState.RUNNING:
            result = value(trial.parameters)
            state = TrialState.FAILED if result is None else TrialState.COMPLETED
            trial = replace(trial, state=state, value=result)
        trials.append(trial)
    return replace(view, trials=trials)


def search(trials, count=1, value=height, kind="auto", seed=5):
    view, mind, rationales = EMPTY, proposer(kind=kind, seed=seed), []
    while len(view.trials) < trials:
        proposed = mind.propose(view, count)
        rationales += [one.rationale for one in proposed.proposals]
        view = ended(enter(view, proposed), value)
    return view, rationales


@settings(max_examples=40)
@given(space=spaces(), seed=st.integers(0, 99))
def test_the_cube_and_the_encoder_agree_about_every_point(space, seed):
    cube, encoder = Cube(space), Encoder(space.distributions())
    if cube.dimensions == 0:
        return
    rows = np.random.default_rng(seed).random((6, cube.dimensions))
    vectors = cube.vectors(rows)
    for row, vector in zip(rows, vectors, strict=True):
        point = cube.point(row)
        assert vector == pytest.approx(encoder.encode(point))
        assert space.same(cube.point(np.array(cube.coordinates(point))), point)


def test_whole_numbers_are_all_as_likely():
    space = SearchSpace.build({"n": IntParameter(type="int", low=1, high=4)}, [])
    shares = (np.arange(400) + 0.5)[:, None] / 400
    drawn = [Cube(space).point(row)["n"] for row in shares]
    assert [drawn.count(number) for number in (1, 2, 3, 4)] == [100] * 4


def test_the_slope_of_the_evidence_is_the_slope():
    chance = np.random.default_rng(1)
    x, y = chance.random((9, 2)), chance.normal(size=9)
    squares = np.array([((x[:, None, k] - x[None, :, k]) ** 2).ravel() for k in range(2)])
    at = np.array([-0.7, 0.2, -2.0])
    slope = approx_fprime(at, lambda log: _evidence(log, squares, y)[0], 1e-6)
    assert _evidence(at, squares, y)[1] == pytest.approx(slope, rel=1e-3)


def test_what_waits_lowers_the_doubt_and_what_failed_the_expectation():
    view, _ = search(12)
    model, point = Surrogate.fit(BOWL, view), {"lr": 0.02, "drop": 0.5, "layers": 3}
    before = model.predict(point)
    waits, failed = (
        model.assuming([point], []).predict(point),
        model.assuming([], [point]).predict(point),
    )
    assert waits.mean == pytest.approx(before.mean)
    assert waits.deviation < before.deviation
    assert failed.mean < before.mean


def test_a_sobol_start_then_the_model_and_each_fifth_trial_somewhere_else():
    _, rationales = search(16)
    spread = [n for n, text in enumerate(rationales) if text.startswith("scrambled Sobol")]
    assert spread == [*range(STARTUP), *range(STARTUP, 16, EXPLORE)]
    assert set(rationales[STARTUP + 1 : 10]) == {"expected improvement of a Gaussian process"}


def test_it_finds_more_than_random_search():
    found = [search(30, seed=seed)[0].best.value for seed in range(8)]
    uniform = [search(30, kind="random", seed=seed)[0].best.value for seed in range(8)]
    assert mannwhitneyu(found, uniform, alternative="greater").pvalue < 0.01


def test_a_batch_does_not_crowd_one_place():
    view, _ = search(16, count=8)
    batch = proposer().propose(view, 8).proposals
    encoder = Encoder(BOWL.distributions())
    vectors = [encoder.encode(one.parameters) for one in batch]
    vectors += [encoder.encode(trial.parameters) for trial in view.trials]
    gaps = [max(map(abs, np.subtract(a, b))) for n, a in enumerate(vectors) for b in vectors[:n]]
    assert min(gaps) >= APART


def test_a_region_that_only_fails_is_left_alone():
    def value(parameters):
        return None if parameters["lr"] > 1e-2 else height(parameters)

    view, _ = search(40, value=value)
    late = [trial.state is TrialState.FAILED for trial in view.trials[20:]]
    assert sum(late) <= 6


def test_a_long_history_is_for_tpe():
    view = enter(EMPTY, proposer(kind="random").propose(EMPTY, MAX_TRIALS + 1))
    view = finish(view, score)
    assert proposer().propose(view, 1).proposals[0].rationale == "TPE"


def test_a_space_without_a_choice_is_repeated():
    space = SearchSpace.build({"x": FixedParameter(type="fixed", value=3)}, [])
    proposed = proposer(space).propose(EMPTY, 2)
    assert [one.parameters for one in proposed.proposals] == [{"x": 3}] * 2
