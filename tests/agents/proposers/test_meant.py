"""Values as a model meant them: taken only where they can mean one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import spaces

from agents.config.model import CategoricalParameter, FixedParameter, FloatParameter, IntParameter
from agents.proposers.meant import as_meant

PARAMETERS = {
    "lr": FloatParameter(type="float", low=1e-5, high=1),
    "width": IntParameter(type="int", low=8, high=512),
    "batch": CategoricalParameter(type="categorical", choices=[32, 64]),
    "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
    "odd": CategoricalParameter(type="categorical", choices=["Relu", "relu", 1, "1"]),
    "flag": CategoricalParameter(type="categorical", choices=[True, False, None]),
    "seed": FixedParameter(type="fixed", value=7),
}


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("lr", "0.001", 0.001),
        ("lr", "1e-3", 0.001),
        ("lr", "+.5", 0.5),
        ("width", "64", 64),
        ("width", "\u0666\u0664", 64),
        ("width", "64.0", 64.0),
        ("batch", "64", 64),
        ("opt", "SGD ", "sgd"),
        ("flag", "true", True),
        ("flag", "False", False),
        ("flag", "null", None),
        ("seed", "7", 7),
    ],
)
def test_what_can_mean_one_thing_only_is_that(name, value, meant):
    found = as_meant(PARAMETERS, {name: value})[name]
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", "5%"), ("lr", "nan"), ("lr", "1,5"), ("lr", ""), ("lr", True),
        ("lr", "9" * 5000), ("opt", "adamw"), ("odd", "RELU"), ("odd", "1"), ("odd", 1),
        ("opt", ["sgd"]), ("opt", {"sgd": 1}), ("unknown", "1"),
    ],
)  # fmt: skip
def test_what_can_mean_two_stays(name, value):
    assert as_meant(PARAMETERS, {name: value}) == {name: value}


@given(space=spaces(), data=st.data())
def test_a_point_of_a_space_stays_as_it_is(space, data):
    point = space.default()
    assert as_meant(space.parameters, point) == point
