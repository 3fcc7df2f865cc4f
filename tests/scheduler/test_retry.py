import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.job import Cause, Resources
from scheduler.retry import Attempt, decide
from scheduler.settings import MoreMemory, MoreTime, RetrySettings

HAD = Resources(memory_mb=1000, walltime_seconds=600, queue="debug")
OF_THE_MACHINE = (Cause.NODE_FAILURE, Cause.PREEMPTED, Cause.LOST, Cause.NO_ROOM)
OWN_FAULTS = [
    cause for cause in Cause if cause not in (Cause.OUT_OF_MEMORY, Cause.WALLTIME, *OF_THE_MACHINE)
]


def attempts(*causes):
    return [Attempt(HAD, cause) for cause in causes]


@pytest.mark.parametrize("cause", OF_THE_MACHINE)
def test_failures_of_the_machine_are_run_again_as_they_were(cause):
    policy = RetrySettings(node_failure=2, preempted=2, lost=2)
    assert decide(attempts(cause), policy) == HAD
    assert decide(attempts(cause, cause), policy) == HAD
    assert decide(attempts(cause, cause, cause), policy) is None


@pytest.mark.parametrize("cause", OWN_FAULTS)
def test_failures_of_the_trial_itself_are_not_run_again(cause):
    assert decide(attempts(cause), RetrySettings()) is None


def test_causes_are_counted_apart():
    policy = RetrySettings(node_failure=1, preempted=1)
    assert decide(attempts(Cause.PREEMPTED, Cause.NODE_FAILURE), policy) == HAD
    assert decide(attempts(Cause.NODE_FAILURE, Cause.PREEMPTED, Cause.NODE_FAILURE), policy) is None


def test_out_of_memory_comes_back_with_more_up_to_the_maximum():
    policy = RetrySettings(out_of_memory=MoreMemory(times=3, factor=3.0, maximum=5000))
    assert decide(attempts(Cause.OUT_OF_MEMORY), policy).memory_mb == 3000
    large = Attempt(Resources(memory_mb=3000), Cause.OUT_OF_MEMORY)
    assert decide([large], policy).memory_mb == 5000
    largest = Attempt(Resources(memory_mb=5000), Cause.OUT_OF_MEMORY)
    assert decide([largest], policy) is None


def test_walltime_comes_back_with_more_and_nothing_else_changes():
    again = decide(attempts(Cause.WALLTIME), RetrySettings(walltime=MoreTime(factor=2.0)))
    assert again == Resources(memory_mb=1000, walltime_seconds=1200, queue="debug")


def test_what_was_never_asked_for_cannot_grow():
    assert decide([Attempt(Resources(), Cause.OUT_OF_MEMORY)], RetrySettings()) is None
    assert decide([Attempt(Resources(), Cause.WALLTIME)], RetrySettings()) is None


@given(st.lists(st.sampled_from(Cause), max_size=40))
def test_retrying_comes_to_an_end(causes):
    policy = RetrySettings()
    so_far, asked = [], HAD
    for cause in causes * 3:
        so_far.append(Attempt(asked, cause))
        again = decide(so_far, policy)
        if again is None:
            return
        asked = again
    most = policy.node_failure + policy.preempted + policy.lost + 2
    assert len(so_far) <= most
