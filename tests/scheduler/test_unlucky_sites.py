"""Sites on a bad day: full temporary directories, files that cannot be read, books that are away."""

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest
from local_cluster import GOOD, request

from scheduler.batch.local import LocalBatch
from scheduler.batch.pbs import PbsBatch
from scheduler.batch.slurm import SlurmBatch
from scheduler.cluster import Cluster
from scheduler.errors import HostOverloaded, SchedulerAway, SchedulerError
from scheduler.job import (
    Cause,
    InDoubt,
    JobRef,
    JobState,
    Listing,
    Observation,
    Submitted,
    Unwritable,
)
from scheduler.outcome import (
    FORGOTTEN_SECONDS,
    UNREAD_SECONDS,
    Circumstances,
    Failed,
    Finished,
    Unfinished,
    judge,
)
from scheduler.settings import LocalBatchSettings, PbsBatchSettings, SlurmBatchSettings
from scheduler.transports import ssh_client
from scheduler.transports.local import LocalTransport

MONTH_AGO = "1000000000\n"


@pytest.fixture
def site(tmp_path):
    """Commands of a site by name: ``site(squeue="exit 0")`` makes them and returns their directory."""

    def make(**commands):
        place = tmp_path / "site_bin"
        place.mkdir(exist_ok=True)
        for name, text in commands.items():
            (place / name).write_text(f"#!/bin/sh\n{text}\n")
            (place / name).chmod(stat.S_IRWXU)
        return str(place)

    return make


def reach(batch, base):
    cluster = Cluster(LocalTransport(), batch, str(base), "run")
    cluster.prepare()
    return cluster


def slurm(place):
    return SlurmBatch(SlurmBatchSettings(kind="slurm", bin_directory=place))


def a_job(cluster, **files):
    """The directory of a job that has begun, with these files in it."""
    place = Path(cluster.root, "job")
    (place / "lock").mkdir(parents=True)
    for name, text in files.items():
        (place / name.replace("__", ".")).write_text(text)
    return place


def test_without_a_temporary_directory_running_jobs_are_still_listed(tmp_path, site, monkeypatch):
    row = "Job Id: 7.server|Job_Name=job|job_state=R"
    batch = PbsBatch(PbsBatchSettings(kind="pbs", bin_directory=site(qstat=f"echo '{row}'")))
    cluster = reach(batch, tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "purged"))
    seen = cluster.poll([JobRef("job", "job", "7.server")])["job"]
    assert seen.listing.state is JobState.RUNNING
    assert not [path for path in Path(cluster.root).iterdir() if "ph." in path.name]


def test_without_any_place_for_a_temporary_file_pbs_counts_as_away(tmp_path, site, monkeypatch):
    place = site(qstat="exit 0", mktemp="exit 1")
    cluster = reach(PbsBatch(PbsBatchSettings(kind="pbs", bin_directory=place)), tmp_path)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    with pytest.raises(SchedulerAway, match="no temporary file"):
        cluster.poll([JobRef("job", "job", "7.server")])


@pytest.mark.parametrize("broken", ["wc", "tail", "head"])
def test_a_result_that_cannot_be_read_this_time_is_waited_for(tmp_path, site, monkeypatch, broken):
    cluster = reach(LocalBatch(LocalBatchSettings()), tmp_path)
    a_job(cluster, exit_code="0\n", results__json=GOOD)
    ref = JobRef("job", "job", "job")
    path = (
        f"{site(**{broken: 'cat > /dev/null; echo Input/output error >&2; exit 1'})}:/usr/bin:/bin"
    )
    with monkeypatch.context() as bad:
        bad.setenv("PATH", path)
        seen = cluster.poll([ref])["job"]
    assert (seen.exit_code, seen.result, seen.is_result_unread) == (0, None, True)
    known = Circumstances(0, None, 1.0, unread_for=1.0)
    assert isinstance(judge(seen, known), Unfinished)
    too_long = Circumstances(0, None, 1.0, unread_for=UNREAD_SECONDS)
    assert judge(seen, too_long).failure.cause is Cause.CONTRACT
    assert isinstance(judge(cluster.poll([ref])["job"], known), Finished)


def test_a_poll_whose_shell_died_half_way_says_nothing_of_any_job(tmp_path, monkeypatch):
    cluster = reach(LocalBatch(LocalBatchSettings()), tmp_path)
    a_job(cluster, exit_code="0\n")
    run = cluster.transport.run

    def dies(script, **how):
        return run(script.replace("exec 3<<PH_SIZES", "exit 2\nexec 3<<PH_SIZES"), **how)

    monkeypatch.setattr(cluster.transport, "run", dies)
    with pytest.raises(SchedulerAway, match="broke off"):
        cluster.poll([JobRef("job", "job", "job")])


def test_an_exit_code_that_is_empty_is_not_that_of_the_job_before(tmp_path):
    cluster = reach(LocalBatch(LocalBatchSettings()), tmp_path)
    for name, text in (("a", "3\n"), ("b", "\n")):
        (Path(cluster.root) / name).mkdir()
        (Path(cluster.root) / name / "exit_code").write_text(text)
    seen = cluster.poll([JobRef("a", "a", "a"), JobRef("b", "b", "b")])
    assert (seen["a"].exit_code, seen["b"].exit_code) == (3, None)


@pytest.mark.parametrize("exit_code", [None, 137, 143])
def test_a_job_that_no_queue_has_and_no_book_ended_is_lost_after_an_hour(exit_code):
    listing = Listing("1", JobState.RUNNING, raw_state="RUNNING", is_forgotten=True)
    seen = Observation("job", listing, True, exit_code, None)
    soon = judge(seen, Circumstances(0, 600.0, 120.0))
    assert isinstance(soon, Unfinished)
    assert isinstance(judge(seen, Circumstances(0, FORGOTTEN_SECONDS, 120.0)), Failed)


def test_a_submission_in_doubt_ends_where_the_books_are_never_there(tmp_path, site):
    refused = "echo 'sacct: error: Connection refused' >&2; exit 1"
    place = site(squeue="exit 0", sbatch="echo 7", sacct=refused)
    cluster = reach(slurm(place), tmp_path)
    job = request("job", "pass")
    claim = Path(cluster.root, job.directory, "submitting")
    claim.parent.mkdir()
    claim.touch()
    answer = cluster.submit([job])["job"]
    assert isinstance(answer, InDoubt)
    assert not answer.did_not_happen
    claim.write_text(MONTH_AGO)
    assert cluster.submit([job]) == {"job": Submitted("job", "7")}


def test_a_queue_that_cannot_be_asked_leaves_the_doubt(tmp_path, site):
    cluster = reach(slurm(site(squeue="exit 1", sbatch="echo 7", sacct="exit 0")), tmp_path)
    job = request("job", "pass")
    claim = Path(cluster.root, job.directory, "submitting")
    claim.parent.mkdir()
    claim.write_text(MONTH_AGO)
    assert cluster.submit([job]) == {"job": InDoubt("job", 0.0)}


def test_a_directory_that_is_away_is_no_refusal(tmp_path, site):
    cluster = reach(slurm(site(sbatch="echo 7")), tmp_path)
    job = request("job", "pass")
    Path(cluster.root, job.directory).symlink_to("/nonexistent/disk")
    answer = cluster.submit([job])["job"]
    assert isinstance(answer, Unwritable)
    assert job.directory in answer.message
    Path(cluster.root, job.directory).unlink()
    assert cluster.submit([job]) == {"job": Submitted("job", "7")}


def test_a_file_system_without_locks_is_told_and_not_waited_for_as_a_slot(
    tmp_path, site, monkeypatch
):
    no_locks = 'echo "flock: $2: Function not implemented" >&2; exit 71'
    monkeypatch.setenv("PATH", f"{site(flock=no_locks)}:{os.environ['PATH']}")
    cluster = reach(LocalBatch(LocalBatchSettings()), tmp_path)
    cluster.submit([request("job", "pass")])
    with pytest.raises(SchedulerAway, match="file locks"):
        cluster.poll([JobRef("job", "dir_job", "job")])


def test_no_job_is_submitted_where_its_answer_finds_no_room(tmp_path, site):
    cluster = reach(slurm(site(sbatch=f"touch {tmp_path}/asked; echo 7")), tmp_path)
    job = request("job", "pass")
    no_file = Path(cluster.root, job.directory, "submit.err")
    no_file.mkdir(parents=True)  # as where a quota of files is used up
    assert isinstance(cluster.submit([job])["job"], Unwritable)
    assert not (tmp_path / "asked").exists()
    no_file.rmdir()
    assert cluster.submit([job]) == {"job": Submitted("job", "7")}


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_machine_that_can_start_no_process_is_waited_for(tmp_path, monkeypatch, number):
    cluster = reach(LocalBatch(LocalBatchSettings()), tmp_path)

    def no_more(*command, **how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", no_more)
    with pytest.raises(HostOverloaded, match="this machine could not start"):
        cluster.poll([JobRef("job", "job", "job")])
    with pytest.raises(HostOverloaded):
        ssh_client.call(["ssh", "-V"], timeout=10)


def test_a_directory_that_goes_away_is_waited_for_once_it_was_there(tmp_path):
    base = tmp_path / "disk"
    batch = LocalBatch(LocalBatchSettings())
    cluster = reach(batch, base)
    base.rename(tmp_path / "unmounted")
    base.write_text("no directory")
    with pytest.raises(SchedulerAway, match="missing or not reachable"):
        cluster.prepare()
    resumed = Cluster(LocalTransport(), batch, str(base), "run")
    with pytest.raises(SchedulerAway):
        resumed.prepare(known=True)
    with pytest.raises(SchedulerError, match=r"set cluster\.remote_base"):
        resumed.prepare()


def test_while_jobs_are_in_flight_their_directory_is_not_made_anew(tmp_path):
    """As on another cluster: there every job would count as lost, and run a second time."""
    elsewhere = Cluster(LocalTransport(), LocalBatch(LocalBatchSettings()), str(tmp_path), "run")
    with pytest.raises(SchedulerAway, match="missing or not reachable") as caught:
        elsewhere.prepare(known=True, in_flight=True)
    assert "where the jobs were submitted" in caught.value.remedy
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    elsewhere.prepare(known=True, in_flight=True)
