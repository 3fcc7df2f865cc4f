"""What an LLM's proposals have earned: shares from histories."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agents.proposers.standing import MOST, SEEDS, standing, track
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


DEFAULT = [("default", 0.5)]


def test_the_llm_has_the_first_seeds_then_the_space_is_filled():
    assert standing(history(*DEFAULT), 2, 40, 2).slots == 2
    assert standing(history(*DEFAULT, ("llm", 0.1), ("llm", 0.6)), 2, 40, 2).slots == 1
    seeded = [*DEFAULT, *rising("llm", SEEDS)]
    assert standing(history(*seeded), 4, 40, 2).slots == 0
    assert standing(history(*seeded, *rising("sampler", 4)), 8, 40, 2).slots > 0
    assert standing(history(*seeded, *rising("sampler", 4)), 8, 40, 9).slots == 0


def test_seeds_that_are_all_worse_than_the_default_end_early():
    for worse in (0.4, None):
        assert standing(history(*DEFAULT, ("llm", worse)), 2, 40, 2).slots == 0
    minimizing = history(*DEFAULT, ("llm", 0.4), direction="minimize")
    assert standing(minimizing, 2, 40, 2).slots == 2
    assert standing(history(("llm", 0.4)), 2, 40, 2).slots == 2


def test_good_trials_earn_a_larger_share_than_bad_ones():
    start = [*DEFAULT, *rising("sampler", 8)]
    good = standing(history(*start, *rising("llm", 6, 0.9)), 10, 40, 2)
    bad = standing(history(*start, *rising("llm", 6, -1.0)), 10, 40, 2)
    assert good.share > 3 * bad.share > 0
    assert "llm 6 of 6 good" in good.reason
    assert "llm 0 of 6 good" in bad.reason


def test_lower_is_better_when_minimizing():
    runs = [*DEFAULT, *[("sampler", 0.5)] * 6, *[("llm", 0.1 - n / 100) for n in range(3)]]
    assert track(history(*runs, direction="minimize"))["llm"].good == 3
    assert track(history(*runs))["llm"].good == 0


def test_the_share_falls_as_the_search_ripens_and_opens_on_a_plateau():
    def share(done):
        return standing(history(*DEFAULT, *rising("sampler", done, 0.6)), 4, 100, 2).share

    assert share(20) > share(60) > share(90) > 0
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
def test_the_sampler_keeps_its_half_in_every_history(runs, count, planned, dimensions):
    view = history(*runs)
    now = standing(view, count, planned, dimensions)
    assert 0 <= now.slots <= count
    if len(runs) >= max(8, dimensions + 2):
        assert now.share <= MOST
        assert now.slots <= max(1, 0.5 * count + 5)


def test_over_a_whole_search_the_llm_never_has_more_than_half():
    for value in (0.0, 1.0):
        runs = list(DEFAULT)
        while len(runs) < 120:
            slots = standing(history(*runs), 1, 120, 3).slots
            runs.append(("llm", value + len(runs)) if slots else ("sampler", 0.5))
        later = [origin for origin, _ in runs[20:]]
        assert later.count("llm") <= 0.5 * len(later)
        assert later.count("llm") > 0


def test_running_trials_are_not_judged():
    view = history(*DEFAULT, *rising("sampler", 8), ("llm", 0.9))
    running = replace(view.trials[-1], state=TrialState.RUNNING, value=None)
    before = track(replace(view, trials=[*view.trials[:-1], running]))
    assert before["llm"].good == before["llm"].other == 0
