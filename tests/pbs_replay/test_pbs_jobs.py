"""What only PBS does: history on and off, limits, closed queues, hung and dead servers, names."""

import subprocess

import pytest
from bench import GOOD, SLEEP, WAITS, Bench
from pbs_lab import RealPbs, ReplayedPbs

from scheduler.errors import SchedulerAway
from scheduler.job import Cause, InDoubt, JobState, Refused, Submitted
from scheduler.outcome import Failed, Finished
from scheduler.settings import PbsBatchSettings


@pytest.fixture(params=["replay", "real"])
def pbs(request, tmp_path, monkeypatch):
    if request.param == "real" and not RealPbs.is_there():
        pytest.skip(RealPbs.how)
    lab = RealPbs() if request.param == "real" else ReplayedPbs(tmp_path)
    for key, value in lab.environment.items():
        monkeypatch.setenv(key, value)
    return lab


@pytest.fixture
def bench(pbs, tmp_path):
    bench = Bench(PbsBatchSettings(kind="pbs"), tmp_path, token=pbs.token)
    yield bench
    bench.cancel_all()


def test_history_off_ends_well_by_its_files(bench, pbs):
    with pbs.history_off():
        job = bench.run("nohist-1", GOOD)
        assert isinstance(bench.verdict(job), Finished)
        bench.wait_for(lambda: bench.see(job).listing is None)
        assert isinstance(bench.verdict(job), Finished)


def test_history_off_still_lists_what_lives(bench, pbs):
    with pbs.history_off():
        living = bench.run("nohist-2", SLEEP)
        ended = bench.run("nohist-3", GOOD)
        bench.wait_until_started(living)
        bench.wait_for(lambda: bench.see(ended).listing is None)
        seen = bench.cluster.poll([bench.ref(living), bench.ref(ended)])
        assert seen[living.name].listing.state is JobState.RUNNING
        assert seen[ended.name].listing is None


def test_history_off_finds_a_living_job_by_name(bench, pbs):
    with pbs.history_off():
        job = bench.request("nohist-4", SLEEP)
        first = bench.submit(job)["nohist-4"]
        (bench.root / job.directory / "job.id").unlink()
        assert bench.submit(job)["nohist-4"] == first


def test_hung_server_is_away_not_gone(bench, pbs, tmp_path):
    # One that soon gives up, for as long as nobody shall answer.
    settings = PbsBatchSettings(kind="pbs", command_timeout=3)
    impatient = Bench(settings, tmp_path, token=pbs.token)
    impatient.ids = bench.ids
    job = bench.run("hung-1", SLEEP)
    bench.wait_until_started(job)
    with pbs.frozen():
        with pytest.raises(SchedulerAway, match="hung"):
            impatient.see(job)
        late = bench.request("hung-2", GOOD)
        assert isinstance(impatient.submit(late)["hung-2"], InDoubt)
    bench.wait_for_state(job, JobState.RUNNING)
    answer = bench.wait_for(
        lambda: (
            isinstance(
                found := bench.submit(late, again=frozenset(["hung-2"]))["hung-2"], Submitted
            )
            and found
        )
    )
    assert answer.job_id
    assert isinstance(bench.verdict(late), Finished)


def test_dead_server_is_away_not_gone(bench, pbs):
    job = bench.run("down-1", SLEEP)
    bench.wait_until_started(job)
    with pbs.down():
        with pytest.raises(SchedulerAway):
            bench.see(job)
        with pytest.raises(SchedulerAway):
            bench.cancel(job)
    bench.wait_for_state(job, JobState.RUNNING)


def test_limit_on_jobs_is_backpressure(bench, pbs):
    first = bench.run("limit-1", SLEEP)
    bench.wait_until_started(first)
    with pbs.limit(1):
        second = bench.request("limit-2", GOOD)
        answer = bench.submit(second)["limit-2"]
        assert isinstance(answer, Refused)
        assert answer.backpressure
    answer = bench.submit(second, again=frozenset(["limit-2"]))["limit-2"]
    assert isinstance(answer, Submitted)
    assert isinstance(bench.verdict(second), Finished)


def test_a_queue_that_is_closed_is_waited_for(bench, pbs):
    job = bench.request("closed-1", GOOD)
    with pbs.closed():
        answer = bench.submit(job)["closed-1"]
        assert isinstance(answer, Refused)
        assert answer.backpressure
    assert isinstance(bench.submit(job, again=frozenset(["closed-1"]))["closed-1"], Submitted)
    assert isinstance(bench.verdict(job), Finished)


def test_held_says_how_to_release_it(bench):
    job = bench.run("held-1", GOOD, directives={"hold": None})
    assert "qrls" in bench.wait_for_state(job, JobState.QUEUED).reason


def test_deleted_by_hand(bench):
    job = bench.run("byhand-1", SLEEP)
    bench.wait_until_started(job)
    bench.cancel(job)
    found = bench.verdict(job)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANCELLED


def test_a_job_that_a_person_renamed_is_still_ours(bench):
    job = bench.run("renamed-1", WAITS + GOOD)
    bench.wait_until_started(job)
    subprocess.run(["qalter", "-N", "mine", bench.ids["renamed-1"]], check=True)
    bench.wait_for_state(job, JobState.RUNNING)
    bench.let_go(job)
    assert isinstance(bench.verdict(job), Finished)
    bench.wait_for_state(job, JobState.ENDED)


def test_the_number_of_a_renamed_job_is_not_another_jobs(bench):
    stranger = bench.run("renamed-2", SLEEP)
    subprocess.run(["qalter", "-N", "mine", bench.ids["renamed-2"]], check=True)
    bench.ids["renamed-3"] = bench.ids["renamed-2"]
    assert bench.see(bench.request("renamed-3", GOOD)).listing is None
    bench.cancel(stranger)


def test_long_names_keep_their_end(pbs, tmp_path):
    bench = Bench(PbsBatchSettings(kind="pbs", name_length=15), tmp_path, token=pbs.token)
    name = "job_experiment_iter_001_trial_12-12.1"
    job = bench.request(name, WAITS + GOOD)
    first = bench.submit(job)[name]
    bench.wait_for_state(job, JobState.RUNNING)
    (bench.root / job.directory / "job.id").unlink()
    assert bench.submit(job)[name] == first
    bench.let_go(job)
    assert isinstance(bench.verdict(job), Finished)


def test_a_name_as_long_as_can_be(bench):
    name = "n" * (230 - len(bench.token))
    job = bench.run(name, GOOD)
    assert isinstance(bench.verdict(job), Finished)
