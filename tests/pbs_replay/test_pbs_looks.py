"""What `resources` and `queue` read of a real PBS, and what a suspended job of it says."""

import subprocess

import forked
import pytest
from bench import GOOD, SLEEP, Bench
from pbs_lab import RealPbs

from agents.inventory.survey import survey
from scheduler.job import JobState
from scheduler.settings import LocalTransportSettings, PbsBatchSettings
from scheduler.transports import open_transport

CONFIG = """\
experiment: {id: looks}
search_space: {x: {type: float, low: 0, high: 1}}
training: {command: ["true", "{hyperparameters}"]}
cluster: {batch_system: {kind: pbs}}
"""


@pytest.fixture
def pbs():
    if not RealPbs.is_there():
        pytest.skip(RealPbs.how)
    return RealPbs()


@pytest.fixture
def bench(pbs, tmp_path):
    bench = Bench(PbsBatchSettings(kind="pbs"), tmp_path, token=pbs.token)
    yield bench
    bench.cancel_all()


def look():
    return survey(open_transport(LocalTransportSettings()), PbsBatchSettings(kind="pbs"), None)


def queue(tmp_path, job_id):
    (tmp_path / "config.yaml").write_text(CONFIG)
    return forked.command(["queue", "--config", tmp_path / "config.yaml", job_id])


def test_a_job_that_is_held_says_why(bench):
    bench.run("looks-1", GOOD, directives={"hold": None})
    [mine] = [job for job in look().jobs if job.job_id == bench.ids["looks-1"]]
    assert (mine.state, mine.reason) == ("H", "held by its user; `qrls` lets it go")


def test_limits_of_the_server_are_told(pbs):
    with pbs.limit(7):
        assert "server: max_queued [u:PBS_GENERIC=7]" in look().limits


def test_a_job_is_told_of_where_no_history_is_kept(bench, pbs, tmp_path):
    bench.run("looks-2", SLEEP)
    with pbs.history_off():
        told = queue(tmp_path, bench.ids["looks-2"])
        assert told.returncode == 0, told.stderr
        assert f"Job Id: {bench.ids['looks-2']}" in told.stdout
        unknown = queue(tmp_path, "999999999")
        assert unknown.returncode == 1
        assert "this PBS keeps no history" in unknown.stderr


def test_a_job_that_has_ended_is_told_of_from_the_history(bench, tmp_path):
    job = bench.run("looks-3", GOOD)
    bench.wait_for_state(job, JobState.ENDED)
    assert "job_state = F" in queue(tmp_path, bench.ids["looks-3"]).stdout


def test_a_suspended_job_does_not_tell_of_its_start(bench):
    job = bench.run("looks-4", SLEEP)
    bench.wait_until_started(job)
    subprocess.run(["qsig", "-s", "suspend", bench.ids["looks-4"]], check=True)
    bench.wait_for(lambda: bench.see(job).listing.reason.startswith("suspended"))
    assert not bench.see(job).listing.reason.startswith("suspended: Job run at")
