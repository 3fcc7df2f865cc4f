"""A job that was stopped is judged when the batch system has said why, not before."""

import pytest

from scheduler.job import Cause, JobState, Listing, Observation
from scheduler.outcome import Circumstances, Failed, Finished, Unfinished, judge

RESULT = (
    b'{"schema": 1, "status": "%s", "metrics": {"accuracy_auc": 0.5}, '
    b'"curve": {"step": [0], "accuracy": [0.5]}, "seconds": 1.0}'
)
PREEMPTED, COMPLETED = RESULT % b"preempted", RESULT % b"completed"


def verdict(state, exit_code, result=None, cause=None):
    listing = None if state is None else Listing("1", state, cause=cause)
    seen = Observation("job", listing, True, exit_code, result)
    return judge(seen, Circumstances(0, gone_for=None, grace=60.0))


@pytest.mark.parametrize("exit_code", [137, 143])
@pytest.mark.parametrize("result", [None, PREEMPTED])
def test_stopped_while_the_batch_system_still_lists_it(exit_code, result):
    assert isinstance(verdict(JobState.RUNNING, exit_code, result), Unfinished)
    ended = verdict(JobState.ENDED, exit_code, result, Cause.WALLTIME)
    assert isinstance(ended, Failed)
    assert ended.failure.cause is Cause.WALLTIME


def test_a_partial_result_waits_for_its_cause_whatever_the_exit_code():
    assert isinstance(verdict(JobState.RUNNING, 0, PREEMPTED), Unfinished)


@pytest.mark.parametrize("exit_code", [0, 1, 143])
def test_a_job_that_waits_again_has_the_sentinel_of_its_earlier_run(exit_code):
    assert isinstance(verdict(JobState.QUEUED, exit_code), Unfinished)
    assert isinstance(verdict(JobState.QUEUED, exit_code, PREEMPTED), Unfinished)


def test_without_a_word_of_the_batch_system_the_sentinel_alone_judges():
    assert isinstance(verdict(None, 143), Failed)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.ENDED, None])
def test_a_whole_result_counts_at_once(state):
    assert isinstance(verdict(state, 0, COMPLETED), Finished)


def test_a_program_that_failed_by_itself_is_judged_at_once():
    assert isinstance(verdict(JobState.RUNNING, 1), Failed)


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.ENDED, None])
def test_a_job_that_was_cancelled_before_it_began_has_no_files_to_wait_for(state, started):
    listing = None if state is None else Listing("1", state, cause=Cause.CANCELLED)
    seen = Observation("job", listing, started, None, None)
    found = judge(seen, Circumstances(0, gone_for=1.0, grace=60.0, cancelled=True))
    if state is not JobState.ENDED or started:
        assert isinstance(found, Unfinished)
    else:
        assert isinstance(found, Failed)
        assert found.failure.cause is Cause.CANCELLED
