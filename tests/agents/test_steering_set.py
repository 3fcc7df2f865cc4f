"""`set` says what becomes of the search with the new value."""

from datetime import UTC, datetime

import pytest
from test_steering_verbs import CONFIG
from trials import trial

from agents import requests
from agents.config import load
from agents.helm import Circumstances, Helm
from agents.journal import Journal
from agents.ledger import Ledger
from agents.space import SearchSpace
from agents.workspace import create

SEARCHED = [trial(n, 0.1 * n, iteration=n // 2 + 1) for n in range(6)]


@pytest.fixture
def helm(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    loaded = load(tmp_path / "config.yaml", [f"directories.local_base={tmp_path / 'runs'}"])
    now = datetime.now(UTC)
    workspace = create(loaded.settings.directories, "fashion", loaded.resolved, now)
    space = SearchSpace.build(loaded.settings.search_space, [])
    url = f"sqlite:///{workspace.study_file}"
    ledger = Ledger.open(url, workspace.name, "maximize", space)
    ledger.set_attribute("started_at", now.isoformat())
    yield Helm(loaded, workspace, ledger, Journal(workspace.log_file))
    ledger.close()


def effect(helm, key, value, here):
    request = requests.new_request("set", {"key": key, "value": value})
    requests.leave(helm._workspace.directory, request)
    (taken,) = helm.take(here)
    assert not taken.refused, taken
    return taken.effect


def test_a_budget_that_is_used_up_is_said_to_end_the_search(helm):
    assert effect(helm, "loop.max_iterations", "30", Circumstances(SEARCHED)) == "5 before, 30 now"
    said = effect(helm, "loop.max_iterations", "2", Circumstances(SEARCHED))
    assert said == (
        "30 before, 2 now; the search ends once what runs has ended: 3 of 2 iterations are done"
    )


def test_other_rules_count_too_and_trials_that_run_do_not(helm):
    here = Circumstances([*SEARCHED, trial(6, iteration=4)])
    assert effect(helm, "loop.max_iterations", "4", here) == "5 before, 4 now"
    assert "trial 5 reached" in effect(helm, "stop.target", "0.3", here)
    assert effect(helm, "stop.target", "0.9", here) == "0.3 before, 0.9 now"


def test_of_a_search_that_is_ending_already_nothing_is_said_twice(helm):
    said = effect(helm, "cluster.max_in_flight", "2", Circumstances(SEARCHED, ending="enough"))
    assert said == "null before, 2 now"
