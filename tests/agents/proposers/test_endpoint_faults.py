"""Endpoints as they fail: what is said of each, with what to do. Beside `test_llm`."""

import json
import os
import time

import pytest
from openai_server import (
    MODEL,
    Answer,
    OpenAiServer,
    completion,
    error,
    proposals,
    says,
)
from spaces import EMPTY

from agents.config.model import FloatParameter, LlmSettings, SamplerSettings
from agents.errors import ConfigurationError
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import MAX_WAIT, Endpoint
from agents.proposers.exchanges import ExchangeLog, read_exchanges
from agents.proposers.llm import LlmProposer
from agents.proposers.prompt import task_card
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace

SPACE = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=1)}, [])
GOOD = proposals({"x": 0.5})
NGINX = """<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>nginx/1.18.0</center>\r
</body>\r
</html>\r
"""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "exchanges")


class Lab:
    def __init__(self, directory):
        self.directory = directory
        self.slept = []

    def mind(self, server, repair_attempts=0, **settings):
        options = {"base_url": server.url, "model": MODEL, "timeout": 60.0, "max_retries": 0}
        endpoint = Endpoint(LlmSettings(**options | settings), sleep=self.slept.append)
        card = task_card(SPACE, "accuracy_auc", "maximize", 20, "", {})
        log = ExchangeLog(self.directory)
        advisor = Advisor(SPACE, card, endpoint, log, repair_attempts)
        sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
        return LlmProposer(advisor, sampler)

    def proposed(self, server, repair_attempts=0, **settings):
        """One proposal, of whomever."""
        [proposal] = self.mind(server, repair_attempts, **settings).propose(EMPTY, 1).proposals
        return proposal


def page(status, text, **headers):
    return lambda _: Answer(text, status, headers, "text/html")


def message(finish_reason="stop", **said):
    """An answer with these fields of a message."""
    return lambda _: Answer(completion(finish_reason=finish_reason, **said))


def cut_call(body):
    """As llama-cpp-python ends a forced call: the reason is the call, whatever its length."""
    usage = {"prompt_tokens": 11, "completion_tokens": body["max_tokens"], "total_tokens": 11}
    return Answer({**completion(tool_arguments=GOOD[:30]), "usage": usage})


REDIRECTED = "no chat completion (a web page, a login, another service?): check llm.base_url"
CUT = "it was cut off: be brief (a person can raise llm.max_tokens)"
THOUGHT = (
    "its thoughts took all of its tokens: think less (a person can raise llm.max_tokens, or have"
)
AWAY = {
    "a proxy's page": (page(502, NGINX), ["failed (HTTP 502: a web page, 502 Bad Gateway): see"]),
    "a proxy's time-out": (page(504, "upstream request timeout"), ["HTTP 504", "server's log"]),
    "a page without a title": (
        page(503, "<html><style>p {x}</style><body><p>Back <b>soon</b></body>"),
        ["HTTP 503: a web page, Back soon)"],
    ),
    "a wrong path": (page(404, NGINX.replace("502 Bad", "404 Bad")), ["HTTP 404", "/v1 for most"]),
    "a redirect to a login page": (page(302, "", Location="/login"), [REDIRECTED]),
    "a redirect in circles": (page(302, "", Location="/circle"), ["redirects", "llm.base_url"]),
    "another service's JSON": (lambda _: Answer({"detail": "hello"}), [REDIRECTED]),
    "no choices": (lambda _: Answer({"choices": []}), [REDIRECTED]),
    "an error as an answer": (
        lambda _: Answer({"error": {"message": "Provider returned error", "code": 502}}),
        ["answered with an error (Provider returned error)"],
    ),
    "no credit": (error(402, "Insufficient credits"), ["wants to be paid", "your account"]),
    "no key where one is wanted": (
        error(401, "No api key passed in."),
        ["wants a key, and is shown none (HTTP 401: No api key", "llm.api_key_env"],
    ),
}
UNUSABLE = {
    "nothing": (message(content=""), ["the answer was empty"]),
    "spaces": (message(content=" \n"), ["the answer was empty"]),
    "nothing but thoughts": (message(content="<think>well</think>"), ["the answer was empty"]),
    "thoughts without an end": (
        message("length", content='<think>perhaps {"proposals": [{"parameters": {"x": 0.5}}]}'),
        ["the answer was empty", THOUGHT],
    ),
    "thoughts in a field of their own": (
        message("length", reasoning_content="perhaps 0.5"),
        ["the answer was empty", THOUGHT],
    ),
    "cut off before a proposal": (
        message("length", content=GOOD[:30]),
        ["held no proposal", CUT, 'it said "{"proposals"'],
    ),
    "a forced call that was cut off": (cut_call, ["held no proposal", CUT]),
    "a refusal in words": (
        message(content="I'm sorry, I can't help with that."),
        ["held no proposal", "it said \"I'm sorry, I can't help with that.\""],
    ),
    "a refusal in its field": (
        message(refusal="Not with me."),
        ["held no proposal", 'it said "Not with me."'],
    ),
    "a filter": (message("content_filter"), ["the provider's filter held it back", "llm.prompt"]),
}


FAULTS = AWAY | UNUSABLE


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_said_with_what_to_do(lab, name):
    step, words = FAULTS[name]
    with OpenAiServer(step) as server:
        server.pages = {
            "/login": Answer("<!doctype html><title>Sign in</title>", content_type="text/html"),
            "/circle": Answer("", 302, {"Location": "/circle"}),
        }
        proposal = lab.proposed(server)
    assert proposal.origin == "sampler"
    for word in words:
        assert word in proposal.fallback_reason
    [(_, exchange)] = read_exchanges(lab.directory)
    assert exchange["error"] or exchange["refused"]


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_wrong_goes_back_and_a_good_answer_is_taken(lab, name):
    step, words = UNUSABLE[name]
    with OpenAiServer(step, says(GOOD)) as server:
        assert lab.proposed(server, repair_attempts=1).origin == "llm"
    complaint = server.requests[1]["messages"][-1]["content"]
    assert words[0] in complaint


@pytest.mark.parametrize(
    ("date", "waited"),
    [("Fri, 25 Nov 2099 07:28:00 GMT", MAX_WAIT), ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0)],
)
def test_retry_after_may_be_a_date(lab, date, waited):
    with OpenAiServer(error(429, "slow down", Retry_After=date), says(GOOD)) as server:
        assert lab.proposed(server, max_retries=1).origin == "llm"
    assert lab.slept == [waited]


def test_retry_after_as_a_date_counts_from_now(lab, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 784111777.0 - 17)
    soon = error(503, "loading", Retry_After="Sun, 06 Nov 1994 08:49:37 GMT")
    with OpenAiServer(soon, says(GOOD)) as server:
        assert lab.proposed(server, max_retries=1).origin == "llm"
    assert lab.slept == [17.0]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_missing_model_is_named_with_those_there_are_whatever_the_status(lab, status):
    class Other(OpenAiServer):
        def answer(self, headers, body):
            self.requests.append(body)
            return error(status, f"Invalid model: {body['model']}")(body)

    with Other(says(GOOD)) as server:
        reason = lab.proposed(server, model="gpt-99").fallback_reason
    assert f"HTTP {status}" in reason
    assert "Invalid model: gpt-99)" in reason
    assert f"set llm.model to one that it has: {MODEL}" in reason


def test_a_list_of_models_that_cannot_be_had_is_no_second_trouble(lab):
    class Broken(OpenAiServer):
        def answer(self, headers, body):
            return error(404, "no such model")(body)

        def listed(self, headers):
            return error(400, "no")(None)

    with Broken(says(GOOD)) as server:
        reason = lab.proposed(server).fallback_reason
    assert "HTTP 404 (no such model): check llm.base_url" in reason


def test_a_place_that_is_not_there_is_not_put_down_to_the_model(lab):
    with OpenAiServer(error(404, "Not Found")) as server:
        reason = lab.proposed(server).fallback_reason
    assert "check llm.base_url (it ends in /v1 for most servers)" in reason
    assert "to one that it has" not in reason


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_said_before_anything_is_asked(lab, monkeypatch, value):
    monkeypatch.delenv("TEST_LLM_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_LLM_KEY", value)
    with (
        OpenAiServer(says(GOOD)) as server,
        pytest.raises(ConfigurationError, match=r"`export TEST_LLM_KEY=…` before the run"),
    ):
        lab.proposed(server, api_key_env="TEST_LLM_KEY")
    assert server.requests == []
    assert os.environ.get("TEST_LLM_KEY") == value


def strict(**limits):
    """A step that refuses what OpenAI's reasoning models and a short context refuse."""

    def step(body):
        if "max_tokens" in body and limits.get("reasoning"):
            return error(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
            )(body)
        if "temperature" in body and limits.get("reasoning"):
            return error(
                400,
                "Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
                "default (1) value is supported.",
            )(body)
        if body.get("max_tokens", 0) > limits.get("room", 10_000):
            return error(
                400,
                f"'max_tokens' or 'max_completion_tokens' is too large: {body['max_tokens']}. This "
                "model's maximum context length is 8192 tokens and your request has 6100 input "
                f"tokens ({body['max_tokens']} > 8192 - 6100).",
            )(body)
        return says(GOOD)(body)

    return step


def test_a_model_that_takes_no_temperature_is_asked_without_one_and_this_is_said(lab):
    with OpenAiServer(strict(reasoning=True)) as server:
        mind = lab.mind(server)
        first, again = mind.propose(EMPTY, 1), mind.propose(EMPTY, 1)
    assert [one.origin for one in (*first.proposals, *again.proposals)] == ["llm", "llm"]
    assert server.methods == ["json_schema"] * 4
    assert server.requests[-1]["max_completion_tokens"] == 4000
    assert first.notices == ["The model does not take llm.temperature; its own is used."]
    assert not again.notices


def test_a_context_that_is_too_short_for_the_answer_shortens_it_and_this_is_said(lab):
    with OpenAiServer(says(GOOD), strict(room=2092), strict(room=2092)) as server:
        mind = lab.mind(server)
        mind.propose(EMPTY, 1)
        second, third = mind.propose(EMPTY, 1), mind.propose(EMPTY, 1)
    assert [one.origin for one in (*second.proposals, *third.proposals)] == ["llm", "llm"]
    assert [body["max_tokens"] for body in server.requests] == [4000, 4000, 2000, 2000]
    [notice] = second.notices
    assert "an answer gets 2000" in notice
    assert not third.notices


def test_a_question_that_is_longer_than_the_context_is_said_with_the_keys_to_lower(lab):
    refused = error(400, "the request exceeds the available context size, try increasing it")
    with OpenAiServer(says(GOOD), refused) as server:
        mind = lab.mind(server)
        mind.propose(EMPTY, 1)
        [proposal] = mind.propose(EMPTY, 1).proposals
    assert "lower llm.prompt_tokens and llm.max_tokens" in proposal.fallback_reason
    assert [body["max_tokens"] for body in server.requests] == [4000, 4000, 2000, 1000, 500]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_guided_answer_that_is_taken_for_a_thought_is_the_answer(lab, field):
    # As vLLM with a parser of thoughts and a model that does not think.
    with OpenAiServer(message(content=None, **{field: GOOD})) as server:
        assert lab.proposed(server).origin == "llm"
    assert server.methods == ["json_schema"]


def test_a_server_that_hands_on_thoughts_alone_is_asked_in_another_way(lab):
    def lost(body):
        if "response_format" in body:
            return Answer(completion(None, reasoning_content=f"Perhaps {GOOD}"))
        return says(GOOD)(body)

    with OpenAiServer(lost) as server:
        mind = lab.mind(server, repair_attempts=2)
        proposed = [*mind.propose(EMPTY, 1).proposals, *mind.propose(EMPTY, 1).proposals]
    assert [one.origin for one in proposed] == ["llm", "llm"]
    assert server.methods == ["json_schema", "tool", "tool"]


def test_an_answer_of_nothing_proves_no_way_of_asking(lab):
    with OpenAiServer(*[message(content="")] * 3, says(GOOD)) as server:
        mind = lab.mind(server, repair_attempts=2)
        assert mind.propose(EMPTY, 1).proposals[0].origin == "sampler"
        assert mind.propose(EMPTY, 1).proposals[0].origin == "llm"
    assert server.methods == ["json_schema", "tool", "text", "json_schema"]


def test_a_thinker_sees_its_answer_and_not_its_thoughts_with_what_was_wrong(lab):
    wrong = proposals({"x": 7})
    thought = f"<think>{'well ' * 2000}</think>{wrong}"
    with OpenAiServer(message(content=thought), says(GOOD)) as server:
        assert lab.proposed(server, repair_attempts=1).origin == "llm"
    assert server.requests[1]["messages"][1]["content"] == wrong


def test_half_a_character_in_an_answer_can_be_sent_back(lab):
    half = json.dumps(completion("well \\ud83d")).replace("\\\\", "\\")
    with OpenAiServer(lambda _: Answer(half), says(GOOD)) as server:
        assert lab.proposed(server, repair_attempts=1).origin == "llm"
    assert server.requests[1]["messages"][1]["content"] == "well ?"


def test_a_proxy_of_the_environment_is_named_without_its_password(lab, monkeypatch):
    # Login nodes have one, and it is asked for localhost as well.
    with OpenAiServer(says(GOOD)) as gone:
        at = gone.url.removesuffix("/v1").removeprefix("http://")
    monkeypatch.setenv("http_proxy", f"http://me:s3cret@{at}")
    with OpenAiServer(says(GOOD)) as server:
        reason = lab.proposed(server).fallback_reason
        assert f"the environment's proxy {at}, if that is wrong set NO_PROXY" in reason
        assert "s3cret" not in reason
        monkeypatch.setenv("no_proxy", "127.0.0.1")  # clients are kept by address and time-out
        assert lab.proposed(server, timeout=6.0).origin == "llm"


@pytest.mark.parametrize(("status", "is_named"), [(403, True), (503, True), (400, False)])
def test_a_proxy_is_named_where_it_may_have_answered(lab, monkeypatch, status, is_named):
    monkeypatch.setattr("agents.proposers.complaints.proxy_of", lambda _: "proxy:3128")
    with OpenAiServer(error(status)) as server:
        assert ("proxy:3128" in lab.proposed(server).fallback_reason) is is_named
