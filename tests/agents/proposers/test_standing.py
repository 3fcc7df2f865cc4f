"""What an LLM's proposals have earned: shares from histories."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.proposers.standing import (
    LEAST,
    MEMORY,
    MOST,
    SEEDS,
    SHARE_AT_FIRST,
    WINDOW,
    standing,
    track,
)
from agents.trial import StudyView, Trial, TrialState


def history(*runs, direction="maximize"):
    """Runs as (origin, value or None for a failure)."""
    trials = [
        Trial(
            number,
            1,
            TrialState.COMPLETED if value is not None else TrialState.FAILED,
            {"x": number},
            origin,
            0,
            value=value,
        )
        for number, (origin, value) in enumerate(runs)
    ]
    return StudyView("e", "m", direction, trials)


def rising(origin, count, start=0.0):
    return [(origin, start + n / 1000) for n in range(count)]


def falling(origin, count, start=0.4):
    return [(origin, start - n / 1000) for n in range(count)]


DEFAULT = [("default", 0.5)]


def running(view, origin, count=1, fallback_reason=None):
    """The history with trials that have not ended yet."""
    start = len(view.trials)
    more = [
        Trial(n, 1, TrialState.RUNNING, {"x": n}, origin, 0, fallback_reason=fallback_reason)
        for n in range(start, start + count)
    ]
    return replace(view, trials=[*view.trials, *more])


def test_the_llm_has_the_first_seeds_then_the_space_is_filled():
    assert standing(history(*DEFAULT, ("llm", 0.6)), 8, 40, 2).slots == SEEDS - 1
    assert standing(history(*DEFAULT, ("llm", 0.1), ("llm", 0.6)), 2, 40, 2).slots == 1
    seeded = [*DEFAULT, ("llm", 0.6), ("llm", 0.1), ("llm", 0.1), ("sampler", 0.7)]
    assert standing(history(*seeded), 4, 40, 2).slots == 0
    assert standing(history(*seeded, *falling("sampler", 3)), 8, 40, 2).slots > 0
    assert standing(history(*seeded, *falling("sampler", 3)), 8, 40, 9).slots == 0


def test_a_batch_has_one_seed_until_it_is_seen_what_it_is_worth():
    assert standing(running(history(), "default"), 7, 40, 2).slots == 1
    assert standing(running(history(*DEFAULT), "llm"), 7, 40, 2).slots == 0
    filled = running(history(*DEFAULT), "sampler", fallback_reason="the LLM was away")
    assert standing(filled, 7, 40, 2).slots == 0
    ended = replace(filled.trials[-1], state=TrialState.COMPLETED, value=0.1)
    assert standing(replace(filled, trials=[*filled.trials[:-1], ended]), 7, 40, 2).slots == 2


def test_an_llm_whose_seed_is_the_best_run_goes_on_at_once():
    ahead = [*DEFAULT, *rising("llm", SEEDS, 0.6)]
    assert standing(history(*ahead), 4, 40, 9).slots == 2
    overtaken = [*ahead, ("sampler", 0.9)]
    assert standing(history(*overtaken), 4, 40, 9).slots == 0


def test_seeds_that_are_all_worse_than_the_default_end_early():
    for worse in (0.4, None):
        assert standing(history(*DEFAULT, ("llm", worse)), 2, 40, 2).slots == 0
    minimizing = history(*DEFAULT, ("llm", 0.4), direction="minimize")
    assert standing(minimizing, 2, 40, 2).slots == 2
    assert standing(history(("llm", 0.4)), 2, 40, 2).slots == 2


def test_neither_earns_by_a_candidate_that_was_adopted_nor_by_a_confirmation():
    start = history(*DEFAULT, *falling("sampler", 8), *rising("llm", 4, 0.9))
    assert track(start)["llm"].good == 4
    adopted = [replace(t, adopted=t.origin == "llm") for t in start.trials]
    again = [replace(t, confirms=1 if t.origin == "llm" else None) for t in start.trials]
    for trials in (adopted, again):
        record = track(replace(start, trials=trials))
        assert (record["llm"].good, record["llm"].other) == (0, 0)
        assert record["sampler"] == track(start)["sampler"]


def test_confirmations_use_up_no_slots_of_the_llm():
    searched = history(*DEFAULT, *falling("sampler", 12))
    again = history(*DEFAULT, *falling("sampler", 12), *rising("llm", 6, 0.9))
    again = replace(
        again, trials=[replace(t, confirms=1 if t.origin == "llm" else None) for t in again.trials]
    )
    assert standing(again, 8, 40, 2) == standing(searched, 8, 40, 2)


def test_good_trials_earn_a_larger_share_than_bad_ones():
    start = [*DEFAULT, *falling("sampler", 8)]
    good = standing(history(*start, *rising("llm", 6, 0.9)), 10, 40, 2)
    bad = standing(history(*start, *falling("llm", 9, -1.0), ("sampler", 0.6)), 10, 40, 2)
    assert good.share == MOST
    assert LEAST <= bad.share < 0.12
    assert "llm 6 of 6 good" in good.reason
    assert "llm 0 of 9 good" in bad.reason


def test_an_llm_that_nothing_is_known_of_is_taken_for_the_samplers_equal():
    for runs in (rising("sampler", 20), falling("sampler", 20)):
        now = standing(history(*DEFAULT, *runs), 4, 10_000, 2)
        assert now.share == pytest.approx(SHARE_AT_FIRST, abs=0.01)


def test_lower_is_better_when_minimizing():
    runs = [*DEFAULT, *[("sampler", 0.5)] * 6, *[("llm", 0.1 - n / 100) for n in range(3)]]
    assert track(history(*runs, direction="minimize"))["llm"].good == 3
    assert track(history(*runs))["llm"].good == 0


def test_the_share_falls_as_the_search_ripens_and_opens_on_a_plateau():
    def share(planned):
        return standing(history(*DEFAULT, *falling("sampler", 9)), 4, planned, 2).share

    assert share(100) > share(20) > share(12) > LEAST
    stuck = history(*DEFAULT, ("sampler", 0.9), *[("sampler", 0.1)] * 30)
    assert "plateau" in standing(stuck, 4, 33, 2).reason


def test_failures_in_a_row_shut_the_llm_out_for_a_while():
    start = [*DEFAULT, *rising("sampler", 10, 0.6)]
    failed = [*start, *[("llm", None)] * 3]
    assert "left out" in standing(history(*failed), 10, 100, 2).reason
    assert standing(history(*failed, *rising("sampler", 9, 0.7)), 10, 100, 2).slots == 0
    assert standing(history(*failed, *rising("sampler", 30, 0.7)), 40, 100, 2).slots > 0
    mixed = history(*start, *[("llm", None)] * 2, ("llm", 0.9))
    assert "left out" not in standing(mixed, 10, 100, 2).reason


ORIGINS = st.sampled_from(["llm", "sampler", "user", "default"])
VALUES = st.none() | st.floats(-10, 10)


@given(
    runs=st.lists(st.tuples(ORIGINS, VALUES), max_size=60),
    count=st.integers(1, 20),
    planned=st.integers(1, 80),
    dimensions=st.integers(1, 12),
)
def test_the_sampler_keeps_its_quarter_in_every_history(runs, count, planned, dimensions):
    view = history(*runs)
    now = standing(view, count, planned, dimensions)
    assert 0 <= now.slots <= count
    if len(runs) >= max(8, dimensions + 2):
        assert now.share <= MOST
        assert now.slots <= max(1, MOST * (count + WINDOW))


def test_an_llm_that_always_wins_gets_most_trials_and_one_that_never_does_gets_few():
    for value, least, most in ((0.0, 1, 10), (1.0, 60, 75)):
        runs = list(DEFAULT)
        while len(runs) < 120:
            slots = standing(history(*runs), 1, 120, 3).slots
            runs.append(("llm", value * len(runs)) if slots else ("sampler", 0.5))
        later = [origin for origin, _ in runs[20:]]
        assert least <= later.count("llm") <= most


def test_a_change_of_luck_shows_within_the_memory():
    def share(*runs):
        return standing(history(*DEFAULT, *runs), 1, 200, 3).share

    turns = [(("llm", 1.0 + n / 100), ("sampler", 0.4 + n / 1000)) for n in range(MEMORY)]
    lucky = [run for pair in turns for run in pair]
    unlucky = [("llm", 0.0), ("sampler", 2.0)] * MEMORY
    assert share(*lucky) == MOST
    assert share(*lucky, *unlucky) < 0.5 * share(*lucky)


def test_running_trials_are_not_judged():
    view = history(*DEFAULT, *rising("sampler", 8), ("llm", 0.9))
    running = replace(view.trials[-1], state=TrialState.RUNNING, value=None)
    before = track(replace(view, trials=[*view.trials[:-1], running]))
    assert before["llm"].good == before["llm"].other == 0
