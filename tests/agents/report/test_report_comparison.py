from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from report_markup import Page, coordinates, pictures
from report_runs import CONFIG, with_job
from report_samples import START, facts, study
from report_views import studies
from trials import START as JOBS_BEGAN
from trials import job, trial, view

from agents.errors import ConfigurationError
from agents.report.comparison import Contender, comparison_page, letter, settings_that_differ
from agents.report.cost import cost
from agents.report.numbers import MISSING
from agents.report.progression import progression
from agents.trial import StudyView

HOSTILE = "</style><script>alert(1)</script>\"'&{{ 7 * 7 }}\x00\x1b[31m\u202e"


def contender(name, count=24, seed=1, configuration=CONFIG, **changes):
    view = study(count, seed=seed)
    view = replace(view, trials=[with_job(trial) for trial in view.trials])
    return Contender(name, view, facts(configuration=configuration, **changes))


def test_the_page_tells_who_is_best_with_what_and_how_they_differ():
    other = CONFIG.replace("kind: sampler", "kind: hybrid").replace("seed: 7", "seed: 8")
    other += "directories: {local_base: elsewhere}\n"
    runs = [contender("first"), contender("second", 40, 2, other)]
    words = Page(page := comparison_page(runs)).text
    assert Page(page).faults == []
    best = max(runs, key=lambda run: run.view.best.value)
    assert f"{best.name} has the best trial" in words
    for run in runs:
        assert run.name in words
        assert f"{run.view.best.value:.4f} {run.view.best.number} {len(run.view.trials)}" in words
    assert "experiment.seed 7 8" in words
    assert "proposer.kind sampler hybrid" in words
    assert "local_base" not in words
    assert "search_space" not in words.split("Settings that differ")[1]
    assert "Not the same search" not in words
    assert words.count("Over ") == 3


def test_runs_of_other_programs_are_flagged():
    runs = [contender("a"), contender("b", configuration=CONFIG.replace("train.py", "tune.py"))]
    assert "The runs differ in training: their values" in Page(comparison_page(runs)).text


def test_of_commands_only_the_words_that_not_all_have_are_shown():
    def command(*words):
        return (
            f"training: {{command: {[*words]}}}\nsearch_space: {{x: {{type: fixed, value: 1}}}}\n"
        )

    plain = ["python", "train.py", "--lr", "{lr}", "--epochs", "{epochs}"]
    longer = [*plain[:2], "--momentum", "{momentum}", *plain[2:], "--seed", "{seed}"]
    other = ["python", "tune.py", *plain[2:]]
    found = settings_that_differ([command(*words) for words in (plain, longer, other)])
    cells = ["train.py", "train.py --momentum {momentum} … --seed {seed}", "tune.py"]
    assert found == [("training.command", cells)]
    without = "training: {}\nsearch_space: {x: {type: fixed, value: 1}}\n"
    found = settings_that_differ([command(*plain), command(*plain, "--fast"), without])
    assert ("training.command", [MISSING, "--fast", MISSING]) in found


def test_two_runs_that_are_as_good_are_told_so():
    same = [contender("a"), contender("b")]
    words = Page(comparison_page(same)).text
    assert "a has the best trial, as good as that of b." in words


@pytest.mark.parametrize("change", [{"metric": "loss"}, {"direction": "minimize"}])
def test_runs_of_different_objectives_are_refused(change):
    one, other = contender("a"), contender("b")
    other = Contender("b", replace(other.view, **change), other.facts)
    with pytest.raises(ConfigurationError, match="runs of one objective"):
        comparison_page([one, other])


def test_empty_runs_and_the_same_run_twice_make_a_page():
    words = Page(comparison_page([contender("a", 0), contender("a", 0)])).text
    assert "No result yet" in words and "There is nothing to draw yet" in words
    assert "a (2)" in Page(comparison_page([contender("a"), contender("a")])).text
    assert "The runs have the same settings" in Page(comparison_page([contender("a")] * 2)).text


def test_letters_go_on_after_z():
    assert [letter(n) for n in (0, 25, 26, 27, 51, 52)] == ["A", "Z", "AA", "AB", "AZ", "BA"]


def test_the_page_of_forty_runs_is_well_formed():
    page = comparison_page([contender(f"run {n}", 6, n) for n in range(40)])
    assert Page(page).faults == []
    pictures(page)


@settings(max_examples=25)
@given(made=studies(most=8))
def test_any_studies_make_well_formed_pictures(made):
    view, space = made
    runs = [Contender("a", view, facts(parameters=space)), Contender("b", view, facts())]
    page = comparison_page(runs)
    assert Page(page).faults == []
    for picture in pictures(page):
        assert all(abs(float(number)) < 1e5 for number in coordinates(picture))


def test_nothing_that_others_wrote_becomes_markup():
    run = contender(HOSTILE, configuration=f"a: {HOSTILE!r}\nb: 1\n", stop_reason=HOSTILE)
    page = comparison_page([run, replace_parameters(run)])
    assert "script" not in {tag for tag, _ in Page(page).tags}
    assert "\u202e" not in page
    pictures(page)


def replace_parameters(run):
    trials = [replace(t, parameters={HOSTILE: HOSTILE}) for t in run.view.trials]
    return Contender(HOSTILE, replace(run.view, trials=trials), facts(configuration="b: 2\n"))


def test_the_policy_allows_no_script_at_all():
    policies = [a for _, a in Page(comparison_page([contender("a")] * 2)).tags if "http-equiv" in a]
    assert policies[0]["content"].startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policies[0]["content"]


def test_secrets_stay_references():
    one = "cluster: {environment: {KEY: '${MY_KEY}'}}\n"
    found = settings_that_differ([one, "cluster: {environment: {KEY: '${OTHER}'}}\n"])
    assert found == [("cluster.environment.KEY", ["${MY_KEY}", "${OTHER}"])]


def test_trials_count_in_the_order_in_which_they_ended():
    late = replace(trial(0, 0.5), finished_at=START + timedelta(hours=2))
    early = replace(trial(1, 0.4), finished_at=START + timedelta(hours=1))
    line = progression("a", StudyView("x", "m", "maximize", [late, early]), facts())
    assert [(step.trial, step.trials, step.time) for step in line.steps] == [(1, 1, 1), (0, 2, 2)]


def test_trials_that_share_a_job_cost_once_and_the_curve_ends_where_the_table_does():
    packed = [
        trial(n, 0.1 * n, job=job(1 + n % 2, nodes=4, pack=f"pack_{n // 4}"), finished_at=START)
        for n in range(8)
    ]
    known = view(*packed, trial(8, job=job(nodes=2)))
    now = facts(updated_at=JOBS_BEGAN + timedelta(hours=5))
    line = progression("a", known, now)
    assert [step.node_hours for step in line.steps] == [4, 8, 8, 8, 12, 16, 16, 16]
    assert line.node_hours == cost(known, now).node_hours == 26


def test_time_in_which_nobody_was_at_work_is_left_out():
    hour = timedelta(hours=1)
    found = [
        trial(n, 0.1 * n, finished_at=START + after * hour) for n, after in enumerate([1, 9, 30])
    ]
    idle = [(START + 2 * hour, START + 8 * hour), (START + 10 * hour, START + 29 * hour)]
    line = progression("a", view(*found), facts(started_at=START, idle=idle))
    assert [step.time for step in line.steps] == [1, 3, 5]


def test_the_best_so_far_counts_what_ended_before_it():
    run = contender("a", 24)
    line = progression("a", run.view, run.facts)
    ended = sorted(
        (t for t in run.view.trials if t.state.is_finished), key=lambda t: (t.finished_at, t.number)
    )
    assert line.trials == len(ended)
    assert line.steps[-1].value == run.view.best.value
    assert [step.value for step in line.steps] == sorted(step.value for step in line.steps)
    last = line.steps[-1]
    assert ended[int(last.trials) - 1].number == run.view.best.number
    assert last.time == pytest.approx((run.view.best.finished_at - START) / timedelta(hours=1))
    assert 0 < last.node_hours <= line.node_hours
