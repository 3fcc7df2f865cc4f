"""What polls leave in memory of a job that reports for days."""

import json
from dataclasses import replace
from itertools import pairwise

from agents.outcome import intermediate_values
from agents.trial import Job, Trial, TrialState
from agents.watch import MOST_LINES, Watch
from scheduler.job import Cause, JobState, Listing, Observation, Resources

TRIAL = Trial(0, 1, TrialState.RUNNING, {}, "sampler", 0, job=Job("job", "job", 1, job_id="1"))


def follow(watch, steps, at_once):
    listing = Listing("1", JobState.RUNNING)
    for first in range(0, steps, at_once):
        lines = "".join(
            json.dumps({"step": step, "accuracy": step / steps}) + "\n"
            for step in range(first, min(steps, first + at_once))
        )
        watch.see(
            [TRIAL],
            {"job": Observation("job", listing, True, None, None, lines.encode())},
            watch.now(),
        )


def test_of_a_long_curve_an_even_part_is_kept_and_the_last_point():
    watch = Watch(60.0, "token")
    follow(watch, 50_001, at_once=1234)
    kept = watch.lines(TRIAL)
    steps = [line.step for line in kept]
    assert MOST_LINES / 2 <= len(kept) <= MOST_LINES
    assert steps[-1] == 50_000
    gaps = {after - before for before, after in pairwise(steps[:-1])}
    assert len(gaps) == 1
    assert intermediate_values(kept, "accuracy")[50_000] == 50_000 / 50_001


def test_an_ordinary_curve_is_kept_whole():
    watch = Watch(60.0, "token")
    follow(watch, 300, at_once=7)
    assert [line.step for line in watch.lines(TRIAL)] == list(range(300))


def test_epochs_are_reports_and_no_change():
    now = [0.0]
    watch = Watch(60.0, "token", lambda: now[0])
    follow(watch, 1, at_once=1)
    now[0] = 100.0
    follow(watch, 2, at_once=2)
    assert (watch.since_change(), watch.since_report()) == (100.0, 0.0)


def test_a_job_that_ran_between_two_polls_ran():
    watch = Watch(60.0, "token")
    ended = Observation("job", Listing("1", JobState.ENDED), True, 1, None, b"")
    watch.see([TRIAL], {"job": ended}, watch.now())
    assert watch.running_for(TRIAL) is not None
    never = Observation("job", Listing("1", JobState.ENDED), False, 1, None, b"")
    watch.forget(TRIAL)
    watch.see([TRIAL], {"job": never}, watch.now())
    assert watch.running_for(TRIAL) is None


def seen(watch, now, asked, answered, observation):
    """A poll asked at one time and answered at another."""
    now[0] = answered
    return watch.see([TRIAL], {"job": observation}, asked)


def test_an_answer_that_was_long_on_its_way_is_as_old_as_its_question():
    """Two looks at a job without its files, four seconds apart, are no grace period of two minutes."""
    now = [0.0]
    watch = Watch(120.0, "token", lambda: now[0])
    gone = Observation("job", None, True, None, None)
    assert not seen(watch, now, 0.0, 1.0, gone)
    assert not seen(watch, now, 5.0, 130.0, gone)
    assert seen(watch, now, 131.0, 132.0, gone) == [TRIAL]


def test_a_result_that_could_not_be_read_is_waited_for_by_what_was_looked_at():
    now = [0.0]
    watch = Watch(60.0, "token", lambda: now[0])
    unread = Observation("job", None, True, 0, None, is_result_unread=True)
    assert not seen(watch, now, 0.0, 1.0, unread)
    assert not seen(watch, now, 5.0, 700.0, unread)
    assert seen(watch, now, 701.0, 702.0, unread) == [TRIAL]


def cause_after(*polls):
    """Of a job of an hour, running in these polls, and stopped without a word in the last."""
    now = [0.0]
    watch = Watch(60.0, "token", lambda: now[0])
    job = replace(TRIAL.job, resources=Resources(walltime_seconds=3600))
    trial = replace(TRIAL, job=job)
    *before, last = polls
    for moment in before:
        now[0] = moment
        running = Observation("job", Listing("1", JobState.RUNNING), True, None, None)
        watch.see([trial], {"job": running}, moment)
    now[0] = last
    watch.see([trial], {"job": Observation("job", None, True, 143, None)}, last)
    return watch.verdict(trial).failure.cause


def test_a_job_that_was_stopped_while_nobody_looked_did_not_run_all_night():
    assert cause_after(0.0, 60.0, 28_800.0) is Cause.PREEMPTED
    assert cause_after(0.0, 3_000.0, 3_280.0) is Cause.WALLTIME
    assert cause_after(0.0, 3_300.0, 28_800.0) is Cause.WALLTIME
