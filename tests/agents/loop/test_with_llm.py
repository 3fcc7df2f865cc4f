"""Whole searches with an LLM behind a real HTTP server: one that helps, one that lies, one that dies."""

import json
import sys
from itertools import count
from pathlib import Path

from loop_run import PROGRAM, Crash, jobs_run, run_directory, start, write_config

from agents.requests import leave, new_request

sys.path.insert(0, str(Path(__file__).parent.parent / "proposers"))
from openai_server import MODEL, OpenAiServer, error, html, proposals, says

KEY = "sk-very-secret-123"


def searched(tmp_path, monkeypatch, server, kind="llm", extra=""):
    monkeypatch.setenv("PILOTHOUSE_TEST_KEY", KEY)
    config = write_config(tmp_path)
    text = config.read_text().replace("proposer: {kind: sampler}", f"proposer: {{kind: {kind}}}")
    llm = f"base_url: {server.url}, model: {MODEL}, api_key_env: PILOTHOUSE_TEST_KEY"
    config.write_text(f"{text}llm: {{{llm}, timeout: 60s, max_retries: 0}}\n{extra}")
    orchestrator = start(config, "--log-level", "debug")
    assert orchestrator.wait() == 0, orchestrator.screen
    run = run_directory(config)
    reports = sorted((run / "reports").glob("*.json"))
    trials = [trial for path in reports for trial in json.loads(path.read_text())["trials"]]
    assert len(jobs_run(config)) == 4
    assert not [p for p in run.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    return orchestrator.screen, run, trials


def good():
    """A model that proposes another good point each time; the word of a hostile one beside it."""
    places = count()

    def step(body):
        points = [{"x": 0.3 + 0.01 * next(places), "y": 4} for _ in range(2)]
        return says(proposals(*points, rationale="<script>alert(1)</script> $(touch pwned)"))(body)

    return step


def test_a_search_at_whose_wheel_an_llm_stands(tmp_path, monkeypatch):
    with OpenAiServer(good(), key=KEY) as server:
        _, run, trials = searched(tmp_path, monkeypatch, server)
    origins = [trial["origin"] for trial in trials]
    assert origins[0] == "default"
    assert origins.count("llm") >= 2
    assert max(trial["value"] for trial in trials) > 0.76
    assert list((run / "logs" / "llm").glob("*.json"))
    page = (run / "reports" / "report.html").read_text()
    assert "<script>alert(1)</script>" not in page
    assert not list(tmp_path.rglob("pwned"))
    assert not [p for p in run.glob("job_*/job.sh") if "touch" in p.read_text()]


def test_what_is_the_orchestrators_alone_is_not_in_the_environment_of_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "loop_run.PROGRAM", PROGRAM + "open('environment', 'w').write(str(dict(os.environ)))\n"
    )
    monkeypatch.setenv("PILOTHOUSE_TEST_PLACE", str(tmp_path / "ledger.db"))
    ledger = 'ledger: {storage: "sqlite:///${PILOTHOUSE_TEST_PLACE}"}\n'
    with OpenAiServer(good(), key=KEY) as server:
        _, run, _ = searched(tmp_path, monkeypatch, server, extra=ledger)
    seen = [path.read_text() for path in run.glob("job_*/environment")]
    assert len(seen) == 4
    assert not [text for text in seen if "PILOTHOUSE_TEST_KEY" in text]
    assert not [text for text in seen if "PILOTHOUSE_TEST_PLACE" in text]


def test_the_hybrid_search(tmp_path, monkeypatch):
    with OpenAiServer(good(), key=KEY) as server:
        _, _, trials = searched(tmp_path, monkeypatch, server, kind="hybrid")
    assert {trial["origin"] for trial in trials} <= {"default", "llm", "sampler"}
    assert len(trials) == 4


def test_an_llm_that_answers_garbage_leaves_the_search_to_the_sampler_and_says_so(
    tmp_path, monkeypatch
):
    with OpenAiServer(says("I would try a larger learning rate!"), key=KEY) as server:
        screen, _, trials = searched(tmp_path, monkeypatch, server)
    assert "note: " in screen
    assert {trial["origin"] for trial in trials} == {"default", "sampler"}
    assert all(trial["fallback_reason"] for trial in trials if trial["origin"] == "sampler")


def test_an_endpoint_that_is_down_or_is_no_endpoint_does_not_end_the_search(tmp_path, monkeypatch):
    for name, step in (("down", error(503, "overloaded")), ("html", html), ("key", error(401))):
        (tmp_path / name).mkdir()
        with OpenAiServer(step) as server:
            screen, _, trials = searched(tmp_path / name, monkeypatch, server)
        assert "note: " in screen
        assert len(trials) == 4


def test_what_a_person_forbids_and_notes_is_in_the_prompt_and_the_llm_is_held_to_it(
    tmp_path, monkeypatch
):
    asked = []

    def stubborn(body):
        asked.append(json.dumps(body))
        return says(proposals({"x": 0.3, "y": 4}, {"x": 0.31, "y": 4}))(body)

    monkeypatch.setenv("PILOTHOUSE_TEST_KEY", KEY)
    with OpenAiServer(stubborn, key=KEY) as server:
        config = write_config(tmp_path)
        text = config.read_text().replace("proposer: {kind: sampler}", "proposer: {kind: llm}")
        llm = f"base_url: {server.url}, model: {MODEL}, api_key_env: PILOTHOUSE_TEST_KEY"
        config.write_text(f"{text}llm: {{{llm}, timeout: 60s, max_retries: 0}}\n")
        begun = start(config, crash=Crash("agents.nodes.SearchNodes.prepare", "before"))
        assert begun.wait() == -9
        run = run_directory(config)
        leave(run, new_request("forbid", {"expression": "x < 0.45"}))
        leave(run, new_request("note", {"text": "the left half has been tried by hand"}))
        orchestrator = start(config, "--resume", str(run))
        assert orchestrator.wait() == 0, orchestrator.screen
    assert asked
    assert all("not (x < 0.45)" in body for body in asked)
    assert all("the left half has been tried by hand" in body for body in asked)
    reports = (run / "reports").glob("*.json")
    trials = [trial for path in reports for trial in json.loads(path.read_text())["trials"]]
    assert len(trials) == 4
    assert min(trial["parameters"]["x"] for trial in trials) >= 0.45
    assert any(trial["fallback_reason"] for trial in trials)
