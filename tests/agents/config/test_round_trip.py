"""Written and read again, a configuration is the same: the run directory's config.yaml rests on it."""

import json
import keyword
import os
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from agents.config import load
from agents.config.node import data_of
from agents.config.references import escaped, filled
from agents.config.yaml_text import dump, parse
from agents.space.constraint import FUNCTIONS

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | (
    st.sampled_from(["1e5", "1e-5", "on", "~", "", "null", "12:30", "0o7", "$${", "${X}", "$$${X}", "a: b", "# c", "- d", " e ", "\n", "---", "é", "<<", "=", "1_000", ".inf", "!x"])
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT.filter(lambda text: "${" not in text), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(data=DATA)
def test_what_is_dumped_is_read_again_in_value_and_type(data):
    read = data_of(parse(dump(data), Path("x")))
    # JSON tells 1, 1.0, true and "1" apart; Python's == does not.
    assert json.dumps(read) == json.dumps(data)


@given(text=TEXT)
def test_escaped_text_is_filled_in_as_it_was(text):
    problems = []
    node = filled(parse(dump(escaped(text)), Path("x")), {}, problems)
    assert (node.value, problems) == (text, [])


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name not in FUNCTIONS
)
FLOATS = st.builds(
    lambda low, width, log: {
        "type": "float", "low": low, "high": low + width, **({"scale": "log"} if log else {})
    },
    st.floats(1e-6, 1), st.floats(0.1, 10), st.booleans(),
)  # fmt: skip
INTS = st.builds(
    lambda low, steps, step: {"type": "int", "low": low, "high": low + steps * step, "step": step},
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 9),
)
CHOICES = st.lists(
    st.booleans() | st.integers(5, 99) | TEXT, min_size=1, max_size=4, unique_by=lambda v: str(v)
)
CATEGORICALS = st.builds(
    lambda choices, about: {"type": "categorical", "choices": choices, "description": about},
    CHOICES,
    TEXT,
)
FIXED = st.builds(
    lambda value: {"type": "fixed", "value": value}, st.none() | st.integers(-9, 9) | TEXT
)
DURATIONS = st.floats(1, 1e6) | st.sampled_from(["90s", "15m", "1h30m", "01:30:00", "2-00:00"])
CONFIGURATIONS = st.fixed_dictionaries(
    {
        "experiment": st.fixed_dictionaries({"id": st.just("x"), "description": TEXT}),
        "search_space": st.dictionaries(
            NAMES, FLOATS | INTS | CATEGORICALS | FIXED, min_size=1, max_size=3
        ),
        "training": st.fixed_dictionaries(
            {"command": st.lists(TEXT.map(lambda t: f"x{t}").filter(lambda t: "{" not in t), min_size=1, max_size=2)},
            optional={"budget": st.dictionaries(NAMES, st.integers(1, 9) | st.floats(1, 9), max_size=2)},
        ),
    },
    optional={
        "stop": st.fixed_dictionaries(
            {}, optional={"wall_clock": DURATIONS, "failures_in_a_row": st.none() | st.integers(1, 9)}
        ),
        "cluster": st.fixed_dictionaries(
            {},
            optional={
                "environment": st.dictionaries(NAMES, TEXT, max_size=2),
                "setup": st.lists(TEXT, max_size=2),
                "python": st.none() | TEXT,
                "resources": st.fixed_dictionaries({}, optional={
                    "memory": st.sampled_from(["512M", "1.5G", 4096]),
                    "walltime": DURATIONS,
                    "directives": st.dictionaries(NAMES, st.none() | st.integers() .filter(lambda n: abs(n) < 2**63) | TEXT, max_size=2),
                }),
            },
        ),
        "directories": st.fixed_dictionaries({"local_base": st.sampled_from(["out", "/tmp/x", "../y", "~/z"])}),
    },
)  # fmt: skip


def with_escapes(value):
    if isinstance(value, dict):
        return {key: with_escapes(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_escapes(inner) for inner in value]
    return escaped(value) if isinstance(value, str) else value


@given(configuration=CONFIGURATIONS)
@example(
    configuration={
        "experiment": {"id": "x", "description": "1e5"},
        "search_space": {"a": {"type": "int", "low": 1, "high": 8, "scale": "log"}},
        "training": {"command": ["x"]},
    }
)
def test_the_resolved_configuration_loads_to_the_same_settings(tmp_path_factory, configuration):
    directory = tmp_path_factory.mktemp("config")
    path, resolved = directory / "config.yaml", directory / "run" / "config.yaml"
    path.write_text(dump(with_escapes(configuration)), encoding="utf-8")
    first = load(path)
    assert first.settings.experiment.description == configuration["experiment"]["description"]
    resolved.parent.mkdir()
    resolved.write_text(first.resolved, encoding="utf-8")
    here = os.getcwd()
    os.chdir(resolved.parent)
    try:
        again = load(resolved)
    finally:
        os.chdir(here)
    assert again.settings == first.settings
    assert again.resolved == first.resolved
