"""The doctor on LLM endpoints as they are met: down, another service, another model, no schema."""

import socket

import pytest
from doctor_bench import doctor, write_config
from openai_server import (
    MODEL,
    Answer,
    OpenAiServer,
    completion,
    error,
    html,
    in_text,
    proposals,
    says,
    slow,
)

from agents.config.model import Settings
from agents.doctor.check import Outcome
from agents.doctor.endpoint import endpoint_checks

GOOD = proposals({"x": 0.5})


def examined(tmp_path, url, model=MODEL, more=(), timeout="60s", **environment):
    llm = f"llm: {{base_url: '{url}', model: '{model}', timeout: {timeout}}}"
    code, found = doctor(write_config(tmp_path, llm=llm), *more, **environment)
    return code, found


def test_an_endpoint_that_is_well(tmp_path):
    with OpenAiServer(says(GOOD)) as server:
        code, found = examined(tmp_path, server.url)
        asked = len(server.requests)
    assert code == 0
    assert [found[name]["outcome"] for name in ("endpoint", "model", "structured output")] == [
        "ok"
    ] * 3
    assert "json_schema" in found["structured output"]["seen"]
    assert found["tools"]["outcome"] == "ok"
    assert asked == 2


def test_an_endpoint_that_is_down(tmp_path):
    with socket.socket() as deaf:  # bound, so that nobody else listens there meanwhile
        deaf.bind(("127.0.0.1", 0))
        code, found = examined(tmp_path, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
    assert (code, found["endpoint"]["outcome"]) == (1, "failed")
    assert "llm.base_url" in found["endpoint"]["remedy"]
    assert found["structured output"]["outcome"] == "skipped"


def test_an_endpoint_that_never_answers(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        code, found = examined(tmp_path, url, more=["--set", "llm.timeout=1s"])
    assert (code, found["endpoint"]["outcome"]) == (1, "failed")
    assert "did not answer within" in found["endpoint"]["seen"]


@pytest.mark.parametrize(("length", "outcome"), [(8192, "warning"), (16_384, "ok")])
def test_a_context_that_is_too_short_is_seen_before_the_search(tmp_path, length, outcome):
    models = [{"id": MODEL, "object": "model", "created": 1, "max_model_len": length}]
    with OpenAiServer(says(GOOD)) as server:
        server.listed = lambda _: Answer({"object": "list", "data": models})
        code, found = examined(tmp_path, server.url)
    assert (code, found["model"]["outcome"]) == (0, outcome)
    if outcome == "warning":
        assert "llm.prompt_tokens and llm.max_tokens are 10000" in found["model"]["seen"]


def test_a_model_that_is_not_there(tmp_path):
    with OpenAiServer(says(GOOD)) as server:
        code, found = examined(tmp_path, server.url, model="tiny-instruc")
    assert (code, found["model"]["outcome"]) == (1, "failed")
    assert f"did you mean {MODEL}?" in found["model"]["remedy"]
    assert found["structured output"]["outcome"] == "skipped"


class Unlisted(OpenAiServer):
    """Answers to a name that its list does not have: Azure's deployments, a router's variants, and
    llama.cpp, which takes any."""

    def listed(self, headers):
        return Answer({"object": "list", "data": [{"id": "base-model", "object": "model"}]})


def test_a_model_that_answers_is_there_whatever_the_list_says(tmp_path):
    with Unlisted(says(GOOD)) as server:
        code, found = examined(tmp_path, server.url)
    assert (code, found["model"]["outcome"]) == (0, "ok"), found["model"]
    assert "though it is not in the list of models" in found["model"]["seen"]


class Unseen(OpenAiServer):
    """Shows its list to nobody, or not in this way (Anthropic's wants a header of its own)."""

    def listed(self, headers):
        return error(401, "x-api-key header is required")(None)


def test_a_service_that_shows_no_list_is_asked_for_an_answer(tmp_path):
    with Unseen(says(GOOD)) as server:
        code, found = examined(tmp_path, server.url)
    assert (code, found["endpoint"]["outcome"]) == (0, "ok"), found["endpoint"]
    with Unseen(error(401, "no")) as server:
        code, found = examined(tmp_path, server.url)
    assert (code, found["endpoint"]["outcome"]) == (1, "failed")
    assert "llm.api_key_env" in found["endpoint"]["remedy"]


@pytest.mark.parametrize("listed", [True, False])
def test_a_model_that_is_still_loading_is_no_fault_of_the_configuration(tmp_path, listed):
    loading = error(503, "Loading model")
    with OpenAiServer(loading) as server:
        if not listed:
            server.listed = loading
        code, found = examined(tmp_path, server.url)
    check = found["structured output" if listed else "endpoint"]
    assert (code, check["outcome"]) == (0, "warning"), check
    assert "is loading its model" in check["seen"]
    assert "look again in some minutes" in check["remedy"]


def thinking(body):
    return Answer(completion(None, finish_reason="length", reasoning="well " * 90))


def test_a_model_whose_thoughts_leave_no_room_for_an_answer(tmp_path):
    with OpenAiServer(thinking) as server:
        code, found = examined(tmp_path, server.url)
    assert (code, found["structured output"]["outcome"]) == (1, "failed")
    assert "all of llm.max_tokens went into thoughts" in found["structured output"]["seen"]
    assert "llm.extra_body" in found["structured output"]["remedy"]


def test_a_server_that_takes_no_tools_is_seen_with_the_switch_that_it_wants(tmp_path):
    with OpenAiServer(says(GOOD), supports=("json_schema",)) as server:
        code, found = examined(tmp_path, server.url)
        assert (code, found["tools"]["outcome"]) == (0, "warning")
        assert "--enable-auto-tool-choice" in found["tools"]["remedy"]
        assert "llm.tools.calls" in found["tools"]["remedy"]
        asked = len(server.requests)
        _, found = examined(tmp_path, server.url, more=["--set", "llm.tools.calls=0"])
    assert found["tools"]["outcome"] == "skipped"
    assert len(server.requests) == asked + 1


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        (html, "failed", "llm.base_url"),
        (error(500, "out of memory"), "failed", "server's log"),
        (slow(300), "failed", "llm.timeout"),
        (says("I am sorry, as a language model I cannot"), "failed", "guided decoding"),
        (says(GOOD[:40], finish_reason="length"), "failed", "llm.max_tokens"),
        (says('{"proposals": [{"parameters": {"x": "high"}}]}'), "warning", "schema"),
    ],
)
def test_answers_that_are_of_no_use(tmp_path, script, outcome, words):
    with OpenAiServer(script) as server:
        timeout = "5s" if words == "llm.timeout" else "60s"
        code, found = examined(tmp_path, server.url, timeout=timeout)
    assert found["structured output"]["outcome"] == outcome, found["structured output"]
    assert code == (1 if outcome == "failed" else 0)
    assert words in found["structured output"]["remedy"]


def test_a_server_that_hands_on_nothing_is_asked_in_another_way(tmp_path):
    """As a search does: some take a guided answer for thoughts, and leave it out."""

    def only_tools(body):
        return says(GOOD if "tools" in body else "")(body)

    with OpenAiServer(only_tools) as server:
        code, found = examined(tmp_path, server.url)
    assert (code, found["structured output"]["outcome"]) == (0, "ok"), found["structured output"]
    assert "asked for by tool" in found["structured output"]["seen"]


def test_a_server_without_structured_output_is_worth_a_warning(tmp_path):
    with OpenAiServer(in_text(GOOD), supports=()) as server:
        code, found = examined(tmp_path, server.url)
    assert (code, found["structured output"]["outcome"]) == (0, "warning")
    assert "neither a schema nor a tool" in found["structured output"]["seen"]


def test_a_web_page_where_the_models_should_be(tmp_path):
    with OpenAiServer(says(GOOD)) as server:
        server.url = server.url.removesuffix("/v1")
        code, found = examined(tmp_path, f"{server.url}/nowhere")
    assert code == 1
    bad = [name for name, row in found.items() if row["outcome"] == "failed"]
    assert bad
    assert "/v1" in found[bad[0]]["remedy"]


KEYED = ["--set", "llm.api_key_env=DOCTOR_KEY"]


def test_keys_are_named_and_never_shown(tmp_path):
    with OpenAiServer(says(GOOD), key="s3cret-key") as server:
        code, found = examined(tmp_path, server.url, more=KEYED)
        assert (code, found["authentication"]["outcome"]) == (1, "failed")
        assert "export DOCTOR_KEY" in found["authentication"]["remedy"]
        code, found = examined(tmp_path, server.url, more=KEYED, DOCTOR_KEY="wr0ng-key")
        assert code == 1
        assert "wr0ng-key" not in str(found)
        code, found = examined(tmp_path, server.url, more=KEYED, DOCTOR_KEY="s3cret-key")
        assert code == 0
        assert "s3cret-key" not in str(found)


def test_what_is_being_done_is_said_without_a_password():
    said = []
    with OpenAiServer(says(GOOD)) as server:
        url = server.url.replace("http://", "http://me:s3cret-word@")
        llm = {"base_url": url, "model": MODEL, "timeout": 60.0}
        config = {
            "experiment": {"id": "e"},
            "search_space": {"x": {"type": "float", "low": 0, "high": 1}},
            "training": {"command": ["true"]},
            "llm": llm,
        }
        checks = endpoint_checks(Settings.model_validate(config), said.append)
    assert checks[0].outcome is Outcome.OK, checks
    assert "s3cret-word" not in " ".join(said)
    assert server.url in said[0]
