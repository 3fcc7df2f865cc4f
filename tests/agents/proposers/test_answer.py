"""Reading what an LLM wrote: nothing that it writes breaks the reader."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import LlmError
from agents.proposers.answer import MAX_ANSWER, plain_text, read_answer, read_stop, without_thinking

NAMES = ("lr", "opt")
PROSE = st.text(st.characters(exclude_characters="{}<>"), max_size=60)
VALUES = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=9),
)
POINTS = st.fixed_dictionaries({"lr": VALUES, "opt": VALUES})
ANSWERS = st.lists(POINTS, min_size=1, max_size=4)


def wrapped(points):
    return {"proposals": [{"rationale": "r", "parameters": point} for point in points]}


def read(text):
    return [dict(one.parameters) for one in read_answer(text, NAMES)]


@given(points=ANSWERS, before=PROSE, after=PROSE, indent=st.sampled_from([None, 2]))
def test_an_answer_is_found_between_any_words(points, before, after, indent):
    assert read(f"{before}{json.dumps(wrapped(points), indent=indent)}{after}") == points


@given(points=ANSWERS, thought=st.text(max_size=80), draft=ANSWERS)
def test_what_was_thought_does_not_count(points, thought, draft):
    thought = thought.replace("<", "") + json.dumps(wrapped(draft)).replace("<", "")
    final = json.loads(json.dumps(wrapped(points)).replace("<", ""))
    expected = [one["parameters"] for one in final["proposals"]]
    assert read(f"<think>{thought}</think>{json.dumps(final)}") == expected


@given(points=ANSWERS, data=st.data())
def test_a_cut_answer_gives_its_complete_points_and_no_others(points, data):
    text = json.dumps(wrapped(points))
    text = text[: data.draw(st.integers(0, len(text)))]
    try:
        found = read(text)
    except LlmError:
        found = []
    assert found == points[: len(found)]
    # A point is complete when its own two braces are closed.
    assert len(found) >= min(len(points), text.count("}}"))


@given(text=st.text(max_size=400) | st.text(alphabet='{}[]":,lropt parameters1e-', max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        for one in read_answer(text, NAMES):
            assert isinstance(one.parameters, dict)
            assert one.rationale == plain_text(one.rationale, 500)
    except LlmError as error:
        assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 50_000,
        "{" * 200_000,
        '{"proposals": [' + "[" * 90_000,
        '{"parameters": {"lr": ' + "9" * 6000 + "}}",
        "<think>" * 20_000,
        "<think>" + "{" * 99_000,
        "{" + '"\\' * 49_000,
        "{" + "/*" * 49_000,
        "{" + ", " * 49_000,
        "{" + '{"a": ' * 16_000,
        '{"lr' + "{" * 99_000,
        "<|channel|>analysis" * 5_000,
    ],
    ids=[
        "deep",
        "braces",
        "brackets",
        "digits",
        "thoughts",
        "endless thought",
        "quotes",
        "comments",
        "commas",
        "objects",
        "braces in text",
        "channels",
    ],
)
def test_hostile_text_is_refused_soon(text):
    with pytest.raises(LlmError):
        read_answer(text, NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"lr": 0.1, "opt": "adam"}', [{"lr": 0.1, "opt": "adam"}]),
        ('[{"lr": 1}, {"lr": 2}]', [{"lr": 1}, {"lr": 2}]),
        ('{"parameters": {"lr": 1}} and {"parameters": {"lr": 2}}', [{"lr": 1}, {"lr": 2}]),
        ('{"proposals": [{"parameters": {"lr": NaN}}]}', [{"lr": None}]),
        ('draft {"proposals": [{"lr": 1}]} final {"proposals": [{"lr": 2}]}', [{"lr": 2}]),
        ('{"proposals": ["no", {"parameters": {"lr": 2}}, 7]}', [{"lr": 2}]),
        (json.dumps({"proposals": json.dumps([{"parameters": {"lr": 2}}])}), [{"lr": 2}]),
        (
            json.dumps({"proposals": [json.dumps({"parameters": json.dumps({"lr": 2})})]}),
            [{"lr": 2}],
        ),
    ],
)
def test_other_shapes_that_models_use(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "<think>hm",
        '<think>a draft: {"lr": 1}',
        "I cannot help with that.",
        "{}",
        '{"proposals": []}',
        "[1, 2]",
    ],
)
def test_what_holds_no_proposal_says_so(text):
    with pytest.raises(LlmError, match=r"empty|no proposal"):
        read_answer(text, NAMES)


def test_an_expected_value_is_a_finite_number_or_nothing():
    def predicted(value):
        text = f'{{"parameters": {{"lr": 1}}, "expected": {value}}}'
        return read_answer(text, NAMES)[0].predicted

    assert predicted("0.25") == 0.25
    for value in ("null", "true", '"0.9"', "1e999", "NaN", "1" + "0" * 400):
        assert predicted(value) is None


def test_a_parameter_may_be_called_parameters():
    assert read_answer('{"parameters": 3}', ("parameters",))[0].parameters == {"parameters": 3}


@given(text=st.text(max_size=300), limit=st.integers(1, 60))
def test_plain_text_is_one_bounded_printable_line(text, limit):
    line = plain_text(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    line.encode()
    assert plain_text(line, limit) == line


def test_plain_text_looks_at_a_bounded_part():
    assert plain_text("\x00" * 10**6 + "a", 10) == ""
    assert plain_text("word " * 10**6, 12) == "word word w…"


@settings(max_examples=50)
@given(text=st.text(alphabet="<>/thinkTHINK a{}", max_size=80))
def test_removing_thoughts_leaves_no_thought_tag_at_its_end(text):
    assert "</think>" not in without_thinking(text).lower()


def test_only_the_beginning_of_an_endless_answer_is_read():
    late = " " * MAX_ANSWER + json.dumps(wrapped([{"lr": 1}]))
    with pytest.raises(LlmError):
        read_answer(late, NAMES)


def test_advice_to_stop_beside_packed_proposals_is_heard():
    text = json.dumps({"proposals": json.dumps([{"lr": 1}]), "stop": "It is flat."})
    assert read_stop(text) == "It is flat."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"proposals": [{"parameters": {"lr": 0.1 "x": 1}}]}', '0.1 "x": 1'),
        ("{'proposals': [{'parameters': {'lr': 0.1}}]}", "double quotes"),
        ('{"a": 1e-3, // low\n "b": 2}', "// low"),
    ],
)
def test_json_that_cannot_be_read_goes_back_with_what_is_wrong(text, words):
    with pytest.raises(LlmError, match="no proposal") as caught:
        read_answer(text, ("x",))
    assert words in str(caught.value)
