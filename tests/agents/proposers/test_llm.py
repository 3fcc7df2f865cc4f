"""The LLM proposer against a real server on loopback that answers well, badly, late, or not."""

import json
import stat
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai_server import (
    MODEL,
    Answer,
    OpenAiServer,
    completion,
    dripping,
    error,
    html,
    in_text,
    proposals,
    reset,
    says,
    slow,
)
from spaces import EMPTY, enter, finish

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    LlmSettings,
    SamplerSettings,
)
from agents.errors import ConfigurationError
from agents.proposers import Proposed
from agents.proposers.advisor import Advisor
from agents.proposers.breaker import Breaker
from agents.proposers.endpoint import MAX_WAIT, Endpoint
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.llm import LlmProposer
from agents.proposers.outages import wait_before_next
from agents.proposers.pending import with_pending
from agents.proposers.prompt import task_card
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace
from agents.trial import Proposal

PARAMETERS = {
    "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log", description="step size"),
    "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
    "momentum": FloatParameter(type="float", low=0, high=0.9, when={"opt": "sgd"}),
    "width": FixedParameter(type="fixed", value=8),
}
SPACE = SearchSpace.build(PARAMETERS, ["lr < 0.05"])
ONE = {"lr": 0.001, "opt": "adam", "momentum": None}
TWO = {"lr": 0.002, "opt": "sgd", "momentum": 0.5}
KEY = "sk-very-secret-4711"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Makes an LLM proposer for a server; remembers what it slept."""
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Lab(tmp_path / "exchanges")


class Lab:
    def __init__(self, directory):
        self.directory = directory
        self.slept = []

    def sleep(self, seconds):
        if seconds:  # else it is a look whether anybody wants to leave
            self.slept.append(seconds)

    def proposer(self, server, repair_attempts=2, **settings):
        url = server if isinstance(server, str) else server.url
        options = {"base_url": url, "model": MODEL, "timeout": 60.0, "max_retries": 2, **settings}
        sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
        card = task_card(SPACE, "accuracy_auc", "maximize", 20, "tell digits apart", {"epochs": 3})
        endpoint = Endpoint(LlmSettings(**options), sleep=self.sleep)
        log = ExchangeLog(self.directory)
        return LlmProposer(Advisor(SPACE, card, endpoint, log, repair_attempts), sampler)

    def exchanges(self):
        return [json.loads(path.read_text()) for path in sorted(self.directory.glob("*.json"))]


def origins(proposed):
    return [proposal.origin for proposal in proposed.proposals]


def test_a_persons_own_fields_go_with_each_request(lab):
    own = {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"}
    with OpenAiServer(says("no idea")) as server:
        lab.proposer(server, extra_body=own).propose(EMPTY, 2)
    assert len(server.requests) == 3
    assert all(own.items() <= request.items() for request in server.requests)


@pytest.mark.parametrize("written", [json.dumps, json.loads], ids=["twice", "not at all"])
def test_arguments_that_a_server_encodes_twice_or_not_at_all(lab, written):
    def step(body):
        return Answer(completion(tool_arguments=written(proposals(ONE))))

    with OpenAiServer(step, supports=("tool",)) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert origins(proposed) == ["llm"]
    assert dict(proposed.proposals[0].parameters) == {"lr": 0.001, "opt": "adam", "width": 8}
    assert len(server.requests) == 2  # json_schema was refused


def test_of_more_proposals_than_were_wanted_the_first_good_ones_are_taken(lab):
    outside = {"lr": 7.0, "opt": "adam", "momentum": None}
    with OpenAiServer(says(proposals(outside, ONE, TWO))) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert len(server.requests) == 1
    assert dict(proposed.proposals[0].parameters) == {"lr": 0.001, "opt": "adam", "width": 8}
    [exchange] = lab.exchanges()
    assert len(exchange["accepted"]) == 1
    assert len(exchange["refused"]) == 1
    assert "lr" in exchange["refused"][0]


def test_a_good_answer_is_what_is_proposed(lab):
    with OpenAiServer(says(proposals(ONE, TWO, rationale="a good start"))) as server:
        proposed = lab.proposer(server, temperature=0.3, max_tokens=777).propose(EMPTY, 2)
    assert [dict(proposal.parameters) for proposal in proposed.proposals] == [
        {"lr": 0.001, "opt": "adam", "width": 8},
        {"lr": 0.002, "opt": "sgd", "momentum": 0.5, "width": 8},
    ]
    assert origins(proposed) == ["llm", "llm"]
    assert proposed.proposals[0].rationale == "a good start"
    assert proposed.proposals[0].predicted == 0.5
    assert proposed.proposals[0].fallback_reason is None
    assert not proposed.notices
    [request] = server.requests
    assert request["temperature"] == 0.3
    assert request["max_tokens"] == 777
    schema = request["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["proposals"]["minItems"] == 2
    for said in ("tell digits apart", "epochs = 3", "step size", "lr < 0.05", "maximize"):
        assert said in request["messages"][0]["content"]


WRAPPED = {
    "prose": "Sure! Here is what I would try:\n{}\nGood luck!",
    "fence": "```json\n{}\n```",
    "thinking": '<think>maybe {{"proposals": [{{"parameters": {{"lr": 9}}}}]}}</think>\n{}',
    "thinking without a beginning": "I wonder whether lr = 9 … </think>{}",
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_stands_around_an_answer_does_no_harm(lab, name):
    text = WRAPPED[name].format(proposals(ONE))
    with OpenAiServer(in_text(text)) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert origins(proposed) == ["llm"]
    assert proposed.proposals[0].parameters["lr"] == 0.001


def test_an_answer_that_was_cut_off_gives_what_is_complete_and_is_asked_for_the_rest(lab):
    cut = proposals(ONE, TWO)[:-30]
    with OpenAiServer(says(cut, finish_reason="length"), says(proposals(TWO))) as server:
        proposed = lab.proposer(server).propose(EMPTY, 2)
    assert origins(proposed) == ["llm", "llm"]
    complaint = server.requests[1]["messages"][-1]["content"]
    assert "2 proposals were asked for, 1 came" in complaint
    assert "exactly 1 new proposal" in complaint


def test_what_is_outside_the_space_goes_back_with_every_reason(lab):
    wrong = {"lr": 7.0, "opt": "lion", "momentum": None, "depth": 3}
    with OpenAiServer(says(proposals(wrong)), says(proposals(ONE))) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert origins(proposed) == ["llm"]
    assert not proposed.notices
    _, answer, complaint = server.requests[1]["messages"]
    assert answer == {"role": "assistant", "content": proposals(wrong)}
    for reason in ("7 is not between", "'lion' is not one of adam, sgd", "depth: there is no"):
        assert reason in complaint["content"]


def test_a_value_that_means_nothing_beside_the_others_is_left_out(lab):
    with OpenAiServer(says(proposals({**ONE, "momentum": 0.7}, {**TWO, "opt": ["sgd"]}))) as server:
        proposed = lab.proposer(server).propose(EMPTY, 2)
    first, second = proposed.proposals
    assert (first.origin, first.parameters) == ("llm", {"lr": 0.001, "opt": "adam", "width": 8})
    assert second.origin == "sampler"


def test_repair_is_bounded_and_the_sampler_fills_in_with_the_reason(lab):
    with OpenAiServer(says(proposals({**ONE, "lr": 0.09}))) as server:
        proposed = lab.proposer(server, repair_attempts=2).propose(EMPTY, 2)
    assert len(server.requests) == 3
    assert origins(proposed) == ["sampler", "sampler"]
    assert "breaks the constraint `lr < 0.05`" in proposed.proposals[0].fallback_reason
    assert len(proposed.notices) == 1
    assert proposed.notices[0].startswith("The sampler filled 2 of 2 slots")


def test_repeats_of_any_trial_and_within_an_answer_go_back(lab):
    with OpenAiServer(
        says(proposals(ONE, ONE)), says(proposals(ONE)), says(proposals(TWO))
    ) as server:
        mind = lab.proposer(server)
        first = mind.propose(EMPTY, 2)
    assert "twice" in server.requests[1]["messages"][-1]["content"]
    assert origins(first) == ["llm", "llm"]
    view = finish(enter(EMPTY, first), lambda _: 0.5, leave_running={1})
    with OpenAiServer(says(proposals(ONE)), says(proposals(TWO))) as server:
        again = lab.proposer(server, repair_attempts=1).propose(view, 1)
    assert "run 0 has had exactly these values (completed)" in again_text(server)
    assert origins(again) == ["sampler"]
    assert "run 1 has had exactly these values (running)" in again.proposals[0].fallback_reason


def test_what_is_nearly_a_repeat_goes_back_too(lab):
    view = enter(EMPTY, Proposed([Proposal({"lr": 0.001, "opt": "adam", "width": 8}, "user")]))
    script = says(proposals({**ONE, "lr": 0.00101})), says(proposals({**ONE, "lr": 0.002}))
    with OpenAiServer(*script) as server:
        proposed = lab.proposer(server).propose(view, 1)
    assert "run 0 is so near" in again_text(server)
    assert proposed.proposals[0].parameters["lr"] == 0.002


def test_a_trial_from_before_the_space_was_changed_is_no_obstacle(lab):
    old = Proposal({"lr": 0.5, "opt": "lion"}, "user")
    with OpenAiServer(says(proposals(ONE))) as server:
        proposed = lab.proposer(server).propose(enter(EMPTY, Proposed([old])), 1)
    assert origins(proposed) == ["llm"]


def again_text(server):
    return server.requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("supports", "refuses_with", "expected"),
    [
        (("json_schema", "tool"), 400, ["json_schema", "json_schema"]),
        (("tool",), 400, ["json_schema", "tool", "tool"]),
        (("tool",), 500, ["json_schema", "json_schema", "tool", "tool"]),
        ((), 400, ["json_schema", "tool", "text", "text"]),
        ((), 422, ["json_schema", "tool", "text", "text"]),
    ],
)
def test_the_way_of_asking_is_found_once_and_remembered(lab, supports, refuses_with, expected):
    script = says(proposals(ONE)), says(proposals(TWO))
    with OpenAiServer(*script, supports=supports, refuses_with=refuses_with) as server:
        mind = lab.proposer(server)
        view = enter(EMPTY, mind.propose(EMPTY, 1))
        proposed = mind.propose(view, 1)
    assert server.methods == expected
    assert origins(proposed) == ["llm"]
    if expected[-1] == "text":
        assert '"additionalProperties"' in server.requests[-1]["messages"][0]["content"]


def test_a_way_of_asking_that_has_worked_is_not_given_up_for_one_refusal(lab):
    script = says(proposals(ONE)), error(400, "the prompt is too long"), says(proposals(TWO))
    with OpenAiServer(*script) as server:
        mind = lab.proposer(server)
        view = enter(EMPTY, mind.propose(EMPTY, 1))
        refused = mind.propose(view, 1)
        mind.propose(enter(view, refused), 1)
    assert server.methods == ["json_schema"] * 3
    assert "the prompt is too long" in refused.notices[0]


def test_the_sampler_sees_what_the_llm_has_just_proposed(lab):
    with OpenAiServer(says(proposals(ONE))) as server:
        accepted, filled = lab.proposer(server).propose(EMPTY, 2).proposals
    assert (accepted.origin, filled.origin) == ("llm", "sampler")
    alone = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
    assert (
        filled.parameters
        == alone.propose(with_pending(EMPTY, [accepted]), 1).proposals[0].parameters
    )


def test_a_server_that_answers_a_tool_call_in_text_is_understood(lab):
    with OpenAiServer(in_text(proposals(ONE)), supports=("tool",)) as server:
        assert origins(lab.proposer(server).propose(EMPTY, 1)) == ["llm"]


def test_a_broken_tool_call_goes_back_like_any_other_answer(lab):
    with OpenAiServer(says("{'lr': oops"), says(proposals(ONE)), supports=("tool",)) as server:
        assert origins(lab.proposer(server).propose(EMPTY, 1)) == ["llm"]
    assert "held no proposal" in again_text(server) or "held no proposal" in str(server.requests)


def test_retry_after_is_obeyed_within_a_bound(lab):
    script = (
        error(429, "slow down", Retry_After="7"),
        error(429, "slow down", Retry_After="9999"),
        says(proposals(ONE)),
    )
    with OpenAiServer(*script) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert origins(proposed) == ["llm"]
    assert lab.slept == [7.0, MAX_WAIT]


@pytest.mark.parametrize(
    ("trouble", "timeout"),
    [(error(503, "loading"), 60.0), (reset, 60.0), (slow(300), 3.0)],
    ids=["503", "reset", "slow"],
)
def test_what_passes_is_tried_again(lab, trouble, timeout):
    with OpenAiServer(trouble, says(proposals(ONE))) as server:
        proposed = lab.proposer(server, timeout=timeout).propose(EMPTY, 1)
    assert origins(proposed) == ["llm"]
    assert len(lab.slept) == 1


AWAY = {
    "503": (error(503, "loading model"), ["HTTP 503", "loading model"]),
    "500": (error(500, "CUDA error"), ["HTTP 500", "CUDA error"]),
    "429": (error(429, "quota"), ["rate limit", "quota"]),
    "reset": (reset, ["cannot be reached", "llm.base_url"]),
    "slow": (slow(1.0), ["did not answer within 0.3 s", "llm.timeout"]),
    "dripping": (dripping(1.5), ["did not answer within 0.3 s", "llm.timeout"]),
    "html": (html, ["no chat completion", "llm.base_url"]),
    "400": (error(400, "max_tokens is too large"), ["HTTP 400", "llm.max_tokens"]),
}


@pytest.mark.parametrize("name", AWAY)
def test_an_endpoint_that_fails_leaves_the_sampler_and_one_plain_notice(lab, name):
    trouble, words = AWAY[name]
    with OpenAiServer(trouble) as server:
        timeout = 0.3 if "llm.timeout" in words else 60.0
        mind = lab.proposer(server, timeout=timeout, max_retries=1)
        proposed = mind.propose(EMPTY, 2)
        again = mind.propose(enter(EMPTY, proposed), 1)
    assert origins(proposed) == ["sampler", "sampler"]
    assert origins(again) == ["sampler"]
    assert len(proposed.notices) == 1
    assert not again.notices
    for word in words:
        assert word in proposed.notices[0]
        assert word in proposed.proposals[0].fallback_reason


def test_the_sampler_fills_in_with_what_it_would_have_proposed_alone(lab):
    with OpenAiServer(error(503)) as server:
        proposed = lab.proposer(server).propose(EMPTY, 3)
    alone = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize").propose(EMPTY, 3)
    assert [one.parameters for one in proposed.proposals] == [
        one.parameters for one in alone.proposals
    ]


def test_a_redirect_to_a_login_page_is_no_answer(lab):
    with OpenAiServer(error(302, Location="/login")) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert origins(proposed) == ["sampler"]
    assert len(proposed.notices) == 1


def test_nobody_at_home_is_said_with_the_address(lab):
    with OpenAiServer(html) as server:
        url = server.url
    proposed = lab.proposer(url, max_retries=0).propose(EMPTY, 1)
    assert origins(proposed) == ["sampler"]
    assert f"{MODEL} at {url} cannot be reached" in proposed.notices[0]
    assert "refused" in proposed.notices[0]


def test_a_refused_key_is_named_by_its_variable_and_shown_nowhere(lab):
    with OpenAiServer(says(proposals(ONE)), key="another") as server:
        mind = lab.proposer(server, api_key_env="TEST_LLM_KEY")
        proposed = mind.propose(EMPTY, 1)
    assert "HTTP 401" in proposed.notices[0]
    assert "environment variable TEST_LLM_KEY" in proposed.notices[0]
    assert KEY not in str(proposed)
    assert len(lab.exchanges()) == 1
    assert not any(KEY in path.read_text() for path in lab.directory.iterdir())


def test_a_model_that_the_server_lacks_is_answered_with_those_that_it_has(lab):
    with OpenAiServer(says(proposals(ONE))) as server:
        proposed = lab.proposer(server, model="gpt-99").propose(EMPTY, 1)
    assert "gpt-99" in proposed.notices[0]
    assert f"set llm.model to one that it has: {MODEL}" in proposed.notices[0]


def test_an_endpoint_that_comes_back_is_noticed(lab):
    with OpenAiServer(error(503), says(proposals(ONE))) as server:
        mind = lab.proposer(server, max_retries=0)
        view = enter(EMPTY, mind.propose(EMPTY, 1))
        proposed = mind.propose(view, 1)
    assert origins(proposed) == ["llm"]
    assert list(proposed.notices) == ["The LLM proposes again."]


def test_a_passing_500_does_not_spoil_the_way_of_asking(lab):
    with OpenAiServer(error(500), says(proposals(ONE))) as server:
        proposed = lab.proposer(server).propose(EMPTY, 1)
    assert origins(proposed) == ["llm"]
    assert server.methods == ["json_schema", "json_schema"]


def test_after_a_failure_of_everything_the_ladder_begins_again_at_its_top(lab):
    with OpenAiServer(*[error(500)] * 3, says(proposals(ONE))) as server:
        mind = lab.proposer(server, max_retries=0)
        view = enter(EMPTY, mind.propose(EMPTY, 1))
        proposed = mind.propose(view, 1)
    assert server.methods == ["json_schema", "tool", "text", "json_schema"]
    assert origins(proposed) == ["llm"]


def test_the_breaker_asks_less_and_less_often():
    breaker, asked = Breaker(), []
    for call in range(60):
        if breaker.lets_pass():
            asked.append(call)
            breaker.failed("away")
    assert asked == [0, 1, 3, 7, 15, 31, 47]
    breaker.worked()
    assert breaker.is_closed
    assert breaker.lets_pass()


def test_exchanges_are_kept_whole_and_private(lab):
    with OpenAiServer(says(proposals({**ONE, "lr": 5})), says(proposals(ONE)), key=KEY) as server:
        lab.proposer(server, api_key_env="TEST_LLM_KEY").propose(EMPTY, 1)
        lab.proposer(server, api_key_env="TEST_LLM_KEY").propose(EMPTY, 1)
    names = sorted(path.name for path in lab.directory.iterdir())
    assert names == ["trial_0000_01.json", "trial_0000_02.json", "trial_0000_03.json"]
    first, second, _ = lab.exchanges()
    assert first["answer"] == proposals({**ONE, "lr": 5})
    assert first["refused"] == ["lr: 5 is not between 1e-5 and 0.1"]
    assert second["accepted"] == [{"lr": 0.001, "opt": "adam", "width": 8}]
    assert second["method"] == "json_schema"
    assert second["usage"] == {"input_tokens": 11, "output_tokens": 7}
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    for path in lab.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert KEY not in path.read_text()
        assert "Bearer" not in path.read_text()


def test_a_key_that_the_server_repeats_is_not_kept(lab):
    with OpenAiServer(says(f"your key is {KEY}"), key=KEY) as server:
        proposed = lab.proposer(server, api_key_env="TEST_LLM_KEY").propose(EMPTY, 1)
    assert KEY not in str(proposed)
    assert len(lab.exchanges()) == 3
    assert lab.exchanges()[1]["messages"][1]["content"] == "your key is ***"
    assert KEY not in json.dumps(lab.exchanges())


def test_words_of_the_llm_are_made_harmless(lab):
    nasty = "$(rm -rf /) {{ 7*7 }} ../../etc \x1b[31mred\x07 \u202egnp \ud800 " + "x" * 9000
    with OpenAiServer(says(proposals(ONE, rationale=nasty))) as server:
        [proposal] = lab.proposer(server).propose(EMPTY, 1).proposals
    assert len(proposal.rationale) <= 500
    assert "{{ 7*7 }}" in proposal.rationale
    assert proposal.rationale.isprintable()
    proposal.rationale.encode()


@pytest.mark.parametrize("key", ["sk-4711\nx: y", "sk-4711\u2026"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(lab, monkeypatch, key):
    monkeypatch.setenv("TEST_LLM_KEY", key)
    with pytest.raises(ConfigurationError, match="TEST_LLM_KEY holds") as caught:
        lab.proposer("http://127.0.0.1:1/v1", api_key_env="TEST_LLM_KEY")
    assert "4711" not in str(caught.value)


def test_a_missing_key_and_a_half_endpoint_are_the_configurations_fault(lab, monkeypatch):
    monkeypatch.delenv("TEST_LLM_KEY")
    with pytest.raises(ConfigurationError, match="TEST_LLM_KEY is not set"):
        lab.proposer("http://127.0.0.1:1/v1", api_key_env="TEST_LLM_KEY")
    with pytest.raises(ConfigurationError, match="belong together"):
        lab.proposer("http://127.0.0.1:1/v1", model=None)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://[::1/v1", "http:///v1"]
)
def test_an_address_that_is_none_is_the_configurations_fault(lab, url):
    with pytest.raises(ConfigurationError, match=r"llm\.base_url"):
        lab.proposer(url)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_body_of_any_shape_ends_the_run(lab, data):
    body = completion(proposals(ONE))
    place = data.draw(
        st.sampled_from(
            [
                ("choices",), ("choices", 0), ("choices", 0, "message"), ("usage",), ("model",),
                ("choices", 0, "message", "content"), ("choices", 0, "message", "tool_calls"),
                ("choices", 0, "finish_reason"), ("usage", "prompt_tokens"), ("id",), ("created",),
                ("choices", 0, "message", "refusal"), ("choices", 0, "message", "role"),
                ("error",), (),
            ]
        )
    )  # fmt: skip
    value = data.draw(JSON)
    if not place:
        body = value
    else:
        inner = body
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    status = data.draw(st.sampled_from([200, 200, 200, 201, 404, 500]))
    with OpenAiServer(lambda _: Answer(body, status)) as server:
        proposed = lab.proposer(server, max_retries=0, repair_attempts=0).propose(EMPTY, 1)
    assert len(proposed.proposals) == 1
    assert origins(proposed) == ["llm"] or proposed.proposals[0].fallback_reason


@pytest.mark.parametrize("text", ["", "{", "null", '{"choices": [{"message": {}}]}', "\x00"])
def test_no_text_of_any_shape_ends_the_run(lab, text):
    with OpenAiServer(lambda _: Answer(text)) as server:
        proposed = lab.proposer(server, max_retries=0).propose(EMPTY, 1)
    assert proposed.proposals[0].fallback_reason


def test_passwords_in_an_address_are_not_shown(lab):
    mind = lab.proposer("http://me:hush@127.0.0.1:1/v1?token=hush", max_retries=0)
    proposed = mind.propose(EMPTY, 1)
    assert "hush" not in str(proposed)
    assert "hush" not in json.dumps(lab.exchanges())


def test_a_resumed_sampler_state_goes_through_an_llm_that_fills_everything(lab):
    view = replace(EMPTY, sampler_state={"qmc": 3})
    with OpenAiServer(says(proposals(ONE))) as server:
        assert lab.proposer(server).propose(view, 1).sampler_state == {"qmc": 3}


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("Wed, 21 Oct 2099 07:28:00 GMT", 60, 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("7", 7, 7),
        ("nan", 0.75, 1.25),
        ("soon", 0.75, 1.25),
    ],
)
def test_retry_after_is_a_number_or_a_date(asked, least, most):
    assert least <= wait_before_next(1, asked) <= most
