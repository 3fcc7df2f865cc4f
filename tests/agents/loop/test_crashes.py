"""kill -9 at every node's boundary, between the writes within, and at random moments."""

import random
import time

import pytest
from loop_run import Crash, documents, has_begun, jobs_run, run_directory, start, write_config

NODES = ("prepare", "propose", "submit", "wait", "collect", "report", "decide", "finish")
BOUNDARIES = [
    Crash(f"agents.nodes.SearchNodes.{node}", when)
    for node in NODES
    for when in ("before", "after")
]
WITHIN = [
    Crash("agents.ledger.Ledger.set_attribute", "after"),
    Crash("agents.ledger.Ledger.add", "after", 1),
    Crash("agents.ledger.Ledger.add", "after", 3),
    Crash("agents.ledger.Ledger.record_job", "after", 1),
    Crash("agents.ledger.Ledger.record_job", "after", 2),
    Crash("agents.ledger.Ledger.record_job", "after", 3),
    Crash("scheduler.cluster.Cluster.submit", "before", 2),
    Crash("scheduler.cluster.Cluster.submit", "after", 1),
    Crash("scheduler.cluster.Cluster.poll", "after", 1),
    Crash("agents.ledger.Ledger.finish", "before", 2),
    Crash("agents.ledger.Ledger.finish", "after", 1),
    Crash("optuna.storages.RDBStorage.set_trial_state_values", "before", 1),
    Crash("agents.paperwork.Paperwork.write_iterations", "after", 1),
    Crash("agents.paperwork.Paperwork.write_last", "before"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run leaves that nothing happened to."""
    config = write_config(tmp_path_factory.mktemp("undisturbed"))
    orchestrator = start(config)
    assert orchestrator.wait() == 0, orchestrator.screen
    return documents(config)


def assert_resumes(config, undisturbed):
    assert_goes_on(config)
    assert documents(config) == undisturbed


def assert_goes_on(config):
    run = run_directory(config)
    again = start(config, "--resume", str(run))
    assert again.wait() == 0, again.screen
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)
    assert len(jobs_run(config)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("crash", BOUNDARIES + WITHIN, ids=str)
def test_killed_at_a_boundary_and_resumed_it_ends_as_if_nothing_had_been(
    tmp_path, undisturbed, crash
):
    config = write_config(tmp_path)
    orchestrator = start(config, crash=crash)
    assert orchestrator.wait() == -9, orchestrator.screen
    assert_resumes(config, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(15))
def test_killed_at_random_moments_it_ends_as_if_nothing_had_been(tmp_path, undisturbed, seed):
    chance = random.Random(seed)
    config = write_config(tmp_path)
    for _ in range(1 + seed % 3):
        orchestrator = start(config, *(("--resume", "latest") if has_begun(config) else ()))
        time.sleep(chance.uniform(0.05, 1.5))
        orchestrator.kill()
        assert orchestrator.wait() in (-9, 0), orchestrator.screen
        if list(config.parent.glob("results/*/summary.json")):
            break  # on a quick machine it may have come to its end: nothing is left to resume
    if not has_begun(config):
        assert start(config).wait() == 0
    assert_resumes(config, undisturbed)


@pytest.mark.slow
def test_a_run_whose_directory_was_renamed_goes_on_with_its_trials(tmp_path, undisturbed):
    config = write_config(tmp_path)
    stopped = start(config, crash=Crash("agents.nodes.SearchNodes.decide", "before"))
    assert stopped.wait() == -9, stopped.screen
    run = run_directory(config)
    run.rename(run.with_name("the one for the paper"))
    assert_goes_on(config)
    found = documents(config)
    assert {**found, "report.html": ""} == {**undisturbed, "report.html": ""}
