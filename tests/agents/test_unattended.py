"""The time in which nobody worked on a search counts for as long as its jobs went on, no longer."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from trials import failed, trial

from agents.elapsed import elapsed_seconds
from agents.trial import Job, PastAttempt
from agents.unattended import Unattended
from agents.workspace import Workspace
from scheduler.job import Cause, Failure

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
LEFT, BACK = START + timedelta(minutes=10), START + timedelta(hours=8)
FAILED = Failure(Cause.LOST, "gone")


class Kept:
    """A ledger of a few trials that survives processes."""

    def __init__(self, *trials):
        self._trials, self._attributes = trials, {}

    def trials(self):
        return self._trials

    def now_has(self, *trials):
        self._trials = trials

    def attributes(self):
        return json.loads(json.dumps(self._attributes))

    def set_attribute(self, name, value):
        self._attributes[name] = value

    @property
    def worked(self):
        """Minutes at work until the search was taken up again."""
        return elapsed_seconds(self._attributes, START, BACK) / 60


def job(number, attempt=1):
    return Job(f"job-{number}.{attempt}", f"job_{number}_{attempt}", attempt)


def with_job(number, value=None, **fields):
    return trial(number, value, job=fields.pop("job", job(number)), **fields)


@pytest.fixture
def run(tmp_path):
    lines = [{"trial": 0, "state": "running"}, {"trial": 1, "state": "queued"}]
    beat = {"updated_at": LEFT.isoformat(), "jobs": lines}
    (tmp_path / "progress.json").write_text(json.dumps(beat))
    return Workspace(tmp_path)


def wrote(run, of, minutes, began=1):
    """The job began, and wrote its last file, at these moments after the start."""
    directory = run.directory / of.directory
    (directory / "lock").mkdir(exist_ok=True, parents=True)
    for name, at in (("job.out", 0), ("exit_code", minutes), ("lock", began)):
        if name != "lock":
            (directory / name).write_text("")
        moment = (START + timedelta(minutes=at)).timestamp()
        os.utime(directory / name, (moment, moment))


def taken_up(run, ledger, now=BACK, is_local=True):
    unattended = Unattended(run, ledger, is_local=is_local)
    unattended.begin(now)
    return unattended


def test_with_nothing_in_flight_all_of_it_is_idle(run):
    ledger = Kept(trial(0, 0.5), trial(1))  # the second has no job yet
    taken_up(run, ledger)
    assert ledger.worked == 10


def test_jobs_that_ended_meanwhile_count_until_the_last_of_them_has(run):
    ledger = Kept(with_job(0), with_job(1), trial(2))
    wrote(run, job(0), 14)
    wrote(run, job(1), 30)
    unattended = taken_up(run, ledger)
    ledger.now_has(with_job(0, 0.5), with_job(1), trial(2))
    unattended.settle()
    assert ledger.worked == 10  # as long as it is not known
    ledger.now_has(with_job(0, 0.5), with_job(1, 0.6), with_job(2))
    unattended.settle()
    assert ledger.worked == 30


@pytest.mark.parametrize(("ended", "worked"), [(5, 10), (8 * 60 + 1, 8 * 60)])
def test_a_job_that_had_ended_before_counts_nothing_and_one_that_still_runs_all(run, ended, worked):
    ledger = Kept(with_job(0))
    wrote(run, job(0), ended)
    unattended = taken_up(run, ledger)
    ledger.now_has(with_job(0, 0.5))
    unattended.settle()
    assert ledger.worked == worked


@pytest.mark.parametrize("is_local", [True, False])
def test_a_job_that_is_seen_going_on_has_gone_on_all_the_time(run, is_local):
    ledger = Kept(with_job(0), with_job(1))
    wrote(run, job(0), 12)
    wrote(run, job(1), 12)
    unattended = taken_up(run, ledger, is_local=is_local)
    ledger.now_has(with_job(0), with_job(1, 0.5))
    unattended.settle([])
    assert ledger.worked == 10
    unattended.settle([job(0).name])
    assert ledger.worked == 8 * 60
    assert ledger.attributes()["unattended"] == []


def test_here_a_job_that_began_only_now_did_nothing_meanwhile(run):
    """The machine was off, and its queue goes on with the search."""
    ledger = Kept(with_job(0), with_job(1))
    wrote(run, job(0), 12)
    wrote(run, job(1), 8 * 60 + 2, began=8 * 60 + 1)
    unattended = taken_up(run, ledger)
    ledger.now_has(with_job(0, 0.5), with_job(1))
    unattended.settle([job(1).name])
    assert ledger.worked == 12


def test_a_job_that_died_with_the_machine_and_is_run_again_counts_as_far_as_it_came(run):
    ledger = Kept(with_job(0))
    wrote(run, job(0), 12)
    unattended = taken_up(run, ledger)
    ledger.now_has(with_job(0, job=job(0, 2), attempts=(PastAttempt(job(0), FAILED),)))
    unattended.settle()
    assert ledger.worked == 12


def test_elsewhere_a_job_that_ran_has_ended_after_the_time_that_it_took(run):
    ledger = Kept(with_job(0))
    unattended = taken_up(run, ledger, is_local=False)
    ledger.now_has(with_job(0, 0.5, seconds=240.0))
    unattended.settle()
    assert ledger.worked == 14


@pytest.mark.parametrize("ended", [with_job(1, 0.5, seconds=240.0), failed(0, job=job(0))])
def test_elsewhere_one_that_waited_or_left_no_result_may_have_gone_on(run, ended):
    ledger = Kept(with_job(ended.number))
    unattended = taken_up(run, ledger, is_local=False)
    ledger.now_has(ended)
    unattended.settle()
    assert ledger.worked == 8 * 60
    assert ledger.attributes()["unattended"] == []


def test_processes_that_died_at_once_or_before_they_collected_lose_none_of_it(run):
    ledger = Kept(with_job(0))
    wrote(run, job(0), 14)
    taken_up(run, ledger, START + timedelta(hours=1))
    taken_up(run, ledger, START + timedelta(hours=2))  # the first gave no sign of life
    beat = {"updated_at": (START + timedelta(hours=2, minutes=6)).isoformat(), "jobs": []}
    run.progress_file.write_text(json.dumps(beat))
    ledger.now_has(with_job(0, 0.5))  # collected, and died
    taken_up(run, ledger)
    assert ledger.worked == 14 + 6
    assert ledger.attributes()["unattended"] == []
