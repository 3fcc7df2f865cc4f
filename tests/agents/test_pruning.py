"""Weak trials are asked to end: who, when, and what is said of it."""

import pytest
from trials import trial

from agents.config.model import PrunerSettings
from agents.pruning import judged_points, weak
from training.contract import MetricLine

MEDIAN = PrunerSettings(kind="median", startup_trials=3, warmup_steps=2)
OTHERS = [{1: 0.2, 2: 0.4, 3: 0.6}, {1: 0.3, 2: 0.5, 3: 0.7}, {1: 0.4, 2: 0.6, 3: 0.8}]


def lines(*values, name="accuracy"):
    return [MetricLine(step, 0.1, {name: value}) for step, value in enumerate(values, 1)]


def test_a_trial_behind_the_median_of_the_others_is_weak():
    found = weak({1: 0.3, 2: 0.45}, OTHERS, MEDIAN, "maximize")
    assert (found.step, found.best, found.median, found.others) == (2, 0.45, 0.5, 3)
    assert "0.45 at best after step 2" in str(found)
    assert weak({1: 0.3, 2: 0.5}, OTHERS, MEDIAN, "maximize") is None


def test_its_best_counts_and_not_its_last():
    assert weak({1: 0.55, 2: 0.1}, OTHERS, MEDIAN, "maximize") is None


def test_a_loss_that_is_higher_is_weak():
    assert weak({2: 0.6}, OTHERS, MEDIAN, "minimize") is not None
    assert weak({2: 0.15}, OTHERS, MEDIAN, "minimize") is None


@pytest.mark.parametrize(
    ("points", "others"),
    [
        ({}, OTHERS),
        ({1: 0.0}, OTHERS),  # warmup_steps
        ({2: 0.0}, OTHERS[:2]),  # startup_trials
        ({2: 0.0}, [*OTHERS[:2], {5: 0.9}]),  # the third says nothing of that step
    ],
)
def test_nobody_is_judged_too_early(points, others):
    assert weak(points, others, MEDIAN, "maximize") is None


def test_what_is_judged_is_the_objective_or_an_accuracy_that_tells_of_it():
    assert judged_points(lines(0.5, 0.6), "accuracy_auc") == {1: 0.5, 2: 0.6}
    assert judged_points(lines(2.0, 1.0, name="loss"), "loss") == {1: 2.0, 2: 1.0}
    assert judged_points(lines(0.5, 0.6), "final_loss") == {}


class Bench:
    """A watch, a ledger and a cluster in one, which keep what they are told."""

    def __init__(self, curves):
        self.curves, self.kept, self.asked = curves, {}, []

    def lines(self, one):
        return lines(*self.curves[one.number])

    def completed_points(self):
        return OTHERS

    def attributes(self):
        return self.kept

    def set_attribute(self, name, value):
        self.kept[name] = value

    def refs(self, trials):
        return [one.job.name for one in trials]

    def ask_to_end(self, names):
        assert self.kept, "why is entered first"
        self.asked += names

    def changed(self):
        pass


def test_each_is_asked_once_and_a_confirming_one_never():
    from agents.config.model import ObjectiveSettings
    from agents.outcome import Outcome
    from agents.pruning import Pruning
    from agents.trial import Job, TrialState

    bench = Bench({3: (0.1, 0.1), 4: (0.9, 0.9), 5: (0.1, 0.1)})
    running = [
        trial(3, job=Job("a", "a")), trial(4, job=Job("b", "b")),
        trial(5, job=Job("c", "c"), confirms=4),
    ]  # fmt: skip

    class Settings:
        pruner, objective = MEDIAN, ObjectiveSettings()

    pruning = Pruning(bench, bench, bench)
    due = pruning.due(running, Settings)
    assert list(due) == [3]
    pruning.end(running[:1], due)
    assert bench.asked == ["a"]
    assert pruning.due(running, Settings) == {}
    ended = pruning.as_seen(running[0], Outcome(TrialState.PRUNED))
    assert "0.1 at best after step 2" in ended.warnings[0]
    done = Outcome(TrialState.COMPLETED, value=0.9)
    assert pruning.as_seen(running[0], done) is done  # it did not look for STOP
