import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.contract import (
    RESULT_STATUSES,
    ContractError,
    Curve,
    Result,
    Task,
    accuracy_auc,
    finite_or_none,
    metric_line,
    parse_metrics,
    parse_result,
    parse_task,
    to_json_bytes,
    write_result,
)

fractions = st.floats(0, 1)


@given(st.lists(fractions, min_size=1, max_size=30), st.data())
def test_the_auc_lies_between_the_lowest_and_the_highest_point(accuracy, data):
    gaps = data.draw(st.lists(st.integers(1, 50), min_size=len(accuracy), max_size=len(accuracy)))
    step = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    auc = accuracy_auc(accuracy, step)
    assert min(accuracy) - 1e-12 <= auc <= max(accuracy) + 1e-12


@given(fractions, st.integers(1, 100))
def test_a_flat_curve_is_its_own_auc_whatever_its_length(level, epochs):
    assert accuracy_auc([level] * epochs, list(range(epochs))) == pytest.approx(level)


def test_the_auc_is_the_trapezoid_rule_over_the_span():
    assert accuracy_auc([0.0, 0.5, 1.0], [0, 1, 3]) == pytest.approx((0.25 + 1.5) / 3)
    assert accuracy_auc([0.3], [7]) == 0.3
    assert accuracy_auc([], []) is None


@pytest.mark.parametrize(
    ("accuracy", "step", "words"),
    [
        ([0.1], [0, 1], "1 points"),
        ([1.5], [0], "not in"),
        ([math.nan], [0], "not in"),
        ([0.1, 0.2], [1, 1], "must increase"),
        ([0.1, 0.2], [0, math.nan], "must increase"),
    ],
)
def test_what_is_no_curve_is_refused(accuracy, step, words):
    with pytest.raises(ContractError, match=words):
        accuracy_auc(accuracy, step)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parsers(content):
    for parse in (parse_result, parse_task):
        with contextlib.suppress(ContractError):
            parse(content)
    _lines, taken = parse_metrics(content)
    assert 0 <= taken <= len(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"status": st.sampled_from(RESULT_STATUSES)},
        optional=dict.fromkeys(
            ("metrics", "curve", "seconds", "error", "trial", "job", "environment"), json_values
        ),
    )
)
def test_any_json_result_is_read_or_refused_and_what_is_read_is_finite(document):
    try:
        result = parse_result(json.dumps(document).encode())
    except ContractError:
        return
    numbers = [*result.metrics.values(), *result.curve.step, *result.curve.accuracy, result.seconds]
    assert all(number is None or math.isfinite(number) for number in numbers)


def test_a_result_comes_back_as_it_was_written(tmp_path):
    result = Result(
        status="completed",
        metrics={"accuracy_auc": 0.5, "loss": math.inf},
        curve=Curve((0.0, 1.0), (0.4, 0.6)),
        seconds=2.5,
        hyperparameters={"lr": 1e-5},
        trial=3,
    )
    write_result(tmp_path / "results.json", result)
    again = parse_result((tmp_path / "results.json").read_bytes())
    assert again.metrics == {"accuracy_auc": 0.5, "loss": None}
    assert (again.curve, again.seconds, again.trial) == (result.curve, 2.5, 3)
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]


def test_a_metric_line_that_is_still_being_written_is_left_for_later():
    whole = metric_line(1, 0.5, accuracy=0.25).encode()
    lines, taken = parse_metrics(whole + whole[:10])
    assert [line.step for line in lines] == [1]
    assert taken == len(whole)


def test_noise_among_metric_lines_is_passed_over():
    content = b"hello\n" + metric_line(2, 1.0, accuracy=math.nan).encode() + b'[]\n{"step": true}\n'
    lines, taken = parse_metrics(content)
    assert [(line.step, dict(line.values)) for line in lines] == [(2, {"accuracy": None})]
    assert taken == len(content)


@given(json_values)
def test_what_is_written_is_json_without_non_finite_numbers(value):
    def refuse(name):
        raise AssertionError(name)

    json.loads(to_json_bytes({"value": value}), parse_constant=refuse)
    assert finite_or_none(finite_or_none(value)) == finite_or_none(value)


def test_a_task_comes_back_as_it_was_written():
    task = Task(
        "cifar", 7, "job", 11, {"lr": 1e-5, "model": "cnn", "nesterov": True}, {"epochs": 3}
    )
    assert parse_task(to_json_bytes(task.to_json())) == task


def test_a_clock_that_was_set_back_costs_no_result_and_no_node_hours():
    document = {"schema": 1, "status": "completed", "metrics": {"loss": 0.1}, "seconds": -5.0}
    result = parse_result(to_json_bytes(document))
    assert (result.metrics, result.seconds) == ({"loss": 0.1}, None)
