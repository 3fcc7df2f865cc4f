"""Running the best again: which, how often, who wins, and what is kept back for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import failed, job, stop_reason, trial, view

from agents.config.model import ConfirmSettings, LoopSettings, StopSettings
from agents.confirm import candidates, confirmed, due, is_wanted, winner
from agents.convergence import Reserve, StopReason, reserve_for
from agents.schedule import complete_iterations, confirming, iteration_of, next_iteration, wanted
from agents.standing import sources
from agents.trial import PastAttempt
from scheduler.job import Cause, Failure

TWICE = ConfirmSettings(trials=2, seeds=2)


def search(*values):
    return [trial(n, value, iteration=n // 2 + 1) for n, value in enumerate(values)]


def again(number, of, value=None, **fields):
    return trial(number, value, iteration=9, confirms=of, parameters={"x": of}, **fields)


def test_the_best_run_again_as_often_as_is_missing():
    trials = search(0.1, 0.9, 0.8, 0.5)
    assert [p.confirms for p in due(view(*trials), TWICE)] == [1, 1, 2, 2]
    assert next(p.parameters for p in due(view(*trials), TWICE)) == {"x": 1}
    part = [*trials, again(4, 1, 0.2), again(5, 2)]
    assert [p.confirms for p in due(view(*part), TWICE)] == [1, 2]
    whole = [*part, again(6, 1, 0.3), failed(7, confirms=2)]
    assert due(view(*whole), TWICE) == []
    assert due(view(*trials), ConfirmSettings()) == []
    assert due(view(), TWICE) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.data())
def test_whatever_has_been_confirmed_the_same_are_chosen(values, data):
    trials = search(*values)
    chosen = [t.number for t in candidates(view(*trials), 3)]
    for number in chosen:
        value = data.draw(st.none() | st.floats(0, 1))
        trials.append(again(len(trials), number, value))
    assert [t.number for t in candidates(view(*trials), 3)] == chosen


def test_a_point_that_was_run_twice_is_confirmed_once():
    same = {"parameters": {"x": 1}}
    known = view(trial(0, 0.9, **same), trial(1, 0.8, **same), trial(2, 0.7))
    assert [t.number for t in candidates(known, 2)] == [0, 2]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_any_numbers_have_a_mean_and_a_deviation(values):
    known = [trial(0, 1.0), *(again(n, 0, value) for n, value in enumerate(values, 1))]
    (one,) = confirmed(view(*known, direction="minimize"))
    assert min(values) <= one.mean <= max(values)
    assert (one.deviation is None) == (len(values) == 1)
    assert not one.deviation or one.deviation > 0  # of the largest numbers it is infinite


@pytest.mark.parametrize(("direction", "best"), [("maximize", 2), ("minimize", 1)])
def test_the_winner_has_the_best_mean_of_the_fresh_runs_alone(direction, best):
    trials = [*search(0.5, 0.9, 0.8), again(3, 1, 0.1), again(4, 1, 0.3), again(5, 2, 0.6)]
    known = view(*trials, again(6, 2), failed(7, confirms=2), direction=direction)
    assert winner(known).number == best
    (one,) = [c for c in confirmed(known) if c.trial.number == 1]
    assert (one.mean, one.deviation) == (pytest.approx(0.2), pytest.approx(0.141421, rel=1e-4))
    (two,) = [c for c in confirmed(known) if c.trial.number == 2]
    assert (two.values, two.deviation) == ((0.6,), None)


def test_one_lucky_run_does_not_beat_the_mean_of_three():
    again_and_again = [again(2, 0, 0.70), again(3, 0, 0.72), again(4, 0, 0.68), again(5, 1, 0.701)]
    known = view(*search(0.8, 0.9), *again_and_again)
    assert [one.trial.number for one in confirmed(known)] == [0, 1]
    far = view(*search(0.8, 0.9), *again_and_again[:3], again(5, 1, 0.74))
    assert winner(far).number == 1


def test_without_a_fresh_run_the_best_trial_wins():
    assert winner(view(*search(0.5, 0.9))).number == 1
    assert winner(view(*search(0.5, 0.9), failed(2, confirms=1))).number == 1
    assert winner(view()) is None


def test_a_confirming_trial_is_not_of_the_search():
    known = view(*search(0.5, 0.6), again(2, 1, 0.99))
    assert known.best.number == 1
    assert sources(known)["sampler"].trials == 2


@pytest.mark.parametrize(
    ("rule", "numbers", "wanted_"),
    [
        ("max_iterations", {}, True),
        ("exhausted", {}, True),
        ("asked", {}, False),
        ("failures_in_a_row", {}, False),
        ("wall_clock", {"wall_clock": 90.0, "limit": 100.0}, True),
        ("wall_clock", {"wall_clock": 101.0, "limit": 100.0}, False),
        ("node_hours", {"node_hours": 1.0, "limit": 1.0}, False),
    ],
)
def test_after_which_ends_the_best_are_confirmed(rule, numbers, wanted_):
    assert is_wanted(StopReason(rule, "x", numbers)) is wanted_


def test_what_confirming_takes_is_kept_back():
    own = job(0.1, nodes=3)
    trials = [trial(0, 0.5, seconds=100.0, job=own), trial(1, 0.6, seconds=300.0, job=own)]
    loop = LoopSettings(max_iterations=99, jobs_per_iteration=3)
    kept = reserve_for(view(*trials), TWICE, loop)
    assert kept == Reserve(seconds=2 * 200.0, node_hours=pytest.approx(4 * 600 / 3600))
    assert reserve_for(view(*trials), ConfirmSettings(), loop) == Reserve()
    assert reserve_for(view(), TWICE, loop) == Reserve()
    stop = StopSettings(wall_clock=1000.0, failures_in_a_row=None)

    def rule(elapsed):
        reason = stop_reason(view(*trials), 1, elapsed, loop, stop, reserve=kept)
        return reason and reason.rule

    assert rule(599.0) is None
    assert rule(600.0) == "wall_clock"
    hours = StopSettings(node_hours=0.99, failures_in_a_row=None)
    assert stop_reason(view(*trials), 1, 0.0, loop, hours, reserve=kept).rule == "node_hours"
    assert stop_reason(view(*trials), 1, 0.0, loop, hours) is None


def test_attempts_that_failed_are_expected_of_confirming_runs_too():
    lost = PastAttempt(job(1), Failure(Cause.PREEMPTED, "gone"))
    known = view(trial(0, 0.5, job=job(1)), trial(1, 0.6, job=job(1, attempt=2), attempts=[lost]))
    loop = LoopSettings(max_iterations=99, jobs_per_iteration=4)
    assert reserve_for(known, TWICE, loop) == Reserve(3600.0, pytest.approx(4 * 1.5))


def test_trials_that_a_person_cancelled_are_no_failures_in_a_row():
    known = view(failed(0), failed(1), failed(2), again(3, 0), failed(4, confirms=0))
    stop = StopSettings(failures_in_a_row=3)
    loop = LoopSettings(max_iterations=99)
    assert stop_reason(known, 1, 0.0, loop, stop).rule == "failures_in_a_row"
    assert stop_reason(known, 1, 0.0, loop, stop, cancelled={1}) is None


@pytest.mark.parametrize("schedule", ["batch", "steady"])
def test_a_search_that_goes_on_after_confirming_has_iterations_of_its_own(schedule):
    loop = LoopSettings(max_iterations=3, jobs_per_iteration=2, schedule=schedule, max_trials=5)
    trials = [*search(0.1, 0.2, 0.3), *(trial(n, 0.1, iteration=3, confirms=2) for n in (3, 4))]
    assert confirming(trials) == {3}
    assert wanted(trials, 3, loop) == (0 if schedule == "batch" else 2)
    assert wanted(trials, 4, loop) == 2
    following = next_iteration(trials, loop)
    assert following == 4
    for number in (5, 6):
        trials.append(trial(number, 0.1, iteration=iteration_of(trials, following, loop)))
    assert [t.iteration for t in trials] == [1, 1, 2, 3, 3, 4, 4]
    assert set(complete_iterations(trials, loop, stopping=True)) - confirming(trials) == {1, 2, 4}
    assert wanted(trials, 5, loop) == 0
