import pytest

from agents.metrics import epochs_to_fraction, measure
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


def test_points_that_are_missing_are_passed_over():
    assert measure(result([1, 2, 3], [0.5, None, 0.7])).metrics["accuracy_auc"] == pytest.approx(
        0.6
    )


def test_a_curve_that_is_none_gives_a_warning_and_no_auc():
    found = measure(result([2, 1], [0.5, 0.5], {"final_accuracy": 0.5}))
    assert "steps must increase" in found.warnings[0]
    assert found.metrics == {"final_accuracy": 0.5, "seconds": 1.0}


def test_epochs_to_a_fraction_of_the_best():
    curve = Curve((1, 2, 3, 4), (0.5, 0.85, 0.91, 1.0))
    assert epochs_to_fraction(curve, 0.9) == 3
    assert epochs_to_fraction(Curve((1,), (0.0,)), 0.9) is None
