"""Two objectives: what beats what, when the front has moved, what a result must hold."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import failed, trial, view

from agents.config.model import ConfirmSettings, LoopSettings, StopSettings
from agents.confirm import candidates, due, winner
from agents.convergence import iterations_without_improvement, stop_reasons
from agents.outcome import outcome
from agents.report.headline import headline
from agents.tradeoff import ahead, beats, on_the_front, points
from agents.trial import Second, TrialState
from scheduler.job import Cause
from scheduler.outcome import Finished
from training.contract import Curve, Result

SECONDS = Second("seconds", "minimize")


def two(*pairs, direction="maximize", second=SECONDS):
    """A search whose trials came to these pairs, each in its own iteration; None has failed."""
    trials = [
        failed(n) if pair is None else trial(n, pair[0], seconds=pair[1])
        for n, pair in enumerate(pairs)
    ]
    return replace(view(*trials, direction=direction), second=second)


def numbers(trials):
    return [one.number for one in trials]


@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=12),
    first=st.sampled_from(["maximize", "minimize"]),
    second=st.sampled_from(["maximize", "minimize"]),
)
def test_on_the_front_is_what_no_trial_beats(pairs, first, second):
    known = two(*pairs, direction=first, second=Second("seconds", second))
    kept = on_the_front(known)
    for one in known.trials:
        beaten = any(beats(other, one, known) for other in known.trials)
        same = {(other.value, other.seconds) for other in kept}
        assert beaten != ((one.value, one.seconds) in same)
        by = sum(beats(other, one, known) for other in kept)
        assert ahead(points(known, known.second), first, second)[one.number] == by
    assert len({(one.value, one.seconds) for one in kept}) == len(kept)


def test_with_one_objective_the_front_is_the_best_trial():
    known = replace(two((0.5, 9.0), (0.7, 1.0), (0.7, 0.5)), second=None)
    assert numbers(on_the_front(known)) == [1]
    assert beats(known.trials[1], known.trials[0], known)
    assert not beats(known.trials[1], known.trials[2], known)
    assert on_the_front(view()) == []


def test_a_trial_without_a_value_beats_none_and_lies_on_no_front():
    known = two((0.5, 9.0), None, (0.9, None))
    assert numbers(on_the_front(known)) == [0]
    assert not beats(known.trials[2], known.trials[0], known)
    assert not beats(known.trials[1], known.trials[0], known)


def test_the_program_may_name_seconds_of_its_own_and_other_metrics():
    own = trial(0, 0.5, seconds=9.0, metrics={"seconds": 2.0, "flops": 7.0})
    known = view(own)
    assert [point.second for point in points(known, SECONDS)] == [2.0]
    assert [point.second for point in points(known, Second("flops", "minimize"))] == [7.0]
    assert points(known, Second("size", "minimize")) == []


def test_patience_counts_iterations_that_leave_the_front_where_it_was():
    moves = two((0.5, 10.0), (0.7, 20.0), (0.4, 5.0))
    assert iterations_without_improvement(moves, 0.001) == 0
    # Worse in both, no better than the noise in one: neither moves it.
    stays = two((0.5, 10.0), (0.4, 11.0), (0.5004, 10.0), (0.5, 9.95))
    assert iterations_without_improvement(stays, 0.001) == 3
    assert iterations_without_improvement(stays, 0.0001) == 1
    quicker = two((0.5, 10.0), (0.4, 11.0), (0.5, 9.8))
    assert iterations_without_improvement(quicker, 0.001) == 0
    assert iterations_without_improvement(replace(quicker, second=None), 0.001) == 2


def test_patience_ends_a_search_whose_front_stands_still():
    known = two((0.5, 10.0), (0.7, 20.0), (0.4, 10.0), (0.6, 30.0))
    loop = LoopSettings(max_iterations=9, jobs_per_iteration=1)
    (reason,) = stop_reasons(known, 4, 0.0, loop, StopSettings(patience=2))
    assert reason.rule == "patience"
    told = "2 iterations left the Pareto front of accuracy_auc and seconds where it was; the limit is 2"
    assert reason.sentence == told
    assert stop_reasons(known, 4, 0.0, loop, StopSettings(patience=3)) == []


def test_confirmed_is_the_front_its_ends_included():
    known = two((0.5, 10.0), (0.9, 40.0), (0.7, 20.0), (0.6, 12.0), (0.1, 50.0), (0.8, 30.0))
    assert numbers(candidates(known, 3)) == [1, 2, 0]
    assert numbers(candidates(known, 1)) == [1]
    assert numbers(candidates(known, 9)) == [1, 5, 2, 3, 0]
    assert [one.confirms for one in due(known, ConfirmSettings(trials=2, seeds=1))] == [1, 0]
    assert numbers(candidates(replace(known, second=None), 2)) == [1, 5]
    # Of a point that was tried twice, its noise twice on the front, the better one stands for both.
    twice = [replace(one, parameters={"x": 1}) if one.number == 5 else one for one in known.trials]
    assert numbers(candidates(replace(known, trials=twice), 4)) == [1, 2, 3, 0]


def test_the_best_is_not_beaten_by_another_end_of_the_front_that_alone_was_confirmed():
    known = two((0.5, 10.0), (0.9, 40.0))
    again = replace(trial(2, 0.52, seconds=10.0), confirms=0)
    lost = replace(failed(3), confirms=1)
    known = replace(known, trials=[*known.trials, again, lost])
    assert winner(known).number == 1
    assert headline(known, SimpleNamespace(stop_reason=None))["confirmed"]["other"] is None
    one = replace(known, second=None)
    assert winner(one).number == 0
    assert headline(one, SimpleNamespace(stop_reason=None))["confirmed"]["other"] == 0


@pytest.mark.parametrize(
    ("metrics", "seconds", "words"),
    [
        ({"accuracy_auc": 0.5, "flops": 3.0}, 1.0, None),
        (
            {"accuracy_auc": 0.5},
            1.0,
            "results.json has no metric flops, which is the second objective; it has: accuracy_auc, seconds",
        ),
        (
            {"accuracy_auc": 0.5, "flops": None},
            1.0,
            "results.json: the second objective flops is not a finite number",
        ),
    ],
)
def test_a_result_without_the_second_objective_is_a_failure_that_names_it(metrics, seconds, words):
    verdict = Finished(Result("completed", metrics, Curve(), seconds), [])
    ended = outcome(verdict, "accuracy_auc", "flops")
    if words is None:
        assert (ended.state, ended.value) == (TrialState.COMPLETED, 0.5)
        return
    assert (ended.state, ended.value) == (TrialState.FAILED, None)
    assert (ended.failure.cause, ended.failure.message) == (Cause.CONTRACT, words)
    assert outcome(verdict, "accuracy_auc").state is TrialState.COMPLETED


def test_the_training_time_is_that_of_the_result_and_one_without_says_where_it_belongs():
    null = Result("completed", {"accuracy_auc": 0.5, "seconds": None}, Curve(), 3.0)
    ended = outcome(Finished(null, []), "accuracy_auc", "seconds")
    assert (ended.state, ended.metrics["seconds"]) == (TrialState.COMPLETED, 3.0)
    without = Result("completed", {"accuracy_auc": 0.5}, Curve(), None)
    failure = outcome(Finished(without, []), "accuracy_auc", "seconds").failure
    assert failure.message == (
        "results.json has no finite seconds, which are the second objective: write beside status how long "
        "it took"
    )
