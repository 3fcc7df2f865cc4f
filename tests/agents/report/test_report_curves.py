from dataclasses import replace

from report_samples import facts, study
from trials import trial

from agents.report.charts.curves import drawn_curves, within_scale
from agents.report.charts.history import drawn_points, improvements
from agents.report.charts.objective import objective_scale, pinned
from agents.report.charts.parallel import drawn_lines
from agents.report.page import html_page
from agents.trial import StudyView
from training.contract import Curve


def view(*values, direction="maximize"):
    trials = [
        replace(trial(number, value), curve=Curve([1, 2], [value / 2, value]))
        for number, value in enumerate(values)
    ]
    return StudyView("x", "metric", direction, trials)


GOOD = (0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87, 0.88)


def test_one_hopeless_trial_does_not_press_the_others_into_a_line():
    made = view(*GOOD, 0.1)
    assert objective_scale(made).low > 0.4
    assert pinned(made) == 1
    assert [t.number for t in within_scale(made, drawn_curves(made))] == list(range(9))
    page = html_page(made, facts())
    assert "1 trial lies beyond the scale" in page
    assert "1 curve of far worse trials runs along the edge" in page


def test_where_less_is_better_the_hopeless_trial_is_the_large_one():
    made = view(*GOOD, 1e30, direction="minimize")
    assert objective_scale(made).high < 2
    assert pinned(made) == 1


def test_a_best_trial_is_never_an_outlier():
    made = view(*[0.1] * 9, 0.9)
    assert pinned(made) == 0
    assert objective_scale(made).holds(0.9)


def test_an_improvement_is_what_beat_all_before_it():
    made = view(0.5, 0.4, 0.6, 0.6, 0.7)
    assert [t.number for t, _ in improvements(made)] == [0, 2, 4]
    lower = view(0.5, 0.4, 0.6, 0.4, 0.3, direction="minimize")
    assert [t.number for t, _ in improvements(lower)] == [0, 1, 4]


def test_thinning_keeps_improvements_and_the_best():
    made = study(4000)
    best = made.best.number
    kept = {t.number for t, _ in drawn_points(made)}
    assert len(kept) <= 800
    assert {t.number for t, _ in improvements(made)} <= kept
    curves = [t.number for t in drawn_curves(made)]
    assert len(curves) <= 200
    assert best in curves
    assert curves == sorted(curves)
    lines = drawn_lines(made)
    assert len(lines) <= 200
    assert lines[0][1].number == best
    assert [rank for rank, _, _ in lines] == sorted((rank for rank, _, _ in lines), reverse=True)
