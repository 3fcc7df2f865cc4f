import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter
from agents.report.charts.scales import (
    CategoryScale,
    LinearScale,
    LogScale,
    fitted,
    parameter_scale,
)
from agents.report.numbers import MISSING, duration, measure, number, parameter_text, signed
from agents.thinning import spread

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.87341, "0.8734"),
        (0.000032, "3.2e-5"),
        (1.0, "1"),
        (12800.4, "12800"),
        (3, "3"),
        (1234567, "1234567"),
        (1.5e20, "1.5e20"),
        (-0.25, "-0.25"),
        (None, MISSING),
        (math.nan, MISSING),
        (math.inf, MISSING),
    ],
)
def test_numbers_have_four_significant_digits(value, shown):
    assert number(value) == shown


@given(st.floats(-1e300, 1e300))
def test_a_number_shown_is_the_number_to_four_digits(value):
    assert float(number(value)) == pytest.approx(value, rel=1e-3, abs=1e-320)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "0.5000"), (0, "0.0000"), (123.456, "123.5"), (1e-5, "1e-5")]
)
def test_a_metric_lines_up_in_its_column(value, shown):
    assert measure(value) == shown


def test_a_difference_has_its_sign():
    assert signed(0.03125) == "+0.0312"
    assert signed(-2.0) == "\N{MINUS SIGN}2"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (None, "null"), ("sgd", "sgd"), (64, "64"), (10**400, MISSING)],
)
def test_parameter_values_read_as_in_yaml(value, shown):
    assert parameter_text(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (11520, "3 h 12 min"),
        (90000, "1 d 01 h"),
        (None, MISSING),
        (math.nan, MISSING),
    ],
)
def test_durations_are_told_in_two_units(seconds, shown):
    assert duration(seconds) == shown


def labels(scale, wanted):
    return [tick.label.replace("\N{MINUS SIGN}", "-") for tick in scale.ticks(wanted)]


@pytest.mark.parametrize(
    ("low", "high", "wanted", "shown"),
    [
        (0, 1, 5, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.813, 0.874, 5, ["0.82", "0.83", "0.84", "0.85", "0.86", "0.87"]),
        (-1, 1, 4, ["-1", "-0.5", "0", "0.5", "1"]),
        (0, 5e5, 5, ["0", "100k", "200k", "300k", "400k", "500k"]),
        (0, 2e5, 4, ["0", "50k", "100k", "150k", "200k"]),
        (0, 2e6, 4, ["0", "500k", "1M", "1.5M", "2M"]),
        (0, 4e4, 4, ["0", "10000", "20000", "30000", "40000"]),
    ],
)
def test_linear_ticks_are_round_and_few(low, high, wanted, shown):
    assert labels(LinearScale(low, high), wanted) == shown


def test_whole_scales_have_whole_ticks():
    assert labels(LinearScale(-0.5, 1.5, whole=True), 10) == ["0", "1"]


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (1e-5, 1e-1, ["1e-5", "0.0001", "0.001", "0.01", "0.1"]),
        (16, 256, ["20", "50", "100", "200"]),
        (0.3, 0.4, ["0.3", "0.4"]),
    ],
)
def test_log_ticks_are_powers_of_ten_or_halves_and_fifths_of_them(low, high, shown):
    assert labels(LogScale(low, high), 5) == shown


@given(low=finite, high=finite, value=finite, wanted=st.integers(1, 12))
@example(low=0.0, high=5e-324, value=0.0, wanted=5)
@example(low=-1.7e308, high=1.7e308, value=0.0, wanted=5)
def test_linear_scales_keep_order_and_bounds(low, high, value, wanted):
    low, high = sorted([low, high])
    scale = LinearScale(low, high)
    assert 0 <= scale.place(value) <= 1
    ticks = scale.ticks(wanted)
    assert 1 <= len(ticks) <= 4 * wanted + 10
    assert [tick.place for tick in ticks] == sorted(tick.place for tick in ticks)
    if high / 2 > low / 2:
        assert (scale.place(low), scale.place(high)) == (0, 1)


@given(low=st.floats(5e-324, 1.7e308), high=st.floats(5e-324, 1.7e308), wanted=st.integers(1, 12))
@example(low=5e-324, high=1.7e308, wanted=5)
def test_log_scales_keep_order_and_bounds(low, high, wanted):
    low, high = sorted([low, high])
    scale = LogScale(low, high)
    ticks = scale.ticks(wanted)
    assert 1 <= len(ticks) <= 3 * wanted + 10
    assert all(0 <= tick.place <= 1 for tick in ticks)
    assert scale.place(0.0) is None
    assert scale.place(-1) is None


@given(st.lists(finite, min_size=1))
def test_a_fitted_scale_holds_its_values(values):
    scale = fitted(values)
    assert scale.low <= min(values) <= max(values) <= scale.high


def test_categories_stand_apart_though_python_takes_them_for_equal():
    scale = CategoryScale([1, True, "1", None])
    assert [scale.place(value) for value in (1, True, "1", None)] == [0.125, 0.375, 0.625, 0.875]
    assert scale.place(1.0) is None


def test_a_parameter_is_drawn_on_the_scale_that_it_is_searched_on():
    log = FloatParameter(type="float", low=1e-4, high=1e-2, scale="log")
    whole = IntParameter(type="int", low=1, high=9)
    choice = CategoricalParameter(type="categorical", choices=["a", "b"])
    assert parameter_scale(log).place(1e-3) == pytest.approx(0.5)
    assert parameter_scale(whole).place(5) == 0.5
    assert parameter_scale(choice).place("b") == 0.75


@given(st.lists(st.integers(), unique=True), st.integers(0, 20))
def test_a_thinned_list_keeps_its_ends_and_its_order(items, limit):
    kept = spread(items, limit)
    assert len(kept) == min(len(items), limit)
    assert [item for item in items if item in kept] == kept
    if len(items) > limit >= 2:
        assert (kept[0], kept[-1]) == (items[0], items[-1])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00019684, "1.968e-4"),
        (0.0001, "1e-4"),
        (-3.2e-7, "-3.2e-7"),
        (0.001, "0.001"),
        (0.0, "0"),
    ],
)
def test_a_small_value_has_no_row_of_zeros(value, shown):
    assert parameter_text(value) == shown
