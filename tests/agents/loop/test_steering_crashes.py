"""kill -9 while requests are taken, and while the best trials are confirmed: none is lost or doubled."""

import json

import pytest
from loop_run import Crash, documents, jobs_run, resume, run_directory, start, write_config

from agents import requests
from agents.steering import Request
from training.contract import write_atomically

REQUESTS = [
    ("note", {"text": "wide nets run out of memory"}),
    ("set", {"key": "loop.max_iterations", "value": "3"}),
    ("add", {"parameters": {"x": 0.31, "y": 4, "pause": 0.02}}),
    ("forbid", {"expression": "x > 0.9"}),
    ("set", {"key": "loop.max_iterations", "value": "nonsense"}),
]


def asked(run):
    """Requests as other terminals leave them, the same in every run."""
    (run / "requests").mkdir(exist_ok=True)
    for place, (verb, arguments) in enumerate(REQUESTS):
        document = {
            "schema": 1,
            "verb": verb,
            "arguments": arguments,
            "by": "ada@login1",
            "asked_at": "2026-11-24T12:00:00+00:00",
        }
        path = run / "requests" / f"20261124T12000{place}.000000Z-00000000.json"
        write_atomically(path, json.dumps(document).encode())


def begun(tmp_path, monkeypatch, extra):
    """A run that has its directory, and nothing else yet."""
    config = write_config(tmp_path, extra)
    config.write_text(config.read_text().replace("value: 0.15", "value: 0.02"))
    died = start(config, crash=Crash("agents.nodes.SearchNodes.prepare", "before"))
    assert died.wait() == -9, died.screen
    return config


STEERED = "loop: {max_iterations: 2, jobs_per_iteration: 2}\n"
POINTS = [
    Crash("agents.helm.Helm._enter", "before", 1),
    Crash("agents.helm.Helm._enter", "after", 2),
    Crash("agents.helm.Helm._enter", "after", 3),
    Crash("agents.helm.Helm._apply", "after", 4),
    Crash("agents.helm.Helm._take", "after", 5),
    Crash("agents.ledger.Ledger.add", "after", 1),
    Crash("agents.helm.Helm.settle", "after", 1),
    Crash("agents.helm.Helm.stopped", "after", 1),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        config = begun(tmp_path_factory.mktemp("undisturbed"), patch, STEERED)
        asked(run_directory(config))
        done = resume(config)
        assert done.wait() == 0, done.screen
        return documents(config)


def test_what_was_asked_is_done(undisturbed):
    trials = [
        trial
        for name, document in undisturbed.items()
        if name.startswith("iteration")
        for trial in document["trials"]
    ]
    assert len(trials) == 6
    (added,) = [trial for trial in trials if trial["origin"] == "user"]
    assert (added["trial"], added["parameters"]["x"]) == (0, 0.31)
    assert max(trial["parameters"]["x"] for trial in trials) <= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("crash", POINTS, ids=str)
def test_killed_while_requests_are_taken_it_ends_as_if_nothing_had_been(
    tmp_path, monkeypatch, undisturbed, crash
):
    config = begun(tmp_path, monkeypatch, STEERED)
    run = run_directory(config)
    asked(run)
    died = resume(config, crash=crash)
    assert died.wait() == -9, died.screen
    again = resume(config)
    assert again.wait() == 0, again.screen
    assert documents(config) == undisturbed
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)
    assert requests.waiting(run) == []
    assert "max_iterations: 3" in (run / "config.yaml").read_text()


CONFIRMED = "loop: {max_iterations: 2, jobs_per_iteration: 2}\nconfirm: {trials: 2, seeds: 2}\n"
CONFIRM_POINTS = [
    Crash("agents.ledger.Ledger.add", "after", 5),
    Crash("agents.nodes.SearchNodes.confirm", "before", 2),
]


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        config = begun(tmp_path_factory.mktemp("confirmed"), patch, CONFIRMED)
        done = resume(config)
        assert done.wait() == 0, done.screen
        return documents(config)


@pytest.mark.slow
@pytest.mark.parametrize("crash", CONFIRM_POINTS, ids=str)
def test_killed_while_the_best_are_confirmed_it_ends_as_if_nothing_had_been(
    tmp_path, monkeypatch, confirmed, crash
):
    config = begun(tmp_path, monkeypatch, CONFIRMED)
    died = resume(config, crash=crash)
    assert died.wait() == -9, died.screen
    again = resume(config)
    assert again.wait() == 0, again.screen
    assert documents(config) == confirmed
    assert len(jobs_run(config)) == 8
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "crash",
    [
        Crash("agents.helm.Helm._enter", "after", 1),
        Crash("scheduler.cluster.Cluster.cancel", "before", 1),
        Crash("scheduler.cluster.Cluster.cancel", "after", 1),
    ],
    ids=str,
)
def test_killed_while_a_trial_is_cancelled_it_is_cancelled_in_the_end(tmp_path, crash):
    config = write_config(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 2}\n")
    config.write_text(config.read_text().replace("value: 0.15", "value: 300"))
    died = start(config, crash=Crash("agents.flight.Flight.submit", "after"))
    assert died.wait() == -9, died.screen
    run = run_directory(config)
    requests.leave(run, requests.new_request("cancel", {"trials": "all"}))
    died = resume(config, crash=crash)
    assert died.wait() == -9, died.screen
    again = resume(config)
    assert again.wait() == 1, again.screen  # no trial has completed
    (report,) = [json.loads(p.read_text()) for p in run.glob("reports/*.json")]
    failures = [trial["failure"] for trial in report["trials"]]
    assert [failure["cause"] for failure in failures] == ["cancelled"] * 2
    assert all("cancelled on request of" in failure["message"] for failure in failures)
    assert not requests.waiting(run)


def test_a_request_has_an_id_that_sorts_by_time():
    ids = [requests.new_request("pause", {}).id for _ in range(20)]
    assert ids == sorted(ids)
    assert isinstance(requests.new_request("note", {"text": "x"}), Request)
