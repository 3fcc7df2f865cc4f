"""A search run again from kept exchanges: the same proposals, or one clear error."""

import json
import random
from dataclasses import replace
from itertools import count

import pytest
from openai_server import MODEL, OpenAiServer, error, proposals, says
from spaces import EMPTY, enter

from agents.config.model import FloatParameter, LlmSettings, PriceSettings, SamplerSettings
from agents.errors import ConfigurationError, ReplayDiffers
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog, cost_of, first_trial, read_exchanges
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer
from agents.proposers.prompt import task_card
from agents.proposers.replay import Replay, differing
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace
from agents.trial import Failure, TrialState
from scheduler.job import Cause

SPACE = SearchSpace.build(
    {
        "x": FloatParameter(type="float", low=0, high=1),
        "y": FloatParameter(type="float", low=0, high=1),
    },
    [],
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def mind(endpoint, directory, kind=LlmProposer, prices=None):
    sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
    card = task_card(SPACE, "accuracy_auc", "maximize", 40)
    advisor = Advisor(SPACE, card, endpoint, ExchangeLog(directory, prices), 1)
    if kind is HybridProposer:
        return HybridProposer(SPACE, advisor, sampler, 40)
    return LlmProposer(advisor, sampler)


def live(server):
    settings = LlmSettings(base_url=server.url, model=MODEL, timeout=60.0, max_retries=0)
    return Endpoint(settings, sleep=lambda _: None)


def searched(proposer, batches=12, seed=0, noise=0.0, again=()):
    """Proposals of a whole search; how long trials take, and what they print, is different each
    time. `again`: batches that are proposed twice, as after a crash."""
    chance = random.Random(seed)
    view, made = EMPTY, []
    for batch in range(batches):
        proposed = proposer.propose(view, 2)
        if batch in again:
            proposed = proposer.propose(view, 2)
        made += proposed.proposals
        view = enter(view, proposed)
        view = replace(view, trials=[ended(trial, chance, noise) for trial in view.trials])
    return made


def ended(trial, chance, noise):
    if trial.state is not TrialState.RUNNING:
        return trial
    if trial.number % 5 == 4:
        failure = Failure(
            Cause.PROGRAM_ERROR, f"job {chance.random()} in /scratch/{chance.random()}"
        )
        return replace(
            trial, state=TrialState.FAILED, failure=failure, seconds=chance.uniform(1, 99)
        )
    value = sum(trial.parameters.values()) + noise * chance.random()
    return replace(trial, state=TrialState.COMPLETED, value=value, seconds=chance.uniform(1, 9999))


def good():
    places = count(1)

    def step(body):
        points = [{"x": 0.011 * next(places), "y": 0.5} for _ in range(2)]
        return says(proposals(*points))(body)

    return step


def mixed():
    """Good answers, wrong ones that are repaired, garbage, and errors."""
    places, better = count(1), good()

    def step(body):
        turn = next(places)
        if turn % 5 == 0:
            return error(503, "busy")(body)
        if turn % 4 == 0:
            return says("I cannot decide.")(body)
        if turn % 3 == 0:
            return says(proposals({"x": 7, "y": 0.1}, {"x": 0.001 * turn, "y": 0.9}))(body)
        return better(body)

    return step


@pytest.mark.parametrize("kind", [LlmProposer, HybridProposer])
@pytest.mark.parametrize("script", [good, mixed])
def test_a_replay_proposes_what_the_search_proposed(tmp_path, kind, script):
    with OpenAiServer(script()) as server:
        first = searched(mind(live(server), tmp_path / "a", kind))
        asked = len(server.requests)
    assert asked >= 3
    again = searched(mind(Replay(tmp_path / "a"), tmp_path / "b", kind), seed=1)
    assert again == first
    assert {one.origin for one in first} >= {"llm"}
    twice = searched(mind(Replay(tmp_path / "b"), tmp_path / "c", kind), seed=2)
    assert twice == first


def test_the_answer_that_counts_is_the_one_after_a_crash(tmp_path):
    with OpenAiServer(good()) as server:
        first = searched(mind(live(server), tmp_path / "a"), again=(1, 3))
    assert searched(mind(Replay(tmp_path / "a"), tmp_path / "b")) == first


def test_what_a_new_process_asked_is_asked_in_a_replay_that_is_one_process(tmp_path):
    """A failing endpoint is left alone for a while; a process that begins anew asks at once."""

    class Restarted:
        def propose(self, view, count):
            return mind(live(server), tmp_path / "a").propose(view, count)

    script = [error(503), error(503), good()]
    with OpenAiServer(*script) as server:
        first = searched(Restarted(), 6)
    assert [one.origin for one in first][4:6] == ["llm", "llm"]
    assert searched(mind(Replay(tmp_path / "a"), tmp_path / "b"), 6) == first


def test_a_replay_says_where_each_answer_came_from_and_costs_nothing(tmp_path):
    prices = PriceSettings(prompt=10.0, completion=100.0, currency="EUR")
    with OpenAiServer(good()) as server:
        searched(mind(live(server), tmp_path / "a", prices=prices), 2)
    searched(mind(Replay(tmp_path / "a"), tmp_path / "b", prices=prices), 2)
    (path, before), (_, after) = (
        read_exchanges(tmp_path / "a")[0],
        read_exchanges(tmp_path / "b")[0],
    )
    assert before["cost"] == {"amount": pytest.approx(11 * 10e-6 + 7 * 100e-6), "currency": "EUR"}
    assert after["replayed_from"] == str(path)
    assert after["accepted"] == before["accepted"]
    assert after["usage"] == {}
    assert "cost" not in after


def test_results_that_differ_end_it_with_the_first_lines_that_do(tmp_path):
    with OpenAiServer(good()) as server:
        searched(mind(live(server), tmp_path / "a"))
    with pytest.raises(ReplayDiffers) as caught:
        searched(mind(Replay(tmp_path / "a"), tmp_path / "b"), noise=0.01)
    text = str(caught.value)
    assert "replay: trial 2: the question differs from the kept one" in text
    assert "trial_0002_01.json" in text
    assert "\n  - - run 1: 0.522;" in text
    assert "\n  + - run 1: 0.5" in text


def test_a_search_that_goes_on_beyond_its_kept_exchanges_says_so(tmp_path):
    with OpenAiServer(good()) as server:
        searched(mind(live(server), tmp_path / "a"), 2)
    with pytest.raises(ReplayDiffers, match=r"trial 4: the LLM was not asked here \(.* 0, 2\)"):
        searched(mind(Replay(tmp_path / "a"), tmp_path / "b"), 3)


def test_another_number_of_proposals_is_another_question(tmp_path):
    with OpenAiServer(good()) as server:
        mind(live(server), tmp_path / "a").propose(EMPTY, 2)
    with pytest.raises(ReplayDiffers, match="trial 0: the question differs"):
        mind(Replay(tmp_path / "a"), tmp_path / "b").propose(EMPTY, 1)


def test_without_exchanges_there_is_nothing_to_replay(tmp_path):
    for content in (None, "{", "[]", '{"schema": 1, "answer": "from an older version"}'):
        if content is not None:
            (tmp_path / "trial_0000_01.json").write_text(content)
        with pytest.raises(ConfigurationError, match=r"llm\.replay: .* holds no exchanges"):
            Replay(tmp_path)


def test_exchanges_are_read_in_the_order_of_numbers_not_of_names(tmp_path):
    log = ExchangeLog(tmp_path)
    for place in (9999, 10000, 3):
        for _ in range(11 if place == 3 else 1):
            log.keep(place, {"answer": place})
    (tmp_path / "trial_notes.json").write_text('{"answer": 1}')
    found = [path for path, _ in read_exchanges(tmp_path)]
    assert [first_trial(path) for path in found] == [-1, *[3] * 11, 9999, 10000]
    assert found[2].name < found[11].name
    assert found[11].name == "trial_0003_11.json"


def test_times_are_no_difference():
    assert differing(["run 1: 0.5; 3.2 s"], ["run 1: 0.5; 11 s"]) == []
    assert differing(["a 2 min", "b"], ["a 5 min", "c"]) == ["- b", "+ c"]


@pytest.mark.parametrize(
    ("usage", "prices", "cost"),
    [
        ({"input_tokens": 10**6, "output_tokens": 10**6}, {"prompt": 1.5}, 1.5),
        ({"input_tokens": 10**6, "output_tokens": 10**6}, {"prompt": 1.5, "completion": 2}, 3.5),
        ({"input_tokens": 10**6}, {"completion": 2.0}, None),
        ({}, {"prompt": 1.0, "completion": 1.0}, None),
        ({"input_tokens": 5}, {}, None),
        ({"input_tokens": 5}, {"prompt": 0.0}, 0.0),
    ],
)
def test_what_an_exchange_cost(usage, prices, cost):
    found = cost_of(usage, PriceSettings(**{k: float(v) for k, v in prices.items()}))
    assert found == (None if cost is None else {"amount": cost, "currency": "USD"})


def test_an_exchange_is_json_whatever_was_said(tmp_path):
    path = ExchangeLog(tmp_path).keep(0, {"answer": "\ud800\x00", "usage": {}})
    assert json.loads(path.read_bytes())["answer"] == "\ud800\x00"
