"""Whole searches with endpoints that fail: each trial tells why it is not the LLM's, and ``explain``
says it too; what the LLM cost is in the reports."""

import json
import signal
import subprocess
import time

import pytest
from endpoint_run import command, pilothouse, run_of, spread, trials_of, write_config
from openai_server import (
    MODEL,
    Answer,
    OpenAiServer,
    error,
    html,
    in_text,
    proposals,
    reset,
    says,
    slow,
)

from agents.commands.explain import explain


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def redirected(_):
    return Answer("", 302, {"Location": "/login"}, "text/html")


FAULTS = {
    "a rate limit": (error(429, "slow down", Retry_After="7"), ["over its rate limit", "slow down"]),
    "a server that fails": (error(500, "CUDA error"), ["HTTP 500: CUDA error", "server's log"]),
    "a server that loads": (error(503, "loading"), ["HTTP 503: loading", "server's log"]),
    "a time-out": (slow(300), ["did not answer within 5 s", "raise llm.timeout"]),
    "a reset": (reset, ["cannot be reached", "check llm.base_url"]),
    "a web page": (html, ["no chat completion", "check llm.base_url"]),
    "a login page": (redirected, ["no chat completion", "check llm.base_url"]),
    "a refused key": (error(401, "bad key"), ["HTTP 401: bad key", "llm.api_key_env"]),
    "a model that is gone": (error(404, "no such model"), ["no such model", "llm.model"]),
    "a question too long": (error(400, "too long"), ["HTTP 400: too long", "llm.max_tokens"]),
    "no text": (in_text(""), ["the answer was empty"]),
    "thoughts alone": (in_text("<think>0.5 perhaps</think>"), ["the answer was empty"]),
    "a refusal": (in_text("I cannot help."), ["held no proposal", 'it said "I cannot help."']),
    "an answer cut off": (
        says(proposals({"x": 0.5})[:40], finish_reason="length"),
        ["held no proposal", "it was cut off", "raise llm.max_tokens"],
    ),
    "a value outside": (says(proposals({"x": 7, "y": 0})), ["x: 7 is not between 0 and 1"]),
    "another name": (says(proposals({"z": 0.5})), ["z: there is no such parameter"]),
}  # fmt: skip


def test_each_degradation_is_on_its_trial_and_explained(tmp_path):
    """Between two faults the LLM answers well: the breaker stays closed, and each fault is met."""
    script = [says(proposals(spread(0)))]
    for number, (step, _) in enumerate(FAULTS.values(), 1):
        script += [step, says(proposals(spread(number), rationale=f"reason {number}"))]
    with OpenAiServer(*script) as server:
        server.pages = {"/login": Answer("<title>Sign in</title>", content_type="text/html")}
        config = write_config(tmp_path, server.url, iterations=1 + len(script), timeout="5s")
        done = pilothouse("--config", config)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == len(script)
    run = run_of(config)
    trials = trials_of(run)
    for place, (name, (_, words)) in enumerate(FAULTS.items()):
        number = 2 + 2 * place  # the first is the default, the second the LLM's
        assert trials[number]["origin"] == "sampler", name
        assert trials[number + 1]["origin"] == "llm", name
        assert trials[number + 1]["fallback_reason"] is None, name
        text = explain(run, number, as_json=False)
        assert "the sampler, in place of the LLM" in text
        assert f"{MODEL} at http://" in text
        for word in words:
            assert word in trials[number]["fallback_reason"], name
            assert word in text, name
        told = json.loads(explain(run, number, as_json=True))
        assert told["fallback_reason"] == trials[number]["fallback_reason"]
    for number in range(2, 2 + 2 * len(FAULTS), 2):  # and each was said on the screen
        assert trials[number]["fallback_reason"] in done.stdout
    assert "The LLM proposes again." in done.stdout
    assert "reason 1" in explain(run, 3, as_json=False)


def test_what_the_llm_cost_is_in_the_reports_the_summary_and_the_explanation(tmp_path):
    """11 tokens in and 7 out for each answer, as the server says; an answer that never came is not
    paid for."""
    prices = "  prices: {prompt: 1000.0, completion: 10000.0, currency: EUR}"
    script = [says(proposals(spread(0))), error(503, "loading"), says(proposals(spread(1)))]
    with OpenAiServer(*script) as server:
        config = write_config(tmp_path, server.url, iterations=4, llm=prices)
        done = pilothouse("--config", config)
    assert done.returncode == 0, done.stderr
    run = run_of(config)
    one = 11 * 1000.0 / 1e6 + 7 * 10000.0 / 1e6
    told = json.loads((run / "summary.json").read_text())["cost"]["llm"]
    assert told["money"] == {"EUR": pytest.approx(2 * one)}
    assert (told["exchanges"], told["unanswered"], told["unpriced"]) == (3, 1, 0)
    assert (told["input_tokens"], told["output_tokens"]) == (22, 14)
    assert "0.16 EUR" in (run / "reports" / "report.html").read_text()
    for text in (explain(run, 1, as_json=False), explain(run, 3, as_json=False)):
        assert "11 tokens in, 7 out" in text
        assert "0.081 EUR" in text
    assert "EUR" not in explain(run, 2, as_json=False)


def test_without_prices_no_money_is_named(tmp_path):
    with OpenAiServer(says(proposals(spread(0)))) as server:
        config = write_config(tmp_path, server.url, iterations=2)
        done = pilothouse("--config", config)
    assert done.returncode == 0, done.stderr
    told = json.loads((run_of(config) / "summary.json").read_text())["cost"]["llm"]
    assert told["money"] == {}
    assert told["output_tokens"] == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nobody_waits_for_the_llm_to_leave(tmp_path, number):
    """It would answer long after the test has given up."""
    with OpenAiServer(slow(3000)) as server:
        config = write_config(tmp_path, server.url, 3, timeout="2900s")
        with open(tmp_path / "said", "w") as said:
            process = subprocess.Popen(
                command("--config", config), stdout=said, stderr=said, stdin=subprocess.DEVNULL
            )
            try:
                while not server.requests:
                    assert process.poll() is None, (tmp_path / "said").read_text()
                    time.sleep(0.05)
                process.send_signal(number)
                assert process.wait(timeout=200) == 128 + number
            finally:
                process.kill()
    words = (tmp_path / "said").read_text()
    assert "--resume" in words
    assert "Traceback" not in words
