"""A job's name is anybody's text, on a real Slurm: it makes no rows, and a job that is renamed stays ours."""

from pathlib import Path

import pytest
from bench import GOOD, SLEEP, WAITS, Bench

from scheduler.job import Cause, JobState, Submitted
from scheduler.outcome import Finished
from scheduler.settings import SlurmBatchSettings

pytestmark = pytest.mark.cluster


def rename(lab, bench, job, name):
    job_id = bench.ids[job.name]
    lab.client("scontrol", "update", f"jobid={job_id}", f"jobname={name}", check=True)


def test_a_job_that_a_person_renamed_is_still_ours(lab, bench):
    job = bench.run("renamed-1", WAITS + GOOD)
    bench.wait_until_started(job)
    rename(lab, bench, job, "my best run\nQ|1|FAILED|x|y")
    bench.wait_for_state(job, JobState.RUNNING)
    bench.let_go(job)
    assert isinstance(bench.verdict(job), Finished)


def test_how_a_renamed_job_failed_is_told(lab, bench):
    job = bench.run("renamed-2", WAITS + "raise SystemExit(3)")
    bench.wait_until_started(job)
    rename(lab, bench, job, "mine")
    bench.let_go(job)
    listing = bench.wait_for_state(job, JobState.ENDED)
    assert (listing.raw_state, listing.exit_code) == ("FAILED", 3)


def test_a_renamed_job_is_cancelled(lab, bench):
    job = bench.run("renamed-3", SLEEP)
    bench.wait_until_started(job)
    rename(lab, bench, job, "mine")
    bench.cancel(job)
    assert bench.wait_for_state(job, JobState.ENDED).cause is Cause.CANCELLED


def test_a_renamed_job_is_ours_where_a_link_leads_to_its_directory(lab, tmp_path):
    (tmp_path / "disk7").mkdir()
    (tmp_path / "scratch").symlink_to("disk7")
    bench = Bench(SlurmBatchSettings(kind="slurm"), tmp_path / "scratch")
    job = bench.run("renamed-7", SLEEP)
    bench.wait_until_started(job)
    rename(lab, bench, job, "mine")
    bench.wait_for_state(job, JobState.RUNNING)
    bench.cancel(job)
    assert bench.wait_for_state(job, JobState.ENDED).cause is Cause.CANCELLED


def test_the_books_know_a_renamed_job(accounting_slurm, tmp_path, monkeypatch):
    lab = accounting_slurm
    for key, value in lab.environment.items():
        monkeypatch.setenv(key, value)
    bench = Bench(SlurmBatchSettings(kind="slurm"), tmp_path)
    job = bench.run("renamed-4", GOOD, directives={"hold": None})
    job_id = bench.ids[job.name]
    rename(lab, bench, job, "mine\n1|COMPLETED|0:0|x")
    lab.client("scontrol", "release", job_id, check=True)
    bench.verdict(job)
    ask = ("sacct", "-X", "-n", "-P", "-j", job_id, "-o", "State,JobName")
    bench.wait_for(lambda: lab.client(*ask).stdout.startswith("COMPLETED|mine"))
    lab.stop_controller()
    lab.start_controller(forget=True)
    lab.wait_until_idle()
    listing = bench.see(job).listing
    assert listing is not None
    assert (listing.raw_state, listing.is_forgotten) == ("COMPLETED", False)


def test_the_number_of_a_renamed_job_does_not_cancel_another(lab, bench):
    stranger = bench.run("renamed-5", SLEEP)
    job = bench.request("renamed-6", GOOD)
    bench.ids[job.name] = bench.ids[stranger.name]
    assert bench.see(job).listing is None
    bench.cancel(job)
    bench.wait_for_state(stranger, JobState.RUNNING)


def test_a_submission_is_found_by_its_name_and_no_other_row(lab, bench):
    job = bench.request("cut-1", SLEEP)
    first = bench.submit(job)[job.name]
    assert isinstance(first, Submitted)
    Path(bench.root / job.directory / "job.id").unlink()
    assert bench.submit(job)[job.name] == first
    bench.cancel(job)
