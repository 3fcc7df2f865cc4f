"""Proposals where the search is for two objectives."""

import importlib.util
import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import MODEL, Answer, OpenAiServer, completion, proposals
from spaces import EMPTY, enter

from agents.config.model import FloatParameter, IntParameter, LlmSettings, SamplerSettings
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.gate import Gate
from agents.proposers.goals import TwoGoals, corners, is_logarithmic, second_alone
from agents.proposers.hybrid import HybridProposer
from agents.proposers.prompt import render_prompt, run_line, task_card
from agents.proposers.sampler import SamplerProposer
from agents.proposers.standing import standing, track
from agents.proposers.surrogate import Surrogate
from agents.space import SearchSpace
from agents.tradeoff import on_the_front, ranked
from agents.trial import Proposal, Second, TrialState

SPACE = SearchSpace.build(
    {
        "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
        "width": IntParameter(type="int", low=8, high=512, scale="log"),
    },
    [],
)
SECONDS = Second("seconds", "minimize")
TWO = replace(EMPTY, second=SECONDS)
PLANNED = 40


def measured(point):
    """A wider network is better and slower; the rate has one optimum."""
    value = 0.5 + 0.06 * math.log2(point["width"] / 8) - 0.1 * (math.log10(point["lr"]) + 3) ** 2
    return value, 2.0 * point["width"]


def ended(view):
    trials = []
    for trial in view.trials:
        if trial.state is TrialState.RUNNING:
            value, seconds = measured(trial.parameters)
            trial = replace(trial, state=TrialState.COMPLETED, value=value, seconds=seconds)
        trials.append(trial)
    return replace(view, trials=trials)


def sampler(kind="auto", seed=3):
    return SamplerProposer(SPACE, SamplerSettings(kind=kind), seed, "maximize")


def search(trials, mind=None, count=1, view=TWO):
    mind = mind or sampler()
    while len(view.trials) < trials:
        view = ended(enter(view, mind.propose(view, count)))
    return view


def dominated(view):
    """The area under the front, the widths in factors, from the corner of an accuracy of 0."""
    kept = [(t.value, -math.log2(t.seconds / 1024)) for t in on_the_front(view)]
    total, best = 0.0, 0.0
    for value, quick in sorted(kept, key=lambda pair: -pair[1]):
        total += max(0.0, value - best) * quick
        best = max(best, value)
    return total


def test_it_covers_the_front_that_one_objective_leaves_at_its_end():
    both, one = search(25), search(25, view=EMPTY)
    widths = [trial.parameters["width"] for trial in on_the_front(both)]
    assert min(widths) <= 12
    assert max(widths) >= 350
    assert len(widths) >= 8
    assert dominated(both) > dominated(replace(one, second=SECONDS)) + 0.1
    assert dominated(both) > dominated(search(25, sampler("random"))) + 0.1


@pytest.mark.parametrize("kind", ["auto", "tpe", "gp", "qmc", "random"])
def test_each_sampler_goes_on_with_two_objectives_after_failures_and_with_trials_that_run(kind):
    if kind == "gp" and importlib.util.find_spec("torch") is None:
        pytest.skip("the sampler gp needs torch")
    view = search(12, sampler(kind))
    states = (TrialState.FAILED, TrialState.PRUNED, TrialState.RUNNING)
    trials = [
        replace(trial, state=states[trial.number % 3], value=None, seconds=None)
        if trial.number in (3, 4, 5)
        else trial
        for trial in view.trials
    ]
    view = replace(view, trials=trials)
    first = sampler(kind).propose(view, 3)
    again = sampler(kind).propose(view, 3)
    assert [p.parameters for p in first.proposals] == [p.parameters for p in again.proposals]
    for proposal in first.proposals:
        SPACE.validate(proposal.parameters)


def test_it_says_what_it_looks_for():
    proposed = sampler().propose(search(7), 1)
    assert "Pareto front" in proposed.proposals[0].rationale


def staircase_gain(left, height, first, second):
    """What one more point adds to the area, computed by its cells."""
    gain = 0.0
    for n, begin in enumerate(left):
        end = left[n + 1] if n + 1 < len(left) else math.inf
        wide = max(0.0, min(first, end) - begin)
        gain += wide * max(0.0, second - height[n])
    return gain


@settings(max_examples=30)
@given(
    pairs=st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6),
    mean=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    doubt=st.tuples(st.floats(0.1, 1.5), st.floats(0.1, 1.5)),
)
def test_the_expected_growth_of_the_area_is_what_draws_give(pairs, mean, doubt):
    class Fixed:
        encoder = None

        def __init__(self, known, at):
            self.known, self.at = known, at

        def posterior(self, vectors):
            if len(vectors) == 1:
                return np.array([mean[self.at]]), np.array([doubt[self.at]])
            return np.array(self.known), np.ones(len(self.known))

    goal = TwoGoals.__new__(TwoGoals)
    goal._models = tuple(Fixed([pair[at] for pair in pairs], at) for at in (0, 1))
    goal._corners = corners(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    expected = math.exp(goal.worth(np.zeros((1, 1)))[0])
    chance = np.random.default_rng(0)
    draws = chance.normal(mean, doubt, size=(4000, 2))
    gains = np.array([staircase_gain(*goal._corners, *draw) for draw in draws])
    error = 5 * gains.std() / math.sqrt(len(gains)) + 2e-3  # and what is too rare to be drawn
    assert expected == pytest.approx(gains.mean(), abs=error)


def test_times_are_compared_in_factors_and_what_may_be_negative_is_not():
    view = search(6)
    alone = second_alone(view)
    assert is_logarithmic(view)
    assert alone.direction == "minimize"
    assert alone.second is None
    assert [t.value for t in alone.trials] == [math.log(t.seconds) for t in view.trials]
    loss = replace(view, second=Second("loss", "maximize"))
    told = [replace(t, metrics={"loss": t.number - 2.0}) for t in view.trials]
    loss = replace(loss, trials=told)
    assert not is_logarithmic(loss)
    assert [t.value for t in second_alone(loss).trials] == [n - 2.0 for n in range(6)]


def test_the_gate_refuses_what_a_run_beats_in_both():
    view = search(20)
    gate = Gate.of(SPACE, view, sampler().propose(view, 4).proposals)
    bad = Proposal({"lr": 1e-5, "width": 500}, "llm")
    reason = gate.objection(bad)
    assert "which is better in both" in reason
    assert "seconds" in reason
    quick = Proposal({"lr": 1e-3, "width": 8}, "llm")
    good = Proposal({"lr": 1e-3, "width": 512}, "llm")
    assert gate.objection(quick) is None
    assert gate.objection(good) is None
    assert gate.hints()
    assert all("seconds" in hint for hint in gate.hints())


def test_the_llm_is_told_of_both_and_shown_the_front_first():
    view = search(12)
    card = task_card(SPACE, "accuracy_auc", "maximize", PLANNED, second=SECONDS)
    text = render_prompt(card, view, 2)
    assert "Second objective: minimize `seconds`, the training time of a run" in text
    assert "first those that no other run beats in both objectives" in text
    kept = {trial.number for trial in on_the_front(view)}
    assert {trial.number for trial in ranked(view)[: len(kept)]} == kept
    plain = render_prompt(task_card(SPACE, "accuracy_auc", "maximize", PLANNED), view, 2)
    assert "Second objective" not in plain
    sized = replace(view.trials[0], metrics={"size": 12.0})
    assert "(size 12)" in run_line(sized, Second("size", "minimize"))


def test_a_trial_is_good_that_moves_the_front():
    view = search(12)
    slow = replace(view.trials[-1], origin="llm", value=0.1, seconds=5000.0)
    quick = replace(view.trials[-1], origin="llm", value=0.1, seconds=0.5)
    for last, good in ((slow, 0), (quick, 1)):
        record = track(replace(view, trials=[*view.trials[:-1], last]))["llm"]
        assert (record.good, record.other) == (good, 1 - good)
    assert standing(view, 2, PLANNED, 2).share > 0


def test_the_hybrid_searches_with_an_llm_that_knows_one_end(tmp_path):
    def answer(body):
        wanted = 1 if "exactly 1 " in body["messages"][0]["content"] else 2
        width = 8 + len(server.requests) % 5
        return Answer(
            completion(proposals(*[{"lr": 1e-3, "width": width + n} for n in range(wanted)]))
        )

    with OpenAiServer(answer) as server:
        llm = LlmSettings(base_url=server.url, model=MODEL, timeout=60.0, max_retries=0)
        card = task_card(SPACE, "accuracy_auc", "maximize", PLANNED, second=SECONDS)
        advisor = Advisor(
            SPACE, card, Endpoint(llm, sleep=lambda _: None), ExchangeLog(tmp_path), 1
        )
        view = search(24, HybridProposer(SPACE, advisor, sampler(), PLANNED), count=2)
    assert any(trial.origin == "llm" for trial in view.trials)
    assert dominated(view) > dominated(search(24, sampler("random"))) + 0.1


def test_the_model_of_the_times_knows_them():
    model = Surrogate.of(SPACE, second_alone(search(14)))
    told = -model.predict({"lr": 1e-3, "width": 64}).mean
    assert math.exp(told) == pytest.approx(128, rel=0.1)


def test_a_second_objective_that_never_changes_leaves_the_search_to_the_first():
    def constant(view):
        return replace(view, trials=[replace(trial, seconds=7.0) for trial in view.trials])

    view = TWO
    while len(view.trials) < 14:
        view = constant(ended(enter(view, sampler().propose(view, 1))))
    for known in (view, replace(view, trials=view.trials[:7])):
        (proposal,) = sampler().propose(known, 1).proposals
        alone = sampler().propose(replace(known, second=None), 1).proposals[0]
        assert proposal.parameters == alone.parameters
        assert "Gaussian process" in proposal.rationale
    gate = Gate.of(SPACE, view, sampler().propose(view, 4).proposals)
    assert "candidate" in gate.objection(Proposal({"lr": 1e-5, "width": 8}, "llm"))


def test_runs_that_did_not_measure_the_second_objective_are_no_failures_in_it():
    flops = Second("flops", "minimize")
    before = [replace(trial, metrics={}) for trial in search(40, view=EMPTY).trials]
    own = [
        replace(trial, metrics={"flops": measured(trial.parameters)[1]})
        for trial in search(8, sampler("random", seed=5)).trials
    ]
    view = replace(TWO, second=flops, trials=own, earlier=before)
    told = Surrogate.of(SPACE, second_alone(view.with_earlier))
    alone = Surrogate.of(SPACE, second_alone(replace(view, earlier=())))
    point = before[-1].parameters
    assert told.predict(point) == alone.predict(point)
    mixed = ranked(replace(view, trials=[*before[:3], *own[3:]]))
    assert {trial.number for trial in mixed[-3:]} == {0, 1, 2}


def test_a_run_that_lies_outside_the_space_is_no_reason_for_the_gate():
    # The best of both lies where a constraint, which came later, lets nothing run any more.
    def half(low, high, first):
        points = [
            {"lr": 10 ** (low + n * (high - low) / 11), "width": 8 + 40 * (n % 5)}
            for n in range(12)
        ]
        return [
            replace(
                view.trials[0],
                number=first + n,
                parameters=point,
                value=-math.log10(point["lr"]),
                seconds=10 + 2 * math.log10(point["lr"]) + point["width"] / 1e4,
            )
            for n, point in enumerate(points)
        ]

    view = search(1)
    view = replace(view, trials=[*half(-3.6, -3.2, 0), *half(-2.9, -1, 12)])
    narrow = SearchSpace.build(SPACE.parameters, ["lr > 0.001"])
    best = Proposal({"lr": 1.01e-3, "width": 20}, "llm")
    assert Gate.of(SPACE, view, [best]).objection(best) is not None
    assert Gate.of(narrow, view, [best]).objection(best) is None


def test_the_question_of_a_long_search_with_a_long_front_is_soon_made():
    trials = [
        replace(one, number=n, value=n * 7 % 3001 / 3001, seconds=1.0 + n * 7 % 3001)
        for n, one in enumerate(search(1).trials * 3000)
    ]
    known = replace(TWO, trials=trials)
    began = time.process_time()
    assert len(ranked(known)) == 3000
    assert time.process_time() - began < 1.0


def test_the_gate_names_runs_by_the_numbers_that_the_llm_knows():
    known = search(20)
    bad = Proposal({"lr": 1e-5, "width": 500}, "llm")

    def named(own, earlier):
        view = replace(known, trials=own, earlier=earlier)
        gate = Gate.of(SPACE, view, sampler().propose(view, 4).proposals)
        return gate.objection(bad)

    number = int(re.search(r"of run (\d+), which is better", named(known.trials, []))[1])
    assert number > 0
    moved = named(known.trials[number:], known.trials[:number])
    assert "of run 0, which is better" in moved
    assert "of a run of an earlier search, which is better" in named([], known.trials)
