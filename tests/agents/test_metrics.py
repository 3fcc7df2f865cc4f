from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.metrics import epochs_to_fraction, measure
from agents.outcome import outcome
from agents.trial import TrialState
from scheduler.job import Cause
from scheduler.outcome import Finished
from training.contract import Curve, Result


def result(steps=(), accuracies=(), metrics=None, seconds=1.0):
    return Result("completed", metrics or {}, Curve(tuple(steps), tuple(accuracies)), seconds)


def test_what_follows_from_the_curve_is_computed_from_it():
    found = measure(result([1, 2, 3], [0.2, 0.8, 0.6])).metrics
    assert found["accuracy_auc"] == pytest.approx(0.6)
    assert (found["final_accuracy"], found["best_accuracy"]) == (0.6, 0.8)
    assert (found["epochs_to_90"], found["seconds"]) == (2, 1.0)


def test_a_program_that_claims_another_auc_is_corrected_and_reported():
    found = measure(result([1, 2], [0.5, 0.5], {"accuracy_auc": 0.9}))
    assert found.metrics["accuracy_auc"] == 0.5
    assert "0.9" in found.warnings[0]


def test_a_claim_within_rounding_is_left_in_peace():
    assert not measure(result([1, 2], [0.5, 0.5], {"accuracy_auc": 0.5004})).warnings


def test_without_a_curve_the_programs_own_word_counts():
    assert measure(result(metrics={"accuracy_auc": 0.4})).metrics["accuracy_auc"] == 0.4


def test_points_that_are_missing_in_between_are_passed_over_and_said():
    found = measure(result([1, 2, 3], [0.5, None, 0.7]))
    assert found.metrics["accuracy_auc"] == pytest.approx(0.6)
    assert found.warnings == ["the curve has holes: 1 of 3 points are no numbers"]


def test_a_curve_that_turns_nan_is_not_scored_by_its_good_beginning():
    claims = {"accuracy_auc": 0.8, "final_accuracy": 0.82}
    found = measure(result(range(1, 6), [0.75, 0.8, 0.82, None, None], claims))
    assert found.metrics["accuracy_auc"] is None and found.metrics["final_accuracy"] is None
    assert found.metrics["best_accuracy"] == 0.82
    assert "ends without a number (2 of 5 points are no numbers)" in found.warnings[0]
    assert measure(result([1], [None], claims)).metrics["final_accuracy"] is None


def test_a_curve_in_percent_is_the_reason_why_there_is_no_auc():
    ended = outcome(
        Finished(result([1, 2], [40.1, 81.3], {"final_accuracy": 81.3})), "accuracy_auc"
    )
    assert ended.failure.cause is Cause.CONTRACT
    assert "accuracy 40.1 is not in [0, 1]: write a fraction" in ended.failure.message
    assert "has no metric" not in ended.failure.message


def test_the_trial_of_such_a_curve_diverged_unless_its_objective_is_another():
    verdict = Finished(result([1, 2], [0.75, None], {"loss": 0.3}))
    for metric in ("accuracy_auc", "final_accuracy"):
        ended = outcome(verdict, metric)
        assert (ended.state, ended.failure.cause) == (TrialState.FAILED, Cause.DIVERGED)
        assert "ends without a number" in ended.failure.message
    assert outcome(verdict, "loss").value == 0.3
    assert outcome(verdict, "best_accuracy").value == 0.75
    assert outcome(verdict, "other").failure.cause is Cause.CONTRACT


def test_nulls_at_the_beginning_count_as_nothing_reached():
    found = measure(result([1, 2, 3, 4], [None, None, 0.6, 0.8]))
    assert found.metrics["accuracy_auc"] == pytest.approx((0.0 + 0.3 + 0.7) / 3)
    assert "2 of 4 points are no numbers; those at its beginning count as 0" in found.warnings[0]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.integers(1, 7))
def test_no_null_at_the_beginning_raises_the_auc(accuracies, missing):
    whole = measure(result(range(len(accuracies)), accuracies)).metrics["accuracy_auc"]
    missing = min(missing, len(accuracies) - 1)
    holed = [None] * missing + accuracies[missing:]
    found = measure(result(range(len(accuracies)), holed)).metrics["accuracy_auc"]
    assert found <= whole + 1e-12


def test_a_curve_that_is_none_gives_a_warning_and_no_auc():
    found = measure(result([2, 1], [0.5, 0.5], {"final_accuracy": 0.5}))
    assert "steps must increase" in found.warnings[0]
    assert found.metrics == {"final_accuracy": 0.5, "seconds": 1.0}


def test_epochs_to_a_fraction_of_the_best():
    curve = Curve((1, 2, 3, 4), (0.5, 0.85, 0.91, 1.0))
    assert epochs_to_fraction(curve, 0.9) == 3
    assert epochs_to_fraction(Curve((1,), (0.0,)), 0.9) is None


@pytest.mark.parametrize(
    ("earlier", "own"), [(70.0, 30.0), (0, 100.0), (None, 100.0), (True, 100.0), (500.0, 100.0)]
)
def test_a_job_that_went_on_from_an_earlier_one_is_charged_for_its_own_time(earlier, own):
    told = replace(result([1], [0.5], seconds=100.0), environment={"earlier_seconds": earlier})
    ended = outcome(Finished(told), "final_accuracy")
    assert ended.seconds == own
    assert ended.metrics["seconds"] == 100.0


def test_an_objective_under_another_name_is_answered_with_that_name():
    ended = outcome(Finished(result(metrics={"valid_acc": 0.5})), "val_acc")
    assert "did you mean valid_acc? (objective.metric)" in ended.failure.message


def test_an_objective_of_the_curve_without_a_curve_asks_for_the_curve():
    for metric in ("accuracy_auc", "final_accuracy", "best_accuracy"):
        ended = outcome(Finished(result(metrics={"val_acc": 0.5})), metric)
        assert "It is computed from the curve, and there is none" in ended.failure.message
