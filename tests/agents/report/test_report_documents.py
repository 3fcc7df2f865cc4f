import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import facts, study
from report_views import studies
from trials import trial as completed

from agents.report import write_iteration, write_summary
from agents.report.documents import iteration_document, summary_document
from agents.report.iteration import iteration_markdown
from agents.report.markdown import code, escape, fenced
from agents.report.study import finite, gain_of, until
from agents.trial import StudyView, TrialState
from scheduler.job import Cause, Failure
from training.contract import to_json_bytes


def test_an_iteration_holds_its_trials_whole_and_the_best_before_and_after():
    view = study(20)
    document = iteration_document(view, facts(), 3)
    assert [trial["trial"] for trial in document["trials"]] == [8, 9, 10, 11]
    assert sum(document["counts"].values()) == 4
    assert document["best"]["trial"] == until(view, 3).best.number
    assert document["best_before"]["trial"] == until(view, 2).best.number
    first = document["trials"][0]
    assert first["curve"]["accuracy"] == list(view.trials[8].curve.accuracy)
    assert first["parameters"] == dict(view.trials[8].parameters)


def test_an_iteration_reads_the_same_whatever_came_after_it():
    early, late = study(40), replace(study(40), trials=study(40).trials[:12])
    assert iteration_document(early, facts(), 3) == iteration_document(late, facts(), 3)
    assert iteration_markdown(early, facts(), 3) == iteration_markdown(late, facts(), 3)


def test_an_iteration_is_written_as_markdown_and_json(tmp_path):
    written = write_iteration(study(12), facts(), tmp_path, 2)
    assert [path.name for path in written] == ["iteration_002.md", "iteration_002.json"]
    assert json.loads(written[1].read_text())["iteration"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in written)


def test_the_markdown_tells_what_why_how_and_what_failed():
    view = study(40, failures=0.3)
    iteration = next(t.iteration for t in view.trials if t.failure and t.failure.stderr_tail)
    told = iteration_markdown(view, facts(), iteration)
    trials = [trial for trial in view.trials if trial.iteration == iteration]
    for trial in trials:
        assert f"| {trial.number} | {trial.state.value} |" in told
        assert escape(trial.rationale) in told
        if trial.failure:
            assert f"**Trial {trial.number}: {trial.failure.cause.value}.**" in told
            assert trial.failure.stderr_tail in told
    best = until(view, iteration).best
    assert f"Trial {best.number} (" in told.split("## Best now")[1]


def test_the_verdict_names_the_new_best_and_the_old_one():
    view = study(8, failures=0, per_iteration=1)
    values = {1: 0.5, 2: 0.7, 3: 0.6}
    trials = [
        replace(trial, state=TrialState.COMPLETED, value=values.get(trial.iteration, 0.1))
        for trial in view.trials
    ]
    view = replace(view, trials=trials)
    assert "trial 0 is the first best with 0.5000" in iteration_markdown(view, facts(), 1)
    assert "trial 1 is the new best with 0.7000 (+0.2 on trial 0)" in iteration_markdown(
        view, facts(), 2
    )
    assert "trial 1 remains the best with 0.7000" in iteration_markdown(view, facts(), 3)
    assert iteration_document(view, facts(), 2)["improvement"] == pytest.approx(0.2)
    assert iteration_document(view, facts(), 3)["improvement"] == 0


def test_the_summary_counts_and_names_the_best(tmp_path):
    view = study(60)
    path = write_summary(view, facts(), tmp_path / "summary.json")
    summary = json.loads(path.read_text())
    states = [trial.state.value for trial in view.trials]
    assert summary["schema"] == 1
    assert summary["best"]["trial"] == view.best.number
    assert summary["best"]["parameters"] == dict(view.best.parameters)
    assert summary["counts"] == {s.value: states.count(s.value) for s in TrialState}
    assert sum(summary["failures"].values()) == states.count("failed")
    assert sum(origin["trials"] for origin in summary["origins"].values()) == 60
    assert summary["totals"]["iterations"] == 15
    assert summary["gain"]["baseline_trial"] == 0
    assert summary["gain"]["absolute"] == pytest.approx(view.best.value - view.trials[0].value)
    assert summary["stop_reason"] == facts().stop_reason


def test_the_summary_of_an_empty_run_has_no_best():
    summary = summary_document(study(0), facts(stop_reason=None))
    assert summary["best"] is summary["gain"] is summary["stop_reason"] is None
    assert summary["totals"] == {"trials": 0, "iterations": 0, "trial_seconds": 0}


@pytest.mark.parametrize(("direction", "gain"), [("maximize", 0.5), ("minimize", -0.25)])
def test_a_gain_is_measured_from_the_default_or_else_the_first(direction, gain):
    default = replace(completed(1, 0.5), origin="default")
    measured = gain_of(
        _view(completed(0, 0.25), default, completed(2, 1.0), completed(3, 0.25), to=direction)
    )
    assert measured.baseline.number == 1
    assert (measured.absolute, measured.relative) == (gain, gain / 0.5)
    assert gain_of(_view(completed(0, 0.5), completed(1, 0.75))).baseline.number == 0
    assert gain_of(_view(completed(0, 0.5), completed(1, 0.25))) is None
    assert gain_of(_view(completed(0, 0.0), completed(1, 0.25))).relative is None


def _view(*trials, to="maximize"):
    return StudyView("x", "metric", to, trials)


def test_an_objective_that_is_no_number_is_no_result():
    view = study(3, failures=0)
    trials = [replace(trial, value=float("nan")) for trial in view.trials]
    assert finite(replace(view, trials=trials)).best is None


@settings(max_examples=50)
@given(made=studies())
def test_any_study_makes_valid_documents(made):
    view, space = made
    view, run = finite(view), facts(parameters=space)
    for document in (summary_document(view, run), iteration_document(view, run, 1)):
        json.loads(to_json_bytes(document))
    assert iteration_markdown(view, run, 1).encode()


@given(st.text())
def test_escaped_text_is_one_line_without_markup(text):
    escaped = escape(text)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]|]", escaped)


@given(st.text())
def test_a_code_span_cannot_be_left_from_within(text):
    span = code(text)
    fence = re.match("`+", span)[0]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]
    assert "\n" not in span


@given(st.text(alphabet="`a\n", max_size=40))
def test_a_fenced_block_cannot_be_closed_from_within(text):
    first, *inside, last = fenced(text).split("\n")
    fence = first.removesuffix("text")
    assert last == fence
    assert not any(line.startswith(fence) for line in inside)


def test_hostile_words_stay_words_in_markdown():
    hostile = "<script>alert(1)</script> | [x](javascript:alert(1)) `x` **x** {{ 7*7 }}\n# x"
    view = study(2, failures=0)
    failure = Failure(Cause.PROGRAM_ERROR, hostile, 1, hostile, hostile)
    trials = [
        replace(
            trial,
            rationale=hostile,
            fallback_reason=hostile,
            failure=failure,
            warnings=[hostile],
            parameters={hostile: hostile},
        )
        for trial in view.trials
    ]
    told = iteration_markdown(replace(view, trials=trials), facts(experiment=hostile), 1)
    outside = re.sub(r"(`+)[^`].*?\1", "", told, flags=re.DOTALL)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert "49" not in told
    rows = [line for line in told.splitlines() if line.startswith("| 0 ")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 9
