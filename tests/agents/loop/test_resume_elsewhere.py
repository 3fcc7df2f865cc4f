"""A run that is taken up again with another configuration: its jobs are not lost sight of."""

import pytest
from loop_run import hold, jobs_run, let_go, resume, run_directory, start, write_config
from test_loop import ended, jobs_started, summary, wait_until

from agents.requests import leave, new_request


@pytest.fixture
def left(tmp_path):
    """The configuration of a search that was killed while its two first jobs run."""
    config = write_config(tmp_path)
    hold(config)
    first = start(config)
    log = "logs/run.jsonl"
    wait_until(lambda: jobs_started(config) == 2 and _submitted(run_directory(config) / log) == 2)
    first.kill()
    first.wait()
    yield config
    let_go(config)


def _submitted(log):
    return log.read_text().count('"event": "submitted"')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "cluster.remote_base=/else/where",
            "cluster.remote_base is '/else/where', and was not set",
        ),
        ("cluster.batch_system={kind: pbs}", "cluster.batch_system.kind is 'pbs', and was 'local'"),
    ],
)
def test_jobs_under_way_are_not_looked_for_elsewhere(left, change, said):
    """Not found there, they would count as lost and run a second time."""
    run = run_directory(left)
    screen = ended(left, "--resume", str(run), "--set", change, code=2)
    assert said in screen
    assert "trials 0 and 1 have their jobs there" in screen
    assert f"cancel {run} 0 1" in screen
    let_go(left)
    ended(left, begin=resume)
    assert jobs_run(left) == dict.fromkeys(jobs_run(left), 1)


def test_a_run_whose_jobs_were_given_up_goes_on_elsewhere(left, tmp_path):
    leave(run_directory(left), new_request("cancel", {"trials": [0, 1]}))
    let_go(left)
    elsewhere = ("--set", f"cluster.remote_base={tmp_path / 'elsewhere'}")
    ended(left, *elsewhere, "--set", "cluster.poll.grace=1s", begin=resume)
    assert summary(left)["counts"]["completed"] == 2
