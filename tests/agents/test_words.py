"""Numbers of things, in words."""

import pytest
from trials import failed, stop_reason, trial, view

from agents.commands.search import left_text
from agents.config.model import LoopSettings, StopSettings
from agents.outcome import Outcome, outcome_text
from agents.trial import Job, TrialState
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


@pytest.mark.parametrize(("value", "said"), [(3e-5, "3e-5"), (0.87654, "0.8765"), (1e300, "1e300")])
def test_a_metric_far_from_one_is_neither_naught_nor_a_line_of_digits(value, said):
    ended = Outcome(TrialState.COMPLETED, value=value)
    assert outcome_text(trial(0), ended, "loss").startswith(f"trial 0 completed: loss {said}")


def test_what_is_left_behind_is_counted_in_jobs_and_never_more_than_there_are():
    def left(*ids):
        return left_text(
            [trial(n, job=Job(f"n{n}", "d", job_id=job_id)) for n, job_id in enumerate(ids)]
        )

    assert left() == ""
    assert left("1") == "1 job left running; what comes of it will be found again.\n"
    assert left("1", "1", "2").startswith("2 jobs left running; what comes of them")
    waiting = "2 trials still to be submitted, none of them twice.\n"
    assert left(None, None) == waiting
    assert left("1", None, None).splitlines()[1] == waiting.strip()
