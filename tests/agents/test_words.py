"""Numbers of things, in words."""

import pytest
from trials import failed, stop_reason, view

from agents.config.model import LoopSettings, StopSettings
from agents.words import count, named


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([7], "trial 7"), ([0, 1], "trials 0 and 1"), ([7, 9, 12], "trials 7, 9 and 12")],
)
def test_things_by_their_numbers(numbers, words):
    assert named(numbers) == words


def test_one_thing_is_not_many():
    assert [count(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
    stop = StopSettings(failures_in_a_row=1)
    reason = stop_reason(view(failed(0)), 1, 0.0, LoopSettings(), stop)
    assert reason.sentence.startswith("1 trial failed in a row")
