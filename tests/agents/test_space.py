import json
import random

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
)
from agents.errors import ConfigurationError, ProposalRejected
from agents.space import Constraint, SearchSpace, values


def real(low=0.0, high=1.0, **more):
    return FloatParameter(type="float", low=low, high=high, **more)


def whole(low=1, high=8, **more):
    return IntParameter(type="int", low=low, high=high, **more)


def choice(*choices, **more):
    return CategoricalParameter(type="categorical", choices=list(choices), **more)


def fixed(value, **more):
    return FixedParameter(type="fixed", value=value, **more)


NETWORK = {
    "optimizer": choice("adam", "sgd"),
    "momentum": real(0.5, 0.99, when={"optimizer": "sgd"}),
    "nesterov": choice(False, True, when={"optimizer": "sgd", "momentum_kind": [1, 2]}),
    "momentum_kind": whole(0, 2, when={"optimizer": ["sgd"]}),
    "learning_rate": real(1e-5, 0.1, scale="log"),
    "batch_size": whole(16, 256, step=16),
    "width": whole(1, 64, scale="log"),
    "dropout": real(0.0, 0.5, step=0.1),
    "epochs": fixed(4),
}
SPACE = SearchSpace.build(NETWORK, ["batch_size * width <= 4096", "dropout <= 0.3 or width >= 8"])
ADAM = {
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
    "width": 8,
    "dropout": 0.2,
    "epochs": 4,
}


def reasons(parameters, space=SPACE):
    with pytest.raises(ProposalRejected) as caught:
        space.validate(parameters)
    return caught.value.reasons


def problems(parameters, constraints=()):
    with pytest.raises(ConfigurationError) as caught:
        SearchSpace.build(parameters, constraints)
    return caught.value.problems


# -- the validator --------------------------------------------------------------------------------


def test_a_whole_configuration_is_valid_and_comes_back_in_the_order_of_the_space():
    shuffled = dict(reversed(ADAM.items()))
    assert list(SPACE.validate(shuffled).items()) == list(ADAM.items())


def test_types_are_made_exact():
    found = SPACE.validate(
        {**ADAM, "batch_size": 32.0, "learning_rate": 0.1, "dropout": 0.30000000000000004}
    )
    assert (found["batch_size"], type(found["batch_size"])) == (32, int)
    assert found["dropout"] == 0.3


def test_fixed_values_are_filled_in_and_inactive_nulls_left_out():
    answer = {k: v for k, v in ADAM.items() if k != "epochs"}
    answer |= {"momentum": None, "nesterov": None, "momentum_kind": None}
    assert SPACE.validate(answer) == ADAM


def test_conditions_of_conditions():
    sgd = {**ADAM, "optimizer": "sgd", "momentum": 0.9, "momentum_kind": 1, "nesterov": True}
    assert SPACE.validate(sgd)["nesterov"] is True
    assert reasons({**sgd, "momentum_kind": 0}) == [
        "nesterov: does not apply here (optimizer must be sgd, momentum_kind must be 1 or 2)"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 0.5}, "learning_rate: 0.5 is not between 1e-5 and 0.1"),
        ({"learning_rate": "0.01"}, "learning_rate: '0.01' is not a number"),
        ({"learning_rate": True}, "learning_rate: True is not a number"),
        ({"learning_rate": float("nan")}, "learning_rate: nan is not a finite number"),
        ({"learning_rate": 10**400}, "learning_rate: the number is too large"),
        ({"batch_size": 33}, "batch_size: 33 is not on the grid 16 + k * 16"),
        ({"batch_size": 32.5}, "batch_size: 32.5 is not a whole number"),
        ({"learning_rate": 0}, "learning_rate: 0 is not between 1e-5 and 0.1"),
        ({"dropout": 0.25}, "dropout: 0.25 is not on the grid 0 + k * 0.1"),
        ({"optimizer": "Adam"}, "optimizer: 'Adam' is not one of adam, sgd"),
        ({"optimizer": ["adam"]}, "optimizer: ['adam'] is not one of adam, sgd"),
        ({"epochs": 5}, "epochs: 5 is not one of 4"),
        ({"momentum": 0.9}, "momentum: does not apply here (optimizer must be sgd)"),
        (
            {"learning_rte": 0.1},
            "learning_rte: there is no such parameter; did you mean learning_rate?",
        ),
        ({"batch_size": 256, "width": 64}, "breaks the constraint `batch_size * width <= 4096`"),
    ],
)
def test_each_fault_has_its_reason(change, words):
    assert reasons({**ADAM, **change})[0] == words


def test_all_reasons_come_at_once():
    assert len(reasons({"learning_rate": -1, "optimizer": "x", "foo": 1})) >= 5


# -- building -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"x": real(1, 0)}, "search_space.x: low (1) must be less than high (0)"),
        ({"x": real(1, 1)}, "low (1) must be less than high (1); for one value write type: fixed"),
        ({"a": choice(1, 2), "x": real(when={"a": []})}, "when.a: name at least one value"),
        ({"x": real(0, 1, scale="log")}, "with scale: log, low must be more than 0"),
        ({"x": real(0.1, 1, scale="log", step=0.1)}, "scale: log takes no step"),
        ({"x": real(0, 1, step=0.3)}, "step 0.3 does not lead from 0 to 1: set high to 0.9"),
        ({"x": real(0, 1.5, step=2)}, "step 2 is larger than the range from 0 to 1.5"),
        ({"x": whole(1, 4, step=10)}, "step 10 is larger than the range from 1 to 4"),
        ({"x": whole(1, 1234567, step=4)}, "from 1 to 1234567: set high to 1234565"),
        ({"x": real(0, 1, step=1e-320)}, "makes more than 1000000000 values"),
        ({"x": real(-1e308, 1e308)}, "too large for a number"),
        ({"x": real(0, float("inf"))}, "must be finite"),
        ({"x": real(default=2)}, "search_space.x: default: 2 is not between 0 and 1"),
        ({"x": whole(default=9)}, "search_space.x: default: 9 is not between 1 and 8"),
        ({"x": choice("a", "a")}, "the choice 'a' is there twice"),
        ({"x": choice(1, True)}, "the choice True is there twice"),
        ({"x": choice("a", default="b")}, "default: 'b' is not one of a"),
        ({"x": fixed(float("nan"))}, "finite"),
        ({"learning rate": real()}, "letters, digits and _"),
        ({"min": real()}, "choose another name"),
        ({"x": real(when={"y": 1})}, "there is no parameter y"),
        ({"x": real(when={"x": 1})}, "cannot depend on itself"),
        (
            {"a": choice(1, 2), "x": real(when={"a": 3})},
            "search_space.x.when.a: a never has this value",
        ),
        ({"a": real(), "x": real(when={"a": 0.5})}, "a is a float"),
        ({"a": choice(1, 2, when={"b": 1}), "b": choice(1, 2, when={"a": 1})}, "in a circle"),
    ],
)
def test_a_space_that_cannot_be_is_refused(parameters, words):
    assert words in "\n".join(problems(parameters))


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ("x <", "is no expression"),
        ("x + __import__('os')", "calls __import__"),
        ("x.real > 0", "`x.real` is not allowed"),
        ("x[0] > 0", "is not allowed"),
        ("(lambda: 1)() > x", "is not allowed"),
        ("[y for y in x]", "is not allowed"),
        ("f'{x}' == ''", "is not allowed"),
        ("z > 1", "there is no parameter z"),
        ("1 < 2", "names no parameter"),
        ("x == true", "there is no parameter true; write True for that value"),
        ("x > 2", "contradict"),
        ("x < 'a'", "`x < 'a'` (it cannot be computed where x = 0.5)"),
        ("sqrt(x, 2) > 1", "sqrt takes another number of arguments"),
        ("min() < x", "min takes another number of arguments"),
        ("x" + " + x" * 200 + " > 0", "longer than"),
        ("(" * 100 + "x" + ")" * 100 + " > 5", "contradict"),
    ],
)
def test_a_constraint_that_cannot_be_is_refused(constraint, words):
    assert words in "\n".join(problems({"x": real()}, [constraint]))


def test_a_constraint_stays_quick_whatever_it_computes():
    assert not Constraint.parse("9 ** 9 ** 9 ** x > 0").holds({"x": 9})
    assert not Constraint.parse("'a' * 1000000000 == x").holds({"x": "a"})
    assert not Constraint.parse("1 / x > 0").holds({"x": 0})
    assert not Constraint.parse("round(x, -1000000000) == 0").holds({"x": 5})


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ("a + b * 2 - 1 == 7", True),
        ("b / a == 1.5 and b // a == 1 and b % a == 1", True),
        ("a ** b == 8 and -a < +a", True),
        ("not a > b", True),
        ("a < b <= 3", True),
        ("a < b < b", False),
        ("kind in ['x', 'y']", True),
        ("kind not in ('x', 'y')", False),
        ("2.0 in {1, a, b}", True),
        ("kind == 'z' or flag", True),
        ("kind == 'x' and not flag", False),
        ("(a if flag else b) == 2", True),
        ("none == None and a != None", True),
        ("min(a, b, 4) == 2 and max([a, b]) == 3 and abs(-a) == 2", True),
        ("log(8, 2) == log2(8) == sqrt(9)", True),
        ("log(exp(1)) == 1 and log10(100) == 2 and round(2.34, 1) == 2.3", True),
        ("floor(2.9) == 2 and ceil(2.1) == 3", True),
        ("(0 - a) ** 0.5 != 0", False),
        ("(a * 1000000) ** 60 > 0", False),
        ("kind > 1 or True", False),
    ],
)
def test_what_constraints_mean(expression, true):
    point = {"a": 2, "b": 3, "kind": "x", "flag": True, "none": None}
    assert Constraint.parse(expression).holds(point) is true


def test_the_persons_own_defaults_may_not_break_a_constraint():
    (problem,) = problems({"x": real(default=0.9), "y": real(default=0.1)}, ["x < y"])
    assert "the defaults break `x < y`" in problem


def test_our_defaults_give_way_to_constraints():
    space = SearchSpace.build({"x": real(), "y": real(default=0.2)}, ["x < y"])
    assert space.default()["y"] == 0.2
    assert space.holds(space.default()) == []


def test_the_default_moves_no_further_than_constraints_make_it():
    free = {f"x{i}": real() for i in range(6)}
    space = SearchSpace.build(free, ["x0 + x1 > 1.6"])
    found = space.default()
    assert 1.6 < found["x0"] + found["x1"] < 1.65
    assert {found[f"x{i}"] for i in range(2, 6)} == {0.5}
    assert space.default() == SearchSpace.build(free, ["x0 + x1 > 1.6"]).default()


def test_the_default_moves_on_the_scale_of_the_parameter():
    space = SearchSpace.build({"x": real(1e-6, 1.0, scale="log"), "n": whole(0, 100)}, ["x < 1e-5"])
    assert 8e-6 < space.default()["x"] < 1e-5
    assert space.default()["n"] == 50


def test_without_a_default_the_middle_is_tried_first():
    space = SearchSpace.build(
        {
            "x": real(1e-6, 1e-2, scale="log"),
            "y": real(2, 4),
            "z": real(1, 3, step=0.5),
            "n": whole(4, 100, scale="log"),
            "m": whole(10, 40, step=10),
            "kind": choice("b", "a"),
        },
        [],
    )
    assert space.default() == {
        "x": pytest.approx(1e-4),
        "y": 3,
        "z": 2,
        "n": 20,
        "m": 30,
        "kind": "b",
    }


def test_null_can_be_the_default_and_ends_of_a_range_are_exact():
    space = SearchSpace.build({"schedule": choice("cosine", None, default=None)}, [])
    assert space.default() == {"schedule": None}
    assert [values.at(real(1e-6, 0.3, scale="log"), share) for share in (0, 1)] == [1e-6, 0.3]


def test_flags_are_no_numbers_and_numbers_no_flags():
    space = SearchSpace.build({"n": choice(1, 2), "flag": choice(True, False)}, [])
    assert reasons({"n": True, "flag": 1}, space) == [
        "n: true is not one of 1, 2",
        "flag: 1 is not one of true, false",
    ]
    assert type(space.validate({"n": 1.0, "flag": True})["n"]) is int


def test_what_rounding_moved_out_of_the_range_is_taken_back_and_no_more():
    space = SearchSpace.build({"x": real(0, 100)}, [])
    assert space.validate({"x": 100 + 1e-8}) == {"x": 100}
    assert space.validate({"x": -1e-8}) == {"x": 0}
    assert reasons({"x": 100 + 1e-6}, space)
    assert reasons({"x": -1e-6}, space)


def test_a_default_is_found_where_only_a_corner_is_allowed():
    space = SearchSpace.build({f"x{i}": real() for i in range(4)}, ["x0 + x1 - x2 > 1.999"])
    assert space.holds(space.default()) == []


def test_the_persons_own_default_stays_on_another_branch_too():
    parameters = {
        "kind": choice("a", "b"),
        "x": real(when={"kind": "a"}),
        "y": real(default=0.3, when={"kind": "b"}),
        "z": real(2, 4, when={"kind": "b"}),
    }
    space = SearchSpace.build(parameters, ["x > 2", "y + z > 3.8"])
    found = space.default()
    assert (found["kind"], found["y"]) == ("b", 0.3)
    assert 3.5 < found["z"] < 3.51


def test_a_default_is_found_on_another_branch():
    parameters = {"kind": choice("a", "b"), "x": real(when={"kind": "a"})}
    space = SearchSpace.build(parameters, ["x > 2"])
    assert space.default() == {"kind": "b"}


def test_the_beginning_of_a_log_range_is_not_blurred_by_its_end():
    space = SearchSpace.build({"x": real(1e-12, 1.0, scale="log")}, [])
    assert reasons({"x": 0.0}, space) == ["x: 0 is not between 1e-12 and 1"]
    assert space.validate({"x": 1e-12 * (1 - 1e-12)}) == {"x": 1e-12}


def test_numbers_on_a_grid_are_the_ones_that_people_write():
    space = SearchSpace.build({"x": real(0.1, 0.9, step=0.1)}, [])
    written = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert [space.validate({"x": 0.1 + k * 0.1})["x"] for k in range(9)] == written


def test_many_conditions_of_conditions_are_checked_at_once():
    parameters = {"p0": choice(1, 2), "p1": choice(1, 2)}
    for i in range(2, 80):
        parameters[f"p{i}"] = choice(1, 2, when={f"p{i - 1}": 1, f"p{i - 2}": 1})
    assert len(SearchSpace.build(parameters, []).default()) == 80


def test_messages_and_descriptions_keep_all_digits():
    space = SearchSpace.build({"n": whole(1, 1234567, description="a\nb")}, [])
    assert space.describe() == "- n: whole number from 1 to 1234567. a b"
    assert reasons({"n": 1234568}, space) == ["n: 1234568 is not between 1 and 1234567"]


# -- any space ------------------------------------------------------------------------------------


def numbers():
    return st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def spaces(draw):
    parameters = {}
    for index in range(draw(st.integers(1, 5))):
        when = {}
        parents = [name for name, p in parameters.items() if isinstance(p, CategoricalParameter)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            when = {parent: draw(st.sampled_from(parameters[parent].choices))}
        parameters[f"p{index}"] = draw(parameter(when))
    return SearchSpace.build(parameters, [])


@st.composite
def parameter(draw, when):
    kind = draw(st.sampled_from(["float", "log", "step", "int", "intlog", "choice", "fixed"]))
    low = draw(st.integers(-100, 100))
    if kind == "float":
        return real(low, low + draw(st.floats(1e-3, 1e3)), when=when)
    if kind == "log":
        start = 10.0 ** draw(st.integers(-8, 3))
        return real(start, start * draw(st.floats(1.01, 1e6)), scale="log", when=when)
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 1.0, 3.0]))
        return real(low, round(low + step * draw(st.integers(1, 20)), 9), step=step, when=when)
    if kind == "int":
        step = draw(st.integers(1, 7))
        return whole(low, low + step * draw(st.integers(1, 30)), step=step, when=when)
    if kind == "intlog":
        return whole(1, draw(st.integers(2, 4096)), scale="log", when=when)
    if kind == "choice":
        values = st.one_of(st.booleans(), st.text(min_size=1, max_size=3), st.integers(2, 9))
        return choice(*draw(st.lists(values, min_size=1, max_size=4, unique=True)), when=when)
    return fixed(draw(st.integers() | st.text(max_size=3) | st.booleans()), when=when)


def drawn(space, seed):
    chance = random.Random(seed)
    partial = {name: values.drawn(p, chance) for name, p in space.parameters.items()}
    return {n: v for n, v in space.complete(partial).items() if n in space.active(partial)}


def suggested(space, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return space.suggest(study.ask())


@given(spaces(), st.integers(0, 1000))
def test_defaults_and_suggestions_of_any_space_are_valid_and_stay_as_they_are(space, seed):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for point in (space.default(), suggested(space, seed), drawn(space, seed)):
        valid = space.validate(point)
        assert space.same(valid, point)
        assert space.validate(valid) == valid
        assert list(valid) == [name for name in space.names if name in valid]
        assert space.active(valid) == set(valid)
        assert space.validate(json.loads(json.dumps(valid))) == valid


def test_only_a_conditional_parameter_may_be_null_in_the_json_schema():
    schema = SPACE.json_schema()
    assert [n for n, one in schema["properties"].items() if fits(None, one)] == [
        "momentum",
        "nesterov",
        "momentum_kind",
    ]
    assert schema["required"] == [name for name in NETWORK if name != "epochs"]


@given(spaces(), st.integers(0, 1000))
def test_what_is_valid_fits_the_json_schema_and_optunas_distributions(space, seed):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    point = space.validate(suggested(space, seed))
    schema = space.json_schema()
    for name, wanted in schema["properties"].items():
        assert fits(point.get(name), wanted), (name, point, wanted)
    for name, distribution in space.distributions().items():
        if name in point:
            assert distribution._contains(distribution.to_internal_repr(point[name]))


def fits(value, schema):
    if "anyOf" in schema:
        return any(fits(value, inner) for inner in schema["anyOf"])
    if schema.get("type") == "null":
        return value is None
    if "enum" in schema:
        return value in schema["enum"]
    kind = {"number": float, "integer": int}[schema["type"]]
    return isinstance(value, kind) and schema["minimum"] <= value <= schema["maximum"]


@given(
    spaces(),
    st.dictionaries(
        st.sampled_from(["p0", "p1", "p2", "q"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=3),
            st.lists(st.none()),
        ),
    ),
)
def test_any_answer_is_valid_or_refused_with_reasons(space, answer):
    try:
        space.validate(answer)
    except ProposalRejected as error:
        assert error.reasons


def test_the_description_names_ranges_conditions_and_constraints():
    text = SPACE.describe()
    assert "learning_rate: float from 1e-5 to 0.1, log scale" in text
    assert "momentum: float from 0.5 to 0.99; only when optimizer is sgd" in text
    assert "batch_size: whole number from 16 to 256, in steps of 16" in text
    assert "epochs: always 4" in text
    assert "- batch_size * width <= 4096" in text


def test_the_description_spells_values_as_json_does():
    parameters = {
        "flag": choice(True, None, "on", 0.1),
        "x": real(when={"flag": [True, None]}),
        "f": fixed(False),
    }
    assert SearchSpace.build(parameters, []).describe().splitlines() == [
        "- flag: one of true, null, on, 0.1",
        "- x: float from 0 to 1; only when flag is true or null",
        "- f: always false",
    ]


def test_cardinality():
    assert (
        SearchSpace.build({"a": choice(1, 2), "b": whole(1, 8), "c": fixed(1)}, []).cardinality()
        == 16
    )
    assert SearchSpace.build({"x": real(0.5, 2, step=0.5)}, []).cardinality() == 4
    assert SPACE.cardinality() is None


def test_choices_that_are_text_and_look_like_something_else_are_shown_in_quotes():
    # Without them an LLM writes a number, and is told that "0.1 is not one of 0.1, 0.2".
    space = SearchSpace.build({"p": choice("0.1", "null", None, "l2", True)}, [])
    assert space.describe() == '- p: one of "0.1", "null", null, l2, true'
    assert reasons({"p": 0.1}, space) == ['p: 0.1 is not one of "0.1", "null", null, l2, true']


def test_a_range_in_steps_is_listed_so_that_guided_answers_stay_on_it():
    space = SearchSpace.build(
        {
            "batch": whole(32, 128, step=32),
            "drop": real(0.1, 0.4, step=0.1),
            "lr": real(0, 1),
            "fine": real(0, 1, step=0.001),
            "depth": whole(1, 9),
        },
        [],
    )
    schema = space.json_schema()["properties"]
    assert schema["batch"]["enum"] == [32, 64, 96, 128]
    assert schema["drop"]["enum"] == [0.1, 0.2, 0.3, 0.4]
    assert not [name for name in ("lr", "fine", "depth") if "enum" in schema[name]]
    for value in schema["drop"]["enum"]:
        space.validate({"batch": 64, "drop": value, "lr": 0.5, "fine": 0.5, "depth": 3})


def test_the_ends_of_a_log_scale_are_shown_without_a_row_of_zeros():
    space = SearchSpace.build(
        {"lr": real(0.0001, 0.25, scale="log"), "t": real(1.23456789e-4, 1)}, []
    )
    assert space.describe().splitlines() == [
        "- lr: float from 1e-4 to 0.25, log scale",
        "- t: float from 0.000123456789 to 1",
    ]
