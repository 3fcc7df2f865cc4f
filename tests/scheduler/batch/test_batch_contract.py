"""What every batch system owes the rest, over every transport: told once, run against each pair that
the machine can start."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from bench import BATCH_SYSTEMS, GOOD, PARTIAL, SLEEP, TRANSPORTS, WAITS, open_bench

from scheduler.errors import ConnectionLost
from scheduler.job import Cause, InDoubt, JobRef, JobState, NeverSubmitted, Refused, Submitted
from scheduler.outcome import Failed, Finished


@pytest.fixture(
    params=[
        pytest.param(
            batch if transport == "local" else f"{batch} over {transport}",
            marks=pytest.mark.cluster if batch == "slurm" or transport != "local" else [],
        )
        for batch in BATCH_SYSTEMS
        for transport in TRANSPORTS
    ]
)
def bench(request, tmp_path, monkeypatch):
    yield from open_bench(request, tmp_path, monkeypatch)


def runs(bench, job):
    """How often the job's program ran."""
    return (bench.root / job.directory / "runs").read_text().count("ran")


COUNTED = "open('runs', 'a').write('ran ')\n" + GOOD


def test_many_jobs_in_one_round_trip_all_end_well(bench):
    jobs = [bench.request(f"many-{number}", COUNTED) for number in range(5)]
    answers = bench.submit(*jobs)
    assert all(isinstance(answer, Submitted) for answer in answers.values()), answers
    assert len({answer.job_id for answer in answers.values()}) == 5
    for job in jobs:
        assert isinstance(bench.verdict(job), Finished)
        assert runs(bench, job) == 1
        assert len(bench.known_jobs(job)) == 1


def test_submitting_again_submits_nothing(bench):
    job = bench.request("twice-1", COUNTED)
    first = bench.submit(job)["twice-1"]
    assert bench.submit(job)["twice-1"] == first
    assert isinstance(bench.verdict(job), Finished)
    assert bench.submit(job)["twice-1"] == first
    assert runs(bench, job) == 1
    assert bench.known_jobs(job) == [first.job_id]


def test_a_submission_cut_off_before_its_answer_is_found_by_name(bench):
    job = bench.request("cut-1", SLEEP)
    first = bench.submit(job)["cut-1"]
    directory = bench.root / job.directory
    (directory / "job.id").unlink()
    assert bench.submit(job)["cut-1"] == first
    assert bench.known_jobs(job) == [first.job_id]
    bench.cancel(job)


def test_a_submission_killed_while_the_scheduler_answers_is_found(bench, tmp_path, monkeypatch):
    if bench.batch.name == "local":
        pytest.skip("the local batch system has no command of its own")
    command = {"slurm": "sbatch", "pbs": "qsub"}[bench.batch.name]
    slow = tmp_path / "slow" / command
    slow.parent.mkdir()
    # Takes the job, and is then as good as dead: its answer never comes.
    slow.write_text(
        f'#!/bin/sh\n{shutil.which(command, path=bench.path)} "$@" > /dev/null\nsleep 60\n'
    )
    slow.chmod(0o755)
    jobs = [bench.request(f"cut-{number}", COUNTED) for number in (3, 4)]
    with monkeypatch.context() as patched:
        patched.setattr("scheduler.cluster.ROUND_TRIP_SECONDS", 6.0)
        with pytest.raises(ConnectionLost):
            bench.with_commands_in(str(slow.parent)).submit(jobs)
    bench.wait_for(
        lambda: all(isinstance(answer, Submitted) for answer in bench.submit(*jobs).values()),
        seconds=360,  # one that was cut off just before the scheduler is in doubt for three minutes
    )
    for job in jobs:
        assert isinstance(bench.verdict(job), Finished)
        assert runs(bench, job) == 1
        assert len(bench.known_jobs(job)) == 1


def test_a_wrapper_that_words_the_id_in_its_own_way_hides_no_job(bench, tmp_path):
    if bench.batch.name == "local":
        pytest.skip("the local batch system has no command of its own")
    command = {"slurm": "sbatch", "pbs": "qsub"}[bench.batch.name]
    wrapper = tmp_path / "wrapped" / command
    wrapper.parent.mkdir()
    real = shutil.which(command, path=bench.path)
    wrapper.write_text(f'#!/bin/sh\nid=$({real} "$@") || exit\necho "Job $id submitted"\n')
    wrapper.chmod(0o755)
    job = bench.request("worded-1", COUNTED)
    answer = bench.with_commands_in(str(wrapper.parent)).submit([job])[job.name]
    assert isinstance(answer, Submitted)
    assert bench.known_jobs(job) == [answer.job_id]
    assert bench.submit(job)["worded-1"] == answer
    assert isinstance(bench.verdict(job), Finished)
    assert runs(bench, job) == 1


def test_a_submission_cut_off_before_the_scheduler_is_in_doubt_then_made_anew(bench):
    job = bench.request("cut-2", COUNTED)
    directory = bench.root / job.directory
    directory.mkdir(parents=True)
    (directory / "submitting").write_text("")  # cut off before a word was written
    assert isinstance(bench.submit(job)["cut-2"], InDoubt)
    (directory / "submitting").write_text("9999999999\n")
    assert isinstance(bench.submit(job)["cut-2"], InDoubt)
    (directory / "submitting").write_text("1000000000\n")
    assert isinstance(bench.submit(job)["cut-2"], Submitted)
    assert isinstance(bench.verdict(job), Finished)
    assert runs(bench, job) == 1


def test_what_was_never_submitted_is_withdrawn_for_good(bench):
    job = bench.request("withdrawn-1", COUNTED)
    assert bench.withdraw(job) == NeverSubmitted(job.name)
    # A script that began earlier and comes later.
    assert isinstance(bench.submit(job)["withdrawn-1"], InDoubt)
    assert bench.known_jobs(job) == []
    assert isinstance(bench.withdraw(job), InDoubt)
    (bench.root / job.directory / "submitting").write_text("1000000000\n")
    assert bench.withdraw(job) == NeverSubmitted(job.name)
    assert bench.known_jobs(job) == []


def test_what_was_submitted_is_found_where_it_is_withdrawn(bench):
    job = bench.request("withdrawn-2", SLEEP)
    first = bench.submit(job)["withdrawn-2"]
    assert bench.withdraw(job) == first
    (bench.root / job.directory / "job.id").unlink()
    assert bench.withdraw(job) == first
    bench.cancel(job)


def test_a_twin_of_a_job_leaves_it_alone(bench):
    job = bench.run("twin-1", WAITS + COUNTED)
    bench.wait_until_started(job)
    directory = bench.root / job.directory
    done = subprocess.run(["sh", directory / bench.batch.script_name], capture_output=True)
    assert done.returncode == 0
    bench.let_go(job)
    assert isinstance(bench.verdict(job), Finished)
    assert runs(bench, job) == 1


def test_two_submitters_at_once_make_one_job_each(bench):
    jobs = [bench.request(f"race-{number}", COUNTED) for number in range(3)]
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(bench.cluster.submit(jobs)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    bench.wait_for(
        lambda: all(isinstance(answer, Submitted) for answer in bench.submit(*jobs).values())
    )
    for job in jobs:
        assert isinstance(bench.verdict(job), Finished)
        assert runs(bench, job) == 1
        assert len(bench.known_jobs(job)) == 1


def test_waits_runs_and_ends(bench):
    job = bench.run("states-1", WAITS + GOOD)
    bench.wait_until_started(job)
    assert bench.see(job).listing.state is JobState.RUNNING
    bench.let_go(job)
    assert isinstance(bench.verdict(job), Finished)


def test_exit_code_of_a_program_that_fails(bench):
    job = bench.run("code-1", "import sys\nsys.stderr.write('no such luck')\nsys.exit(3)\n")
    found = bench.verdict(job)
    assert isinstance(found, Failed)
    assert (found.failure.cause, found.failure.exit_code) == (Cause.PROGRAM_ERROR, 3)
    assert "no such luck" in found.failure.stderr_tail


def test_cancelled_while_it_runs_it_leaves_its_partial_result(bench):
    job = bench.run("cancel-1", PARTIAL)
    bench.wait_until_started(job)
    bench.wait_for(lambda: _catches_sigterm(bench, job))
    bench.cancel(job)
    found = bench.verdict(job, cancelled=True)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANCELLED
    assert found.result is not None
    assert found.result.status == "preempted"


def _catches_sigterm(bench, job):
    """The job's own Python program has come as far as its signal handler."""
    done = subprocess.run(["pgrep", "-f", "stop.number, frame"], capture_output=True, text=True)
    for pid in done.stdout.split():
        try:
            where = Path(f"/proc/{pid}/cwd").readlink()
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if where != bench.root / job.directory or "\tpython" not in status.splitlines()[0]:
            continue  # of another test; or `timeout` before the program, which catches it too
        caught = [line for line in status.splitlines() if line.startswith("SigCgt:")]
        if caught and int(caught[0].split()[1], 16) & (1 << 14):
            return True
    return False


def test_cancelled_while_it_waits(bench):
    job = bench.run_blocked("cancel-2", GOOD)
    bench.wait_for_state(job, JobState.QUEUED)
    bench.cancel(job)
    found = bench.verdict(job, cancelled=True)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANCELLED
    assert not (bench.root / job.directory / "lock").exists()


def test_a_trial_that_shares_a_job_is_listed_and_cancelled_with_it(bench):
    """The batch system knows the job by the job's own name, not by the trial's."""
    job = bench.run_blocked("shared-1", GOOD)
    job_id = bench.ids["shared-1"]
    trial = JobRef("trial-1", f"{job.directory}/t", job_id, shared_job=job.name)

    def look():
        listing = bench.cluster.poll([trial])["trial-1"].listing
        return listing and listing.state

    bench.wait_for(lambda: look() is JobState.QUEUED)
    bench.cluster.cancel([trial])
    bench.wait_for(lambda: look() is JobState.ENDED)


def test_cancelling_twice_and_after_the_end_changes_nothing(bench):
    job = bench.run("cancel-3", GOOD)
    assert isinstance(bench.verdict(job), Finished)
    bench.cancel(job)
    bench.cancel(job)
    assert isinstance(bench.verdict(job), Finished)


def test_a_job_that_nobody_knows_is_not_listed(bench):
    known = bench.run("known-1", SLEEP)
    stranger = bench.request("stranger-1", GOOD)
    bench.ids["stranger-1"] = bench.unknown_id()
    seen = bench.cluster.poll([bench.ref(known), bench.ref(stranger)])
    assert seen[stranger.name].listing is None
    assert seen[known.name].listing is not None
    assert bench.see(stranger).listing is None
    bench.cancel(known)


def test_a_refused_job_says_why_and_can_be_submitted_again(bench):
    if bench.batch.name == "local":
        pytest.skip("the local batch system refuses nothing")
    bad = bench.request("refused-1", GOOD, queue="nosuchqueue")
    answer = bench.submit(bad)["refused-1"]
    assert isinstance(answer, Refused)
    assert not answer.backpressure
    assert answer.message
    good = bench.request("refused-1", COUNTED)
    assert bench.withdraw(good) == NeverSubmitted(good.name)
    assert isinstance(bench.submit(good, again=frozenset(["refused-1"]))["refused-1"], Submitted)
    assert isinstance(bench.verdict(good), Finished)


def test_walltime(bench):
    if bench.batch.name == "slurm":
        pytest.skip("Slurm counts in minutes; see test_slurm_jobs.py")
    job = bench.run("walltime-1", PARTIAL, walltime_seconds=3)
    found = bench.verdict(job)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.WALLTIME


def test_warned_before_its_walltime_it_leaves_its_partial_result(bench):
    """Long before anybody would end it, and the cause is known all the same."""
    job = bench.request("warned-1", PARTIAL, walltime_seconds=600)
    script = bench.cluster.render(job).replace("left=$((480 - ", "left=$((3 - ")
    assert "left=$((3 - " in script
    bench.cluster.render = lambda request: script
    assert isinstance(bench.submit(job)["warned-1"], Submitted)
    found = bench.verdict(job)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.WALLTIME
    assert found.result is not None
    assert found.result.status == "preempted"


def test_killed_from_outside(bench):
    """The script's shells and the program, with a signal that nobody can catch."""
    program = (
        "import os, signal\n"
        "doomed = [os.getpid()]\n"
        "while doomed[-1] != int(open('lock/pid').read()):\n"
        "    stat = open(f'/proc/{doomed[-1]}/stat').read()\n"
        "    doomed.append(int(stat.rpartition(')')[2].split()[1]))\n"
        "for pid in reversed(doomed):\n"
        "    os.kill(pid, signal.SIGKILL)\n"
    )
    job = bench.run("killed-1", program)
    found = bench.verdict(job)
    assert isinstance(found, Failed)
    assert found.failure.exit_code is None
