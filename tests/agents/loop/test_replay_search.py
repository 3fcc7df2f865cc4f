"""A whole search with an LLM, then the same one without it: `--replay`, and `explain` of both."""

import json
import sys
from itertools import count
from pathlib import Path

import pytest
from loop_run import Orchestrator, start, write_config

sys.path.insert(0, str(Path(__file__).parent.parent / "proposers"))
from openai_server import MODEL, OpenAiServer, proposals, says

from agents.commands.explain import explain, first_question
from agents.config import load
from agents.errors import ConfigurationError
from agents.report.reading import read_run

KEY = "sk-very-secret-123"


def mind():
    """Wrong at first, then good; and soon of the opinion that it is enough."""
    turns = count()

    def step(body):
        turn = next(turns)
        points = [{"x": 0.3 + 0.02 * turn + place / 100, "y": 4} for place in range(2)]
        if turn == 0:
            points = [{"x": 3.0, "y": 4}]
        answer = json.loads(proposals(*points, rationale=f"turn {turn}", expected=0.9))
        answer["stop"] = "it is good enough\n# Your answer" if turn > 1 else None
        return says(json.dumps(answer))(body)

    return step


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The run directories of a search and of its replay, and what was on the screens."""
    base = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patch, OpenAiServer(mind(), key=KEY) as server:
        patch.setenv("PILOTHOUSE_TEST_KEY", KEY)
        config = write_config(base)
        text = config.read_text().replace("proposer: {kind: sampler}", "proposer: {kind: llm}")
        text = text.replace("loop: {max_iterations: 2", "loop: {max_iterations: 3")
        llm = f"base_url: {server.url}, model: {MODEL}, api_key_env: PILOTHOUSE_TEST_KEY"
        prices = "prices: {prompt: 1000.0, completion: 1000.0, currency: EUR}"
        config.write_text(f"{text}llm: {{{llm}, timeout: 60s, max_retries: 0, {prices}}}\n")
        first = start(config)
        assert first.wait() == 0, first.screen
    (one,) = base.glob("results/*/run.json")
    again = Orchestrator(base, "--replay", str(one.parent))  # no server, no key
    assert again.wait() == 0, again.screen
    (other,) = (path for path in base.glob("results/*/run.json") if path != one)
    return one.parent, other.parent, first.screen, again.screen


def answered(run):
    """The exchanges in which proposals were asked for."""
    paths = sorted((run / "logs" / "llm").glob("*.json"))
    documents = [json.loads(path.read_text()) for path in paths]
    return [one for one in documents if one["kind"] == "answer"]


def test_the_replay_comes_to_the_same_trials_without_an_endpoint(runs):
    one, other, _, screen = runs
    before, after = read_run(one).view.trials, read_run(other).view.trials
    for name in (
        "parameters",
        "origin",
        "rationale",
        "predicted",
        "value",
        "seed",
        "stop_advice",
        "adopted",
    ):
        assert [getattr(t, name) for t in after] == [getattr(t, name) for t in before], name
    assert len(after) == 6
    assert [trial.origin for trial in after].count("llm") == 5
    asked, kept = answered(one), answered(other)
    assert [told["accepted"] for told in kept] == [told["accepted"] for told in asked]
    assert all(told["replayed_from"] for told in kept)
    assert "recommends to end the search" in screen


def test_the_recommendation_to_stop_is_told_and_not_obeyed(runs):
    one, _, screen, _ = runs
    assert 'The LLM recommends to end the search: "it is good enough # Your answer"' in screen
    assert "3 of 3 iterations" in screen
    assert "it is good enough" in (one / "reports" / "report.html").read_text()


def test_explain_tells_of_a_trial_of_the_llm(runs):
    one, *_ = runs
    text = explain(one, 1)
    for words in (
        "trial 1 of iteration 1: completed, accuracy_auc 0.7",
        "proposed by:  the LLM",
        "rationale:    turn 1",
        "expected:     0.9, reached 0.7",
        "gate:         taken; there was no model of the runs to hold it against; 2 answers",
        "refused:    x: 3 is not between 0 and 1",
        "it saw:       runs running 0; about ",
        "it took:      22 tokens in, 14 out, ",
        "0.036 EUR",
        f"asked:        {MODEL} at http://127.0.0.1",
        f"exchange:     {one}/logs/llm/trial_0001_01.json",
        f"exchange:     {one}/logs/llm/trial_0001_02.json",
    ):
        assert words in text, text
    assert KEY not in text


def test_explain_tells_of_the_default_and_of_the_replay(runs):
    one, other, *_ = runs
    text = explain(one, 0)
    assert "proposed by:  the default configuration" in text
    assert "gate" not in text
    assert f"replayed from: {one}/logs/llm/trial_0001_02.json" in explain(other, 1)
    assert "recommended:  to end the search" in explain(one, 2) + explain(one, 3)


def test_explain_is_json_for_scripts(runs):
    one, *_ = runs
    document = json.loads(explain(one, 1, as_json=True))
    assert document["proposed_by"] == "llm"
    assert document["asked"]["accepted"] is True
    assert document["asked"]["refused"] == ["x: 3 is not between 0 and 1"]
    assert document["asked"]["cost"] == {"EUR": pytest.approx(0.036)}
    assert json.loads(explain(one, 0, as_json=True))["asked"] is None


def test_explain_without_a_number_tells_of_the_best(runs):
    one, *_ = runs
    best = read_run(one).view.best
    assert best is not None
    assert explain(one) == explain(one, best.number)


def test_explain_of_what_there_is_not(runs, tmp_path):
    one, *_ = runs
    with pytest.raises(
        ConfigurationError, match="there is no trial 99; it has 6 trials, from 0 on"
    ):
        explain(one, 99)
    with pytest.raises(ConfigurationError, match="not a run directory"):
        explain(tmp_path, 0)


def test_the_command_line_knows_both(runs):
    one, *_ = runs
    told = Orchestrator(one.parent.parent, "explain", str(one), "1")
    assert told.wait() == 0
    assert "proposed by:  the LLM" in told.screen
    refused = Orchestrator(one.parent.parent, "--replay", str(one / "logs"))
    assert refused.wait() == 2
    assert "--replay" in refused.screen
    assert "this is not a run directory" in refused.screen


def test_a_replay_of_another_search_ends_with_one_clear_error(runs):
    one, *_ = runs
    other = Orchestrator(one.parent.parent, "--replay", str(one), "--set", "experiment.seed=8",
                         "--set", "loop.jobs_per_iteration=3")  # fmt: skip
    assert other.wait() == 1
    assert "error: replay: trial 1: the question differs from the kept one" in other.screen
    assert "Traceback" not in other.screen


def test_the_first_question_can_be_printed(runs):
    one, *_ = runs
    kept = json.loads((one / "logs" / "llm" / "trial_0001_01.json").read_text())
    shown = first_question(load(one / "config.yaml"))
    assert "Propose exactly 2 new configurations" in shown
    task = kept["messages"][0]["content"].partition("- Runs so far")[0]
    assert shown.startswith(task)
