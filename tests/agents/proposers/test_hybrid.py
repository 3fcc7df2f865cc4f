"""The hybrid: an LLM that is heard, a sampler that is always on, a gate between them."""

import json
import math
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import MODEL, Answer, OpenAiServer, completion, error, proposals, says
from spaces import EMPTY, enter, spaces

from agents.config.model import CategoricalParameter, FloatParameter, LlmSettings, SamplerSettings
from agents.proposers.advisor import Advisor
from agents.proposers.encoding import Encoder
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.gate import Gate, OneDoubt
from agents.proposers.hybrid import HybridProposer
from agents.proposers.pending import pending_trial
from agents.proposers.prompt import task_card
from agents.proposers.sampler import SamplerProposer
from agents.proposers.standing import standing
from agents.proposers.starters import StarterProposer
from agents.proposers.surrogate import Surrogate
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView, TrialState

PARAMETERS = {
    "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
    "drop": FloatParameter(type="float", low=0, high=0.8),
}
SPACE = SearchSpace.build(PARAMETERS, [])
PLANNED = 40


def value(parameters):
    return 0.9 - 0.05 * (math.log10(parameters["lr"]) + 2.5) ** 2 - 0.2 * parameters["drop"] ** 2


def sampler(seed=1):
    return SamplerProposer(SPACE, SamplerSettings(), seed, "maximize")


def hybrid(server, directory, repair_attempts=1):
    settings = LlmSettings(base_url=server.url, model=MODEL, timeout=60.0, max_retries=0)
    card = task_card(SPACE, "accuracy_auc", "maximize", PLANNED)
    endpoint = Endpoint(settings, sleep=lambda _: None)
    advisor = Advisor(SPACE, card, endpoint, ExchangeLog(directory), repair_attempts)
    return HybridProposer(SPACE, advisor, sampler(), PLANNED)


def search(mind, iterations, count=2, view=EMPTY):
    for _ in range(iterations):
        view = enter(view, mind.propose(view, count))
        trials = [
            t
            if t.state.is_finished
            else replace(t, state=TrialState.COMPLETED, value=value(t.parameters))
            for t in view.trials
        ]
        view = replace(view, trials=trials)
    return view


def guess(choose):
    """A step whose proposals `choose` makes; it answers with as many as were asked for."""

    def step(body):
        schema = body["response_format"]["json_schema"]["schema"]
        count = schema["properties"]["proposals"]["minItems"]
        return Answer(completion(proposals(*[choose(body) for _ in range(count)])))

    return step


@pytest.mark.parametrize(
    "step", [says("no idea"), error(503), says(proposals({"lr": 5, "drop": 9}))],
    ids=["garbage", "away", "outside"],
)  # fmt: skip
def test_an_llm_that_is_of_no_use_leaves_exactly_the_samplers_search(tmp_path, step):
    with OpenAiServer(step) as server:
        ours = search(hybrid(server, tmp_path), 10)
    alone = search(sampler(), 10)
    assert [t.parameters for t in ours.trials] == [t.parameters for t in alone.trials]
    assert {t.origin for t in ours.trials} == {"sampler"}


def test_only_the_llms_own_slots_are_called_filled_in(tmp_path):
    view = search(sampler(), 8)
    slots = standing(view, 8, PLANNED, 2).slots
    with OpenAiServer(says("no idea")) as server:
        proposed = hybrid(server, tmp_path).propose(view, 8)
    reasons = [one.fallback_reason for one in proposed.proposals]
    assert 0 < slots < 8
    assert sum(reason is not None for reason in reasons) == slots
    assert len(proposed.notices) == 1


def test_the_seeds_are_the_llms_and_its_share_stays_small(tmp_path):
    chance = random.Random(3)
    step = guess(lambda _: {"lr": 10 ** chance.uniform(-5, -1), "drop": chance.uniform(0, 0.8)})
    with OpenAiServer(step) as server:
        view = search(hybrid(server, tmp_path), 20)
    first_questions = [request for request in server.requests if len(request["messages"]) == 1]
    assert len(first_questions) < 20  # not in each of the 20 iterations
    origins = [trial.origin for trial in view.trials]
    assert origins[:4] == ["llm", "sampler", "llm", "llm"]
    assert 0 < origins[8:].count("llm") <= 10


def test_a_confident_and_wrong_llm_is_refused_by_the_gate_with_numbers(tmp_path):
    chance = random.Random(3)
    step = guess(lambda _: {"lr": 10 ** chance.uniform(-5, -4.8), "drop": chance.uniform(0.7, 0.8)})
    with OpenAiServer(step) as server:
        mind = StarterProposer(SPACE, [], hybrid(server, tmp_path))
        view = search(mind, 15)
    late = [t for t in view.trials[8:] if t.origin == "llm"]
    assert len(late) <= 1
    kept = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert kept[0]["occasion"] == "the LLM begins with up to 3 seeds"
    assert re.search("llm 0 of [1-4] good, sampler", kept[-1]["occasion"])
    refused = [exchange["refused"] for exchange in kept]
    assert any("the model of the runs so far expects" in str(fault) for fault in refused)


def test_a_candidate_of_the_sampler_may_be_taken(tmp_path):
    view = search(sampler(), 6)
    best = []

    def first_candidate(body):
        text = body["messages"][0]["content"]
        lines = text[text.index("# Candidates") :].splitlines()
        best[:] = [line for line in lines if line.startswith("- lr=")]
        pairs = best[0].removeprefix("- ").split(";")[0].split(", ")
        return {name: float(number) for name, number in (pair.split("=") for pair in pairs)}

    with OpenAiServer(guess(first_candidate)) as server:
        mind = hybrid(server, tmp_path, repair_attempts=0)
        proposed = mind.propose(view, 8)
    assert 1 <= len(best) <= 6
    assert all("expected 0." in line for line in best)
    assert proposed.proposals[0].origin in ("llm", "sampler")
    assert len(proposed.proposals) == 8


def test_a_candidate_that_the_llm_takes_is_marked_as_adopted(tmp_path):
    taken = []

    def first_candidate(body):
        text = body["messages"][0]["content"]
        line = next(x for x in text.splitlines() if x.startswith("- lr=") and "; expected" in x)
        pairs = line.removeprefix("- ").split(";")[0].split(", ")
        taken[:] = [{name: float(number) for name, number in (p.split("=") for p in pairs)}]
        return taken[0]

    with OpenAiServer(guess(first_candidate)) as server:
        view = search(hybrid(server, tmp_path), 12)
    late = [trial for trial in view.trials[8:] if trial.origin == "llm"]
    assert late
    assert all(trial.adopted for trial in late)
    assert not any(trial.adopted for trial in view.trials if trial not in late)


def test_the_gate_knows_what_failed_and_what_runs():
    trials = [
        pending_trial(n, 1, Proposal({"lr": 10 ** (-5 + n / 4), "drop": 0.1}, "sampler"))
        for n in range(18)
    ]
    ended = [
        replace(t, state=TrialState.COMPLETED, value=0.5 + t.number / 50)
        if t.number < 10
        else replace(t, state=TrialState.FAILED)
        for t in trials
    ]
    view = replace(EMPTY, trials=ended)
    pool = [Proposal({"lr": 10 ** (-5 + 9 / 4), "drop": 0.1}, "sampler")]
    gate = Gate.of(SPACE, view, pool)
    assert gate.objection(Proposal({"lr": 3e-2, "drop": 0.1}, "llm")) is not None
    blind = OneDoubt(Surrogate.fit(SPACE, view), pool, view)
    assert blind.objection(Proposal({"lr": 3e-2, "drop": 0.1}, "llm")) is None
    waiting = replace(view, trials=[*ended[:10], *trials[10:]])
    told = Surrogate.of(SPACE, waiting).predict(trials[12].parameters)
    assert told.deviation < Surrogate.fit(SPACE, waiting).predict(trials[12].parameters).deviation


def test_no_candidate_is_shown_that_the_gate_would_refuse():
    view = search(sampler(), 8)
    good = Proposal({"lr": 0.003, "drop": 0.05}, "sampler")
    bad = Proposal({"lr": 1e-5, "drop": 0.8}, "sampler")
    gate = Gate.of(SPACE, view, [bad, good])
    assert gate.objection(bad) is not None
    assert [hint.split(";")[0] for hint in gate.hints()] == ["lr=0.003, drop=0.05"]


def test_it_proposes_the_same_after_a_crash(tmp_path):
    step = guess(lambda body: {"lr": 0.003, "drop": len(body["messages"][0]["content"]) % 70 / 100})
    with OpenAiServer(step) as server:
        view = search(hybrid(server, tmp_path), 6)
        again = hybrid(server, tmp_path).propose(view, 4)
        once_more = hybrid(server, tmp_path).propose(view, 4)
    assert [p.parameters for p in again.proposals] == [p.parameters for p in once_more.proposals]


def test_the_surrogate_knows_a_smooth_function_better_than_its_mean():
    view = search(sampler(), 15)
    model = Surrogate.fit(SPACE, view)
    chance = random.Random(1)
    points = [
        {"lr": 10 ** chance.uniform(-5, -1), "drop": chance.uniform(0, 0.8)} for _ in range(60)
    ]
    truth = [value(point) for point in points]
    mean = sum(t.value for t in view.trials) / len(view.trials)
    errors = [(model.predict(p).mean - t) ** 2 for p, t in zip(points, truth, strict=True)]
    assert sum(errors) < 0.2 * sum((mean - t) ** 2 for t in truth)
    near, far = view.trials[-1].parameters, {"lr": 1e-5, "drop": 0.8}
    assert model.predict(near).deviation < model.predict(far).deviation


def test_the_surrogate_turns_round_for_minimizing():
    view = search(sampler(), 8)
    flipped = replace(
        view,
        direction="minimize",
        trials=[replace(t, value=-t.value) for t in view.trials],
    )
    point = {"lr": 0.003, "drop": 0.1}
    up, down = (Surrogate.fit(SPACE, one).predict(point) for one in (view, flipped))
    assert up.mean == pytest.approx(down.mean)


@pytest.mark.parametrize("values", [[], [0.5] * 3, [0.5] * 9, [float("inf")] * 9])
def test_there_is_no_surrogate_without_anything_to_learn(values):
    view = StudyView("e", "m", "maximize", [])
    for number, one in enumerate(values):
        proposal = Proposal({"lr": 10 ** (-1 - number / 3), "drop": 0.1}, "sampler")
        view = enter(view, type("P", (), {"proposals": [proposal], "sampler_state": {}}))
        ended = replace(view.trials[-1], state=TrialState.COMPLETED, value=one)
        view = replace(view, trials=[*view.trials[:-1], ended])
    assert Surrogate.fit(SPACE, view) is None


def test_the_gate_is_the_same_whichever_way_the_objective_points():
    view = search(sampler(), 8)
    flipped = replace(
        view, direction="minimize", trials=[replace(t, value=-t.value) for t in view.trials]
    )
    pool = [Proposal({"lr": 0.003, "drop": 0.01}, "sampler")]
    bad, good = ({"lr": 1e-5, "drop": 0.8}, "llm"), ({"lr": 0.0031, "drop": 0.0}, "llm")
    for one, minimize in ((view, False), (flipped, True)):
        gate = Gate.of(SPACE, one, pool)
        assert gate.objection(Proposal(*good)) is None
        assert gate.objection(Proposal(*bad)) is not None
        assert ("expected -0." in gate.hints()[0]) is minimize


@settings(max_examples=40)
@given(space=spaces(), data=st.data())
def test_every_point_has_a_vector_of_one_length_in_the_cube(space, data):
    mind = SamplerProposer(
        space, SamplerSettings(kind="random"), data.draw(st.integers(0, 99)), "maximize"
    )
    encoder = Encoder(space.distributions())
    vectors = [encoder.encode(p.parameters) for p in mind.propose(EMPTY, 6).proposals]
    assert len({len(vector) for vector in vectors}) == 1
    assert all(0 <= coordinate <= 1 for vector in vectors for coordinate in vector)


def test_a_choice_that_equals_a_number_is_not_mistaken():
    space = SearchSpace.build(
        {"c": CategoricalParameter(type="categorical", choices=["a", 2]), **PARAMETERS}, []
    )
    encoder = Encoder(space.distributions())
    one = encoder.encode({"c": "a", "lr": 1e-3, "drop": 0.1})
    assert one[:2] == [pytest.approx(math.sqrt(0.5)), 0.0]
