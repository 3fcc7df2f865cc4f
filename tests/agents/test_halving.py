"""Asynchronous successive halving: who goes on from a rung, and who is asked to end."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pruning import Bench
from trials import trial

from agents.config.model import FloatParameter, ObjectiveSettings, PrunerSettings
from agents.ledger import Ledger
from agents.outcome import Outcome, intermediate_values
from agents.pruning import Pruning, outranked, rung
from agents.space import SearchSpace
from agents.trial import Job, Proposal, TrialState
from training.contract import MetricLine

HALVING = PrunerSettings(kind="halving", startup_trials=2, warmup_steps=2, reduction_factor=3)
"""Rungs at 2, 6 and 18."""
OTHERS = [{1: 0.2, 2: 0.4}, {1: 0.3, 2: 0.5, 6: 0.9}, {2: 0.6, 4: 0.95}]


def test_rungs_lie_a_factor_apart_from_the_first_on():
    assert [rung(step, HALVING) for step in (-1, 1, 2, 5, 6, 17, 18, 53, 54)] == [
        None, None, 2, 2, 6, 6, 18, 18, 54,
    ]  # fmt: skip
    from_zero = HALVING.model_copy(update={"warmup_steps": 0})
    assert [rung(step, from_zero) for step in (0, 1, 3)] == [None, 1, 3]


def test_who_is_not_among_the_best_at_a_rung_is_weak():
    found = outranked({1: 0.1, 2: 0.45, 3: 0.99}, OTHERS, HALVING, "maximize")
    assert (found.step, found.best, found.rank, found.reached, found.go_on) == (2, 0.45, 3, 4, 1)
    assert str(found) == (
        "0.45 at best up to step 2, rank 3 of the 4 that came so far, of whom the best 1 go on"
    )
    assert outranked({1: 0.6, 2: 0.1}, OTHERS, HALVING, "maximize") is None  # its best counts


def test_a_larger_part_goes_on_where_more_have_come():
    others = [{2: value / 10} for value in range(8)]
    assert outranked({2: 0.45}, others, HALVING, "maximize").go_on == 3
    assert outranked({2: 0.55}, others, HALVING, "maximize") is None


def test_it_is_judged_at_the_last_rung_that_it_has_passed():
    others = [{2: 0.9, 6: value} for value in (0.1, 0.2)]
    assert outranked({1: 0.0, 7: 0.3}, others, HALVING, "maximize") is not None  # 0.0 up to 6
    assert outranked({6: 0.9, 7: 0.0}, others, HALVING, "maximize") is None
    only_later = {7: 0.0}  # no value up to the rung
    assert outranked(only_later, others, HALVING, "maximize") is None


@pytest.mark.parametrize(
    ("points", "others"),
    [
        ({}, OTHERS),
        ({1: 0.0}, OTHERS),  # warmup_steps
        ({2: 0.0}, OTHERS[:1]),  # startup_trials
        ({6: 0.0}, OTHERS),  # one other has come to step 6
        ({2: 0.0}, [OTHERS[0], {1: 0.9}]),  # the second has not come to step 2
        ({2: 0.0}, [OTHERS[0], {7: 0.9}]),  # … or says nothing of what it had there
    ],
)
def test_nobody_is_judged_too_early(points, others):
    assert outranked(points, others, HALVING, "maximize") is None


VALUES = st.floats(-1, 1).map(lambda value: round(value, 1))
CURVES = st.dictionaries(st.integers(0, 20), VALUES, max_size=8)
FIELDS = st.lists(CURVES, max_size=12)
SETTINGS = st.builds(
    lambda first, factor, startup: PrunerSettings(
        kind="halving", warmup_steps=first, reduction_factor=factor, startup_trials=startup
    ),
    st.integers(0, 4),
    st.integers(2, 5),
    st.integers(1, 4),
)


def mirrored(points):
    return {step: -value for step, value in points.items()}


@given(CURVES, FIELDS, SETTINGS)
def test_a_loss_is_judged_as_its_negative(points, others, settings):
    up = outranked(points, others, settings, "maximize")
    down = outranked(mirrored(points), [mirrored(one) for one in others], settings, "minimize")
    assert (up is None) == (down is None)
    if up is not None:
        assert (up.step, up.rank, up.reached, up.best) == (
            down.step, down.rank, down.reached, -down.best,
        )  # fmt: skip


@given(CURVES, FIELDS, SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_the_others_does_not_matter(points, others, settings, chance):
    mixed = chance.sample(others, len(others))
    assert outranked(points, others, settings, "maximize") == outranked(
        points, mixed, settings, "maximize"
    )


@given(CURVES.filter(bool), FIELDS, SETTINGS)
def test_the_best_at_a_rung_goes_on_and_a_share_of_all(points, others, settings):
    everybody = [points, *others]
    step = rung(max(points), settings)
    here = [one for one in everybody if step is not None and max(one, default=-1) >= step]
    here = [one for one in here if min(one) <= step]
    ended = [
        one
        for place, one in enumerate(everybody)
        if any(one is each for each in here)
        and rung(max(one), settings) == step
        and outranked(one, everybody[:place] + everybody[place + 1 :], settings, "maximize")
    ]
    best = max((value for one in here for at, value in one.items() if at <= step), default=None)
    assert all(max(v for at, v in one.items() if at <= step) < best for one in ended)
    assert len(here) - len(ended) >= len(here) // settings.reduction_factor


@given(CURVES, FIELDS, SETTINGS)
def test_who_is_weak_has_enough_better_ones_before_it(points, others, settings):
    found = outranked(points, others, settings, "maximize")
    if found is not None:
        ahead = [
            one
            for one in others
            if any(v > found.best for at, v in one.items() if at <= found.step)
        ]
        assert found.rank - 1 <= len(ahead)
        assert found.rank > found.go_on >= 1
        assert found.reached > settings.startup_trials


class Field(Bench):
    """Also the points of those that do not run."""

    def points(self):
        return {number: dict(enumerate(curve, 1)) for number, curve in self.curves.items()}


class Settings:
    pruner, objective = HALVING, ObjectiveSettings()


def running(*numbers, **options):
    return [trial(n, job=Job(f"job{n}", f"job{n}"), **options) for n in numbers]


def test_running_ended_and_pruned_trials_are_compared_and_confirming_ones_neither_way():
    field = Field({0: (0.9, 0.9), 1: (0.5, 0.5), 2: (0.3, 0.3), 3: (0.2,), 4: (0.1, 0.1)})
    confirming = running(4, confirms=0)
    field.points = lambda: {n: p for n, p in Field.points(field).items() if n != 4}
    due = Pruning(field, field, field).due([*running(1, 2, 3), *confirming], Settings)
    assert list(due) == [1, 2]
    assert (due[1].rank, due[2].rank, due[2].reached) == (2, 3, 3)


def test_what_a_poll_has_just_seen_counts_before_the_ledger_has_it():
    field = Field({0: (0.9, 0.9), 1: (0.5, 0.5), 2: (0.3, 0.3)})
    field.points = lambda: {0: {}, 1: {}, 2: {}}
    assert list(Pruning(field, field, field).due(running(0, 1, 2), Settings)) == [1, 2]


def test_each_is_judged_once_at_a_rung():
    field = Field({0: (0.5, 0.5), 1: (0.3, 0.3), 2: (0.2, 0.2)})
    pruning = Pruning(field, field, field)
    assert list(pruning.due(running(0), Settings)) == []
    field.curves[0] = (0.5, 0.5, 0.5)
    field.curves |= {1: (0.9, 0.9), 2: (0.8, 0.8)}
    assert list(pruning.due(running(0), Settings)) == []  # it was the best when it came
    for number in range(3):
        field.curves[number] = (*field.curves[number][:2], *[field.curves[number][0]] * 4)
    assert list(pruning.due(running(0), Settings)) == [0]  # the next rung


def test_who_was_found_weak_stays_so_until_it_was_asked():
    """The cluster was away: asking is tried again at the next poll."""
    field = Field({0: (0.9, 0.9), 1: (0.8, 0.8), 2: (0.2, 0.2)})
    pruning = Pruning(field, field, field)
    assert list(pruning.due(running(2), Settings)) == [2]
    assert list(pruning.due(running(2), Settings)) == [2]
    pruning.end(running(2), pruning.due(running(2), Settings))
    assert field.asked == ["job2"]
    assert list(pruning.due(running(2), Settings)) == []


def test_a_loss_that_is_no_number_at_a_step_is_not_its_accuracy():
    lines = [
        MetricLine(1, 0.1, {"loss": 2.0, "accuracy": 0.4}),
        MetricLine(2, 0.2, {"loss": None, "accuracy": 0.1}),
    ]
    assert intermediate_values(lines, "loss") == {1: 2.0}
    assert intermediate_values(lines, "accuracy_auc") == {1: 0.4, 2: 0.1}


def test_the_ledger_gives_the_points_of_all_but_those_that_confirm():
    settings = {"x": FloatParameter(type="float", low=0, high=1)}
    ledger = Ledger.open("sqlite://", "s", "maximize", SearchSpace.build(settings, []))
    proposals = [Proposal({"x": 0.1}, "sampler"), Proposal({"x": 0.2}, "sampler")]
    proposals.append(Proposal({"x": 0.1}, "sampler", confirms=0))
    for number, proposal in enumerate(proposals):
        ledger.add(proposal, 1, 0)
        ledger.report(number, {1: 0.5, 2: number / 10})
    ledger.finish(0, Outcome(TrialState.PRUNED), datetime.now(UTC))
    assert ledger.points() == {0: {1: 0.5, 2: 0.0}, 1: {1: 0.5, 2: 0.1}}
    assert ledger.completed_points() == []
