"""What no endpoint could be asked about, or reached with: refused before anything is asked, in one
message that says where and what to do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import spaces

from agents.config import load
from agents.config.model import LlmSettings
from agents.errors import ConfigurationError
from agents.proposers.endpoint import Endpoint
from agents.proposers.prompt import answer_schema

INEXPRESSIBLE = {
    "no end": ("x: {type: float, low: 0, high: .inf}", "must be a finite number"),
    "too wide for a number": (
        "x: {type: float, low: -1.7e+308, high: 1.7e+308}",
        "the range from low to high is too large for a number",
    ),
    "more than JSON's integers": (
        "x: {type: int, low: 0, high: 100000000000000000000000}",
        "is too large a number",
    ),
    "a choice that is no number": (
        "x: {type: categorical, choices: [.nan, 1]}",
        "must be a finite number",
    ),
    "a list as a choice": (
        "x: {type: categorical, choices: [[64, 64], [128]]}",
        "search_space.x.choices[0] must be a number, text or true or false, and it is a list",
    ),
    "a mapping as a choice": (
        "x: {type: categorical, choices: [{a: 1}]}",
        "search_space.x.choices[0] must be a number, text or true or false, and it is a mapping",
    ),
    "no choice": ("x: {type: categorical, choices: []}", "search_space.x.choices must be filled"),
    "one choice twice": (
        "x: {type: categorical, choices: [1, true]}",
        "search_space.x: the choice True is there twice",
    ),
    "half a character": (
        'x: {type: categorical, choices: ["\\ud800", b]}',
        "holds a character that text files cannot have",
    ),
    "a name that is none": (
        "'learning rate': {type: float, low: 0, high: 1}",
        "a name has letters, digits and _, and does not begin with a digit",
    ),
}


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_a_space_that_a_schema_cannot_express_is_refused_with_its_place(tmp_path, name):
    line, words = INEXPRESSIBLE[name]
    config = tmp_path / "config.yaml"
    config.write_text(
        f"experiment: {{id: e}}\nsearch_space:\n  {line}\ntraining: {{command: ['true']}}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(config)
    assert all(problem.startswith(f"{config}:3: ") for problem in caught.value.problems)
    assert words in caught.value.problems[0]


@given(space=spaces(), count=st.integers(1, 8))
def test_every_other_space_has_a_schema_that_can_be_sent(space, count):
    schema = answer_schema(space, count)
    assert json.loads(json.dumps(schema, allow_nan=False).encode()) == schema


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("localhost:8000/v1", True),
        ("http:///v1", True),
        ("http://host:port/v1", True),
        ("http://host:99999/v1", True),
        ("ftp://me:hush@host/v1", False),
        ("host/v1?token=hush", False),
    ],
)
def test_an_address_that_is_none_is_shown_where_it_holds_no_secret(url, shown):
    with pytest.raises(ConfigurationError, match=r"write http://HOST:PORT/v1") as caught:
        Endpoint(LlmSettings(base_url=url, model="m"))
    assert (url in str(caught.value)) is shown
    assert "hush" not in str(caught.value)


def test_a_key_and_a_user_in_the_address_exclude_one_another(monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-4711-4711")
    settings = LlmSettings(base_url="http://me:hush@host/v1", model="m", api_key_env="TEST_LLM_KEY")
    with pytest.raises(ConfigurationError, match="takes one of them") as caught:
        Endpoint(settings)
    assert "hush" not in str(caught.value)
