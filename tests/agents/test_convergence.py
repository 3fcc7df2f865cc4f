from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import START, failed, job, stop_reason, trial, view

from agents.config.model import LoopSettings, StopSettings
from agents.convergence import (
    failures_in_a_row,
    iterations_without_improvement,
)
from agents.cost import node_hours
from agents.trial import PastAttempt
from scheduler.job import Cause, Failure

NEVER = StopSettings(failures_in_a_row=None)


def rule(known, iteration=1, elapsed=0.0, stop=NEVER, **loop):
    settings = LoopSettings(**{"max_iterations": 100, **loop})
    reason = stop_reason(known, iteration, elapsed, settings, stop)
    return reason and reason.rule


def stop(**fields):
    return StopSettings(**{"failures_in_a_row": None, **fields})


def test_nothing_holds_at_the_start():
    assert rule(view(), iteration=0) is None


@pytest.mark.parametrize(
    ("direction", "value", "target", "held"),
    [
        ("maximize", 0.9, 0.9, True),
        ("maximize", 0.89, 0.9, False),
        ("minimize", 0.1, 0.1, True),
        ("minimize", 0.11, 0.1, False),
    ],
)
def test_the_target(direction, value, target, held):
    known = view(trial(0, value), direction=direction)
    assert (rule(known, stop=stop(target=target)) == "target") is held


def test_iterations_trials_and_time():
    known = view(trial(0, 0.5), trial(1, 0.5))
    assert rule(known, iteration=3, max_iterations=3) == "max_iterations"
    assert rule(known, iteration=2, max_iterations=3) is None
    assert rule(known, max_trials=2) == "max_trials"
    assert rule(known, max_trials=3) is None
    assert rule(known, elapsed=60.0, stop=stop(wall_clock=60.0)) == "wall_clock"
    assert rule(known, elapsed=59.0, stop=stop(wall_clock=60.0)) is None


def test_node_hours_count_each_node_of_a_trial():
    two_nodes = job(0.3, nodes=2)
    known = view(
        trial(0, 0.5, seconds=900.0, job=two_nodes), trial(1, 0.5, seconds=1800.0, job=job(0.6))
    )
    assert node_hours(known) == 1.0
    assert rule(known, stop=stop(node_hours=1.0)) == "node_hours"
    assert rule(known, stop=stop(node_hours=1.01)) is None


def test_patience_counts_iterations_since_the_last_real_improvement():
    values = [0.5, 0.6, 0.6005, 0.55, 0.6009]
    known = view(*(trial(i, value) for i, value in enumerate(values)))
    assert iterations_without_improvement(known, 0.001) == 3
    assert rule(known, stop=stop(patience=3, minimum_improvement=0.001)) == "patience"
    assert rule(known, stop=stop(patience=4, minimum_improvement=0.001)) is None
    assert iterations_without_improvement(known, 0.0) == 0


@pytest.mark.parametrize(("in_the_second", "held"), [(1, False), (3, False), (4, True)])
def test_patience_counts_no_iteration_that_has_hardly_begun(in_the_second, held):
    """In schedule steady: a slot is filled as soon as it is free."""
    first = [trial(n, 0.5, iteration=1) for n in range(4)]
    second = [trial(4 + n, 0.4 if n < in_the_second else None, iteration=2) for n in range(4)]
    third = [trial(8 + n, iteration=3) for n in range(in_the_second)]
    steady = {"schedule": "steady", "jobs_per_iteration": 4, "stop": stop(patience=1)}
    assert (rule(view(*first, *second, *third), **steady) == "patience") is held


def test_small_steps_add_up_to_an_improvement():
    known = view(*(trial(i, 0.5 + 0.0004 * i) for i in range(6)))
    assert iterations_without_improvement(known, 0.001) == 2


def test_failures_alone_never_look_like_convergence():
    known = view(trial(0, 0.5), *(failed(i) for i in range(1, 10)))
    assert iterations_without_improvement(known, 0.001) == 0
    assert rule(known, stop=stop(patience=2)) is None


def test_failures_in_a_row_are_counted_from_the_end_and_running_trials_do_not_break_the_row():
    known = [trial(0, 0.5), failed(1), failed(2), trial(3), failed(4)]
    assert failures_in_a_row(known) == 3
    assert failures_in_a_row([failed(0), trial(1, 0.1)]) == 0
    assert rule(view(*known), stop=stop(failures_in_a_row=3)) == "failures_in_a_row"


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 0.5))
def test_minimizing_is_maximizing_the_negative(values, minimum):
    up = view(*(trial(i, value) for i, value in enumerate(values)))
    down = view(*(trial(i, -value) for i, value in enumerate(values)), direction="minimize")
    assert iterations_without_improvement(up, minimum) == iterations_without_improvement(
        down, minimum
    )


def test_trials_that_share_a_job_share_its_node_hours():
    shared = job(1.5, nodes=2, pack="pack_0000")
    known = view(*(trial(n, 0.5, seconds=900.0 * (n + 1), job=shared) for n in range(4)))
    assert node_hours(known) == 2.0


@pytest.mark.parametrize(
    "cause",
    [Cause.WALLTIME, Cause.OUT_OF_MEMORY, Cause.NODE_FAILURE, Cause.PREEMPTED, Cause.LOST],
)
def test_a_job_that_died_without_a_result_has_spent_its_node_hours(cause):
    known = view(failed(0, job=job(2, nodes=4), failure=Failure(cause, "gone")))
    assert node_hours(known) == 8.0
    assert rule(known, stop=stop(node_hours=8.0)) == "node_hours"


def test_earlier_attempts_have_spent_theirs():
    past = tuple(
        PastAttempt(job(2, attempt=n), Failure(Cause.NODE_FAILURE, "gone")) for n in (1, 2)
    )
    known = view(trial(0, 0.5, seconds=3600.0, job=job(1, attempt=3), attempts=past))
    assert node_hours(known) == 5.0
    running = view(trial(0, job=job(attempt=3, started_at=None), attempts=past))
    assert node_hours(running) == 4.0


def test_a_job_that_runs_has_spent_what_it_had_so_far():
    known = view(trial(0, job=job(nodes=2)), trial(1, job=job(started_at=None)))
    assert node_hours(known, START + timedelta(hours=3)) == 6.0


def test_a_job_that_reached_its_walltime_while_nobody_looked_has_spent_it():
    unseen = job(10, walltime=3600, started_at=None)
    over = Failure(Cause.WALLTIME, "too long")
    assert node_hours(view(failed(0, job=unseen, failure=over))) == 1.0
    assert node_hours(view(failed(0, job=unseen, failure=Failure(Cause.LOST, "?")))) == 0.0


def test_a_job_whose_end_was_found_hours_later_has_spent_no_more_than_its_walltime():
    found_late = job(10, walltime=3600)
    stopped = Failure(Cause.PREEMPTED, "stopped")
    assert node_hours(view(failed(0, job=found_late, failure=stopped))) == 1.0
    running = view(trial(0, job=job(walltime=3600)))
    assert node_hours(running, START + timedelta(hours=2)) == 2.0


def test_a_trial_whose_submission_a_lost_ledger_took_along_has_spent_what_it_told():
    known = view(trial(0, 0.5, seconds=7200.0, job=job(3, submitted_at=None, started_at=None)))
    assert node_hours(known) == 2.0
