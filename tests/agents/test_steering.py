"""What people ask for: files that are requests, and what all of them come to."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import failed, trial, view

from agents import asking, requests
from agents.config.model import FixedParameter, FloatParameter, IntParameter
from agents.errors import ConfigurationError, LedgerError
from agents.helm import Helm
from agents.proposers.mirror import Mirror
from agents.space import SearchSpace
from agents.steering import (
    SETTABLE,
    VERBS,
    Taken,
    lessons,
    settled,
    steered,
    stops_done,
    taken_from_json,
    too_late,
    waiting_additions,
)

ARGUMENTS = {
    "cancel": st.fixed_dictionaries({"trials": st.lists(st.integers(0, 5), min_size=1)}),
    "set": st.fixed_dictionaries(
        {"key": st.sampled_from(sorted(SETTABLE)), "value": st.sampled_from(["1", "2", "null"])}
    ),
    "add": st.fixed_dictionaries({"parameters": st.just({"x": 0.5})}),
    "forbid": st.fixed_dictionaries({"expression": st.sampled_from(["x > 1", "x < 0"])}),
    "note": st.fixed_dictionaries({"text": st.text(max_size=20)}),
}


def taken(verb, arguments=None, **fields):
    request = requests.new_request(verb, arguments or {})
    return Taken(request, request.asked_at, "an effect", **fields)


@st.composite
def histories(draw):
    verbs = draw(st.lists(st.sampled_from(VERBS), max_size=12))
    found = []
    for verb in verbs:
        given_ = draw(ARGUMENTS.get(verb, st.just({})))
        trials = tuple(given_["trials"]) if verb == "cancel" else ()
        found.append(taken(verb, given_, refused=draw(st.booleans()), trials=trials))
    return found


@given(histories())
def test_what_is_in_force_is_read_back_from_the_ledger_as_it_was(history):
    again = [taken_from_json(json.loads(json.dumps(one.to_json()))) for one in history]
    assert again == history
    assert steered(again) == steered(history)


@given(histories())
def test_what_was_refused_is_not_in_force(history):
    assert steered(history) == steered([one for one in history if not one.refused])


@given(histories(), histories())
def test_what_is_in_force_does_not_depend_on_when_a_crash_came(first, second):
    """Taking the rest after the first part was read back is taking all."""
    again = [taken_from_json(one.to_json()) for one in first]
    assert steered([*again, *second]) == steered([*first, *second])


@pytest.mark.parametrize(
    "entry", [{}, None, "x", {"id": "1", "verb": "fly", "arguments": {}}, {"verb": "pause"}]
)
def test_a_list_of_another_version_is_an_error_with_words(entry):
    class Other:
        def attributes(self):
            return {"steering": [entry]}

    with pytest.raises(LedgerError, match="with the version of Pilothouse"):
        Helm(None, None, Other(), None)


def test_pause_and_continue_and_stop():
    pause, stop, go_on = taken("pause"), taken("stop"), taken("continue")
    assert steered([pause]).paused is pause
    assert steered([pause, taken("pause")]).paused is pause
    assert steered([pause, go_on]).paused is None
    assert steered([stop]).stop is stop
    assert steered([stop, go_on]).stop is None
    assert steered([stop, pause]).stop is stop
    assert steered(stops_done([stop])).stop is None
    assert steered([*stops_done([stop]), taken("stop")]).stop is not None


def test_the_last_value_of_a_key_counts_and_notes_and_regions_add_up():
    now = steered(
        [
            taken("set", {"key": "loop.max_iterations", "value": "3"}),
            taken("note", {"text": "one"}),
            taken("set", {"key": "loop.max_iterations", "value": "40"}),
            taken("forbid", {"expression": "x > 1"}),
            taken("note", {"text": "two"}),
            taken("forbid", {"expression": "y > 1"}),
        ]
    )
    assert now.overrides == {"loop.max_iterations": "40"}
    assert now.notes == ("one", "two")
    assert now.forbidden == ("x > 1", "y > 1")


def test_an_added_trial_waits_until_a_trial_has_its_request():
    one, two = taken("add", {"parameters": {"x": 1}}), taken("add", {"parameters": {"x": 1}})
    history = [one, two]
    trials = [trial(0, 0.5), trial(1, request=one.id)]
    assert waiting_additions(steered(history), trials) == [two]
    assert settled(history, trials)[0].effect == "trial 1"
    assert settled(history, trials)[1] == two
    assert "ended before" in too_late(history, trials)[1].effect
    assert too_late(history, trials)[0] == one


# -- what proposers learn ------------------------------------------------------------------------


def test_a_cancelled_trial_and_a_confirming_one_teach_nothing_and_keep_their_numbers():
    now = steered([taken("cancel", {"trials": [1]}, trials=(1,))])
    known = view(
        trial(0, 0.5, parameters={"x": 0.1}),
        failed(1, parameters={"x": 0.2}),
        trial(2, 0.9, parameters={"x": 0.1}, confirms=0),
        trial(3, parameters={"x": 0.1}, confirms=0),
        failed(4, parameters={"x": 0.3}),
    )
    learnt = lessons(known, now)
    assert [t.number for t in learnt.trials] == [0, 1, 2, 3, 4]
    assert [t.teaches for t in learnt.trials] == [True, False, False, False, True]
    assert [t.value for t in learnt.trials] == [0.5, None, 0.9, None, None]
    assert learnt.trials[0] is known.trials[0]
    assert learnt.trials[1].origin == "user"
    assert learnt.trials[4] is known.trials[4]
    space = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=1)}, [])
    mirror = Mirror(space, "maximize")
    mirror.sync(learnt)
    assert [t.number for t in mirror.study.trials if t.value is not None] == [0]
    assert [t.state.name for t in mirror.study.trials[1:]] == ["FAIL"] * 4


# -- files ---------------------------------------------------------------------------------------


@given(st.sampled_from(VERBS), st.text(max_size=50))
def test_a_request_is_read_as_it_was_left(tmp_path_factory, verb, text):
    run = tmp_path_factory.mktemp("läuft noch")
    asked = requests.new_request(verb, {"text": text})
    path = requests.leave(run, asked)
    assert requests.read(path) == asked
    assert requests.waiting(run) == [path]
    assert requests.withdraw(path) is True
    assert requests.withdraw(path) is False
    assert requests.waiting(run) == []


def test_half_a_file_and_what_is_no_file_is_no_request(tmp_path):
    run = tmp_path
    path = requests.leave(run, requests.new_request("pause", {}))
    (run / "requests" / "20261124.json.tmp.17").write_text("{")
    (run / "requests" / "a.json").mkdir()
    os.mkfifo(run / "requests" / "b.json")
    (run / "requests" / "c.json").symlink_to("/dev/zero")
    assert requests.waiting(run) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"schema": 2, "verb": "pause", "arguments": {}, "by": "x", "asked_at": "2026-01-01"}',
        b'{"schema": 1, "verb": "rm", "arguments": {}, "by": "x", "asked_at": "2026-01-01"}',
        b'{"schema": 1, "verb": "pause", "arguments": [], "by": "x", "asked_at": "2026-01-01"}',
        b'{"schema": 1, "verb": "pause", "arguments": {}, "by": "x", "asked_at": "soon"}',
        b'{"schema": 1, "verb": ["pause"], "arguments": {}, "by": "x", "asked_at": "2026-01-01"}',
        b"[" * 60000,
        b" " * 70000,
    ],
)
def test_what_is_no_request_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(requests.Unreadable):
        requests.read(path)


# -- what may be asked ---------------------------------------------------------------------------

SPACE = SearchSpace.build(
    {
        "rate": FloatParameter(type="float", low=1e-4, high=1.0, scale="log", default=0.1),
        "layers": IntParameter(type="int", low=1, high=4),
        "device": FixedParameter(type="fixed", value="gpu"),
    },
    ["rate * layers <= 2"],
)


def test_a_point_by_hand_takes_the_rest_from_the_defaults_and_is_checked():
    point = asking.checked_point(SPACE, asking.parameters_of(["rate=1e-3"]))
    assert point == {"rate": 0.001, "layers": 3, "device": "gpu"}
    for texts, words in (
        (["rate=7"], "rate: "),
        (["rat=0.1"], "did you mean rate"),
        (["rate=1.0", "layers=4"], "breaks the constraint `rate * layers <= 2`"),
        (["device=cpu"], "device: "),
        (["rate"], "write NAME=VALUE"),
        (["rate=1", "rate=2"], "rate is there twice"),
    ):
        with pytest.raises(ConfigurationError, match="add") as caught:
            asking.checked_point(SPACE, asking.parameters_of(texts))
        assert words in str(caught.value)


def test_a_forbidden_region_is_out_of_the_space_though_it_holds_the_default():
    region = asking.checked_region(SPACE, "rate > 0.01")
    assert 0.3 < region.share < 0.8
    left = region.space
    assert left.allows({"rate": 0.009, "layers": 1, "device": "gpu"})
    assert not left.allows({"rate": 0.1, "layers": 1, "device": "gpu"})
    assert "not (rate > 0.01)" in left.describe()
    twice = asking.checked_region(left, "layers == 3")
    assert not twice.space.allows({"rate": 0.001, "layers": 3, "device": "gpu"})


def test_the_share_of_a_forbidden_region_is_its_part_of_the_ranges():
    space = SearchSpace({"x": FloatParameter(type="float", low=0, high=1)}, [])
    assert asking.checked_region(space, "x > 0.9").share == pytest.approx(0.1, abs=0.03)
    assert asking.checked_region(space, "x > 0.02").share == pytest.approx(0.98, abs=0.02)
    with pytest.raises(ConfigurationError, match="would be left"):
        asking.checked_region(space, "x > 0.002")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("rate > 0", "would be left"),
        ("speed > 1", "there is no parameter speed"),
        ("rate >", "is no expression"),
        ("__import__('os')", "may call"),
        ("1 > 0", "names no parameter"),
        ("rate > 0) or (rate < 1", "is no expression"),
    ],
)
def test_a_region_that_cannot_be_forbidden(expression, words):
    with pytest.raises(ConfigurationError, match="forbid") as caught:
        asking.checked_region(SPACE, expression)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loop.max_iterations", "write KEY=VALUE"),
        ("=4", "write KEY=VALUE"),
        ("loop.max_iteration=4", "did you mean loop.max_iterations"),
        ("search_space.x.high=4", "cannot change while a search runs"),
        ("training.command=[rm]", "cannot change while a search runs"),
        ("cluster.resources.walltime=2h", "`resume DIR --set cluster.resources.walltime=VALUE`"),
    ],
)
def test_a_key_that_cannot_be_set(text, words):
    with pytest.raises(ConfigurationError) as caught:
        asking.key_and_value(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["search_space.x.high=4", "cluster.max_in_fligth=4"])
def test_what_a_resume_does_not_change_either_is_not_sent_there(text):
    with pytest.raises(ConfigurationError) as caught:
        asking.key_and_value(text)
    assert "resume" not in str(caught.value)


def test_a_note_is_one_line_of_bounded_length():
    assert asking.checked_note("  two\n words ") == "two words"
    for text in ("", " \n", "x" * 2001):
        with pytest.raises(ConfigurationError):
            asking.checked_note(text)
