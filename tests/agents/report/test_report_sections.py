import itertools
import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_markup import Page
from report_runs import with_job
from report_samples import START, facts, study
from trials import failed, trial, view

from agents.cost import node_hours
from agents.report.ahead import leads, told
from agents.report.charts.timeline import FEW_SPANS, MOST_ROWS, timeline_chart, timeline_note
from agents.report.cost import cost, cost_section
from agents.report.documents import summary_document
from agents.report.page import html_page
from agents.report.reasoning import MOST_SHOWN, judged, reasoning
from agents.report.reproduction import reproduction
from agents.report.surroundings import differences
from agents.report.usage import UsageReader, usage_of
from agents.spans import lanes, spans
from agents.tradeoff import Point, front, points
from agents.trial import Job, PastAttempt, Second, TrialState
from scheduler.job import Cause, Failure, Resources


def at(seconds):
    return START + timedelta(seconds=seconds)


def job(submitted, started, ended, *, attempt=1, **more):
    moments = [at(s) if s is not None else None for s in (submitted, started, ended)]
    return Job(f"job.{attempt}", "d", attempt, "1", *moments, **more)


def done(number, submitted, started, ended, **more):
    resources = more.pop("resources", Resources())
    pack = more.pop("pack", None)
    own = job(submitted, started, ended, resources=resources, pack=pack)
    return replace(
        trial(number, 0.5, seconds=more.pop("seconds", ended - started)), job=own, **more
    )


LATER = facts(updated_at=at(1000), started_at=START)


# -- spans and cost


def test_an_attempt_waits_and_runs_and_so_does_the_next():
    lost = PastAttempt(job(0, 10, 40), Failure(Cause.NODE_FAILURE, "gone"))
    second = replace(done(0, 50, 80, 200, seconds=110.0), attempts=(lost,))
    first, last = spans(view(second), at(1000))
    assert (first.queued, first.ran, first.cause) == (10, 30, "node failure")
    assert (last.queued, last.ran, last.cause) == (30, 110, "")


def test_a_job_that_never_ran_waited_to_its_end():
    (span,) = spans(view(replace(failed(0), job=job(5, None, 65))), at(1000))
    assert (span.queued, span.ran, span.started) == (60, 0, None)


def test_a_job_in_flight_lasts_until_now():
    (span,) = spans(view(replace(trial(0), job=job(5, None, None))), at(65))
    assert span.in_flight and span.ended == at(65)


@pytest.mark.parametrize(("started", "ended"), [(-9, 50), (80, 50), (20, -5)])
def test_times_out_of_order_make_no_negative_wait_or_run(started, ended):
    """Clocks of two machines may disagree."""
    odd = replace(trial(0, 0.5), job=job(0, started, ended))
    (span,) = spans(view(odd), at(1000))
    assert span.queued >= 0 and span.ran >= 0
    assert span.submitted <= span.started <= span.ended


def test_a_ledger_that_kept_no_start_has_it_from_the_programs_own_time():
    old = replace(done(0, 0, 0, 100, seconds=70.0), job=job(0, None, 100))
    assert spans(view(old), at(1000))[0].queued == 30


def test_node_hours_are_those_that_the_budget_counts():
    nodes = Resources(nodes=3, gpus=4)
    found = view(*(done(n, 0, 10, 3610, resources=nodes) for n in range(4)))
    spent = cost(found, LATER)
    assert spent.node_hours == pytest.approx(12) == node_hours(found)
    assert spent.gpu_hours == pytest.approx(48)
    assert (spent.jobs, spent.queued_seconds) == (4, 40)


def test_attempts_that_failed_cost_too_and_trials_that_share_a_job_cost_once():
    lost = PastAttempt(job(0, 0, 1800), Failure(Cause.PREEMPTED, "gone"))
    again = done(0, 1800, 1800, 5400)
    again = replace(again, job=replace(again.job, attempt=2), attempts=(lost,))
    spent = cost(view(again), LATER)
    assert (spent.node_hours, spent.lost_node_hours, spent.jobs) == (1.5, 0.5, 2)
    assert node_hours(view(again)) == 1.5
    shared = [done(n, 0, 0, 3600, pack="pack_0000") for n in range(4)]
    assert cost(view(*shared), LATER).node_hours == 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_no_two_jobs_of_a_lane_are_there_at_a_time(times):
    found = spans(view(*(done(n, a, a, a + b) for n, (a, b) in enumerate(times))), at(1000))
    chosen = lanes(found)
    at_once = [sum(o.submitted <= s.submitted < o.ended for o in found) for s in found]
    for lane in set(chosen):
        own = [span for span, place in zip(found, chosen, strict=True) if place == lane]
        assert all(a.ended <= b.submitted for a, b in itertools.pairwise(own))
    if found:
        assert max(chosen) + 1 <= max([1, *at_once]) + sum(s.ended == s.submitted for s in found)


def test_the_timeline_has_a_bar_for_each_wait_and_run_that_can_be_pointed_at():
    found = spans(replace(study(30), trials=[with_job(t) for t in study(30).trials]), at(9000))
    svg = timeline_chart(found, START, "x", 880)
    attempts = sum(1 + len(with_job(t).attempts) for t in study(30).trials)
    ran = sum(span.started is not None and not span.in_flight for span in found)
    assert len(found) == attempts
    assert len(re.findall(r'class="ran ', svg)) == ran
    assert len(re.findall(r'class="waited"', svg)) == attempts - 1
    failures = sum(bool(span.cause) for span in found)
    assert len(re.findall(r'class="mark failed"', svg)) == failures > 0
    assert "attempt 1, sampler: waited 8.0 s, ran 17.0 s, node failure" in svg
    assert "One row a trial" in timeline_note(found)


def test_a_thousand_jobs_make_a_small_timeline():
    found = spans(view(*(done(n, 7 * n, 7 * n + 3, 7 * n + 60) for n in range(1000))), at(9000))
    assert len(found) > FEW_SPANS
    assert len(timeline_chart(found, START, "x", 880)) < 80_000
    assert "At most 9 jobs at a time" in timeline_note(found)


def test_more_jobs_at_once_than_can_be_drawn_are_said():
    found = spans(view(*(done(n, 0, 3, 60) for n in range(150))), at(9000))
    assert timeline_chart(found, START, "x", 360)
    assert f"50 jobs beyond {MOST_ROWS} at a time are left out" in timeline_note(found)


def test_the_cost_is_told_by_who_proposed_and_with_what_the_llm_took():
    used = usage_of({"usage": {"input_tokens": 1200, "output_tokens": 34}, "cost": 0.5})
    section = cost_section(view(done(0, 0, 0, 3600)), facts(usage=used))
    assert ("node-hours", "1") in section["figures"]
    assert ("tokens in", "1\N{NARROW NO-BREAK SPACE}200") in section["figures"]
    assert ("for the LLM", "0.50") in section["figures"]
    assert section["rows"] == [["sampler", "1", "0", "1", "0.5000"]]
    assert cost_section(view(trial(0)), facts()) is None


def test_exchanges_add_up_whatever_they_hold(tmp_path):
    documents = [
        {
            "usage": {"input_tokens": 10, "output_tokens": 2},
            "cost": {"amount": 1, "currency": "EUR"},
        },
        {"usage": {"prompt_tokens": 5, "completion_tokens": 1}, "seconds": 2.5},
        {"error": "away", "usage": None},
        {"usage": [], "cost": "?"},
        [1],
    ]
    for number, document in enumerate(documents):
        (tmp_path / f"trial_0000_{number:02d}.json").write_text(json.dumps(document))
    (tmp_path / "trial_0009_01.json").write_text("{half")
    reader = UsageReader(tmp_path)
    used = reader.read()
    assert (used.exchanges, used.unanswered, used.unpriced) == (4, 1, 2)
    assert (used.input_tokens, used.output_tokens, used.seconds) == (15, 3, 2.5)
    assert used.money == {"EUR": 1}
    (tmp_path / "trial_0000_00.json").write_text("{}")
    assert reader.read() == used, "a file is read once"
    assert UsageReader(tmp_path / "none").read().exchanges == 0


# -- trade-off


pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25)


@given(pairs, st.sampled_from(["maximize", "minimize"]), st.sampled_from(["maximize", "minimize"]))
def test_the_front_is_what_nothing_beats(values, first, second):
    found = [Point(trial(n, float(a)), float(a), float(b)) for n, (a, b) in enumerate(values)]
    up, right = (1 if d == "maximize" else -1 for d in (first, second))

    def beats(one, other):
        gains = up * (one.value - other.value), right * (one.second - other.second)
        return min(gains) >= 0 and max(gains) > 0

    kept = front(found, first, second)
    unbeaten = {(p.value, p.second) for p in found if not any(beats(q, p) for q in found)}
    assert {(p.value, p.second) for p in kept} == unbeaten
    assert len(kept) == len(unbeaten)


def test_the_second_metric_is_the_training_time_or_what_is_configured():
    known = view(
        trial(0, 0.5, seconds=10.0, metrics={"size": 3.0}), trial(1, 0.7, seconds=20.0, metrics={})
    )
    assert [p.second for p in points(known, facts().second)] == [10, 20]
    by_size = facts(second=Second("size", "minimize"))
    assert [(p.trial.number, p.second) for p in points(known, by_size.second)] == [(0, 3)]


def test_the_page_shows_the_front_of_the_configured_metric():
    trials = [
        trial(n, value, metrics={"flops": flops}, parameters={"dropout": 0.1})
        for n, (value, flops) in enumerate([(0.5, 10.0), (0.6, 30.0), (0.4, 20.0)])
    ]
    words = Page(html_page(view(*trials), facts(second=Second("flops", "minimize")))).text
    assert "accuracy_auc against flops" in words
    assert "trial accuracy_auc flops by 0 0.5000 10 sampler 1 0.6000 30 sampler" in words


# -- who is ahead, and why


def race(*values):
    return view(*(replace(trial(n, v), origin=o) for n, (o, v) in enumerate(values)))


def test_the_lead_changes_where_the_other_gets_better():
    found = race(("sampler", 0.5), ("llm", 0.4), ("llm", 0.6), ("llm", 0.7), ("sampler", 0.8))
    assert [(lead.origin, lead.trial.number) for lead in leads(found)] == [
        ("sampler", 0), ("llm", 2), ("sampler", 4),
    ]  # fmt: skip
    assert told(found).startswith("The sampler is ahead with 0.8000; the LLM has 0.7000.")
    assert "The lead changed 2 times, last with trial 4." in told(found)
    assert [lead.origin for lead in leads(replace(found, direction="minimize"))] == [
        "sampler",
        "llm",
    ]


def test_a_proposal_is_judged_by_what_was_known_then():
    found = race(("sampler", 0.5), ("llm", 0.4), ("llm", 0.6), ("user", 0.9))
    assert [(one.trial.number, one.before, one.led) for one in judged(found)] == [
        (1, 0.5, False), (2, 0.5, True),
    ]  # fmt: skip


def test_expected_stands_beside_reached():
    known = race(("sampler", 0.5), ("llm", 0.6))
    known = replace(known, trials=[known.trials[0], replace(
        known.trials[1], predicted=0.65, rationale="Wider.")])  # fmt: skip
    page = html_page(known, facts())
    words = Page(page).text
    assert "Trial 1 iteration 2 new best Wider." in words
    assert (
        "new best, +0.1 against the best before; \N{MINUS SIGN}0.05 against what it expected"
        in words
    )
    assert "1 proposal, 1 with a result; 1 became the best." in words
    assert "off by 0.05 in the median; 1 of 1 were higher" in words
    assert "Expected 0.6500, reached 0.6000." in page


def test_of_many_proposals_those_that_led_and_the_newest_are_shown():
    found = race(*[("llm", v / 100) for v in (1, 2, 3)], *[("llm", 0.005)] * 100)
    section = reasoning(found, {})
    shown = [entry["number"] for part in section["parts"] for entry in part]
    assert len(shown) == MOST_SHOWN
    assert shown[0] == 102 and shown[-3:] == [2, 1, 0]
    assert section["left_out"] == 103 - MOST_SHOWN


def test_without_an_llm_the_page_has_no_place_for_it():
    page = html_page(race(("sampler", 0.5), ("sampler", 0.6)), facts())
    assert 'id="reasoning"' not in page and 'id="ahead"' not in page


def test_the_best_run_again_is_told_and_is_no_part_of_the_race():
    again = [
        replace(trial(n, v), confirms=c, origin="llm")
        for n, v, c in ((3, 0.7, 1), (4, 0.8, 1), (5, 0.84, 2), (6, 0.95, 0))
    ]
    known = view(trial(0, 0.5), trial(1, 0.9), trial(2, 0.85), *again)
    page = html_page(known, facts())
    words = Page(page).text
    assert "0.9000 accuracy_auc Trial 1 of 7 is the best" in words
    assert (
        "Run again with fresh seeds it reached 0.7500 \N{PLUS-MINUS SIGN} 0.071 in 2 runs" in words
    )
    assert "On average trial 0 is better: 0.9500" in words
    assert (
        "0 0.5000 0.9500 \N{EN DASH} 1 2 0.8500 0.8400 \N{EN DASH} 1 1 0.9000 0.7500 0.0707 2"
        in words
    )
    assert "4 runs that confirm the best are not drawn" in words
    assert 'id="reasoning"' not in page and 'id="ahead"' not in page
    assert [one["trial"] for one in summary_document(known, facts())["confirmed"]] == [0, 2, 1]


def test_advice_to_end_the_search_stands_with_the_reasons():
    known = race(("sampler", 0.5), ("llm", 0.6))
    advised = replace(known.trials[1], stop_advice="Nothing is left to gain.")
    words = Page(html_page(view(known.trials[0], advised), facts())).text
    assert "Recommended to end the search: Nothing is left to gain." in words


# -- reproducibility and steering


def on(number, **environment):
    return trial(number, 0.5, environment=environment)


def test_another_gpu_is_flagged_and_another_host_is_told():
    known = view(
        on(0, device_name="A100", host="a", torch="2"), on(1, device_name="A100", host="b", torch="2", scheduler_job="8"),
        on(2, device_name="H100", host="c", torch="2", scheduler_job="9"), on(3),
    )  # fmt: skip
    first, second = differences(known)
    assert (first.key, first.values) == ("device_name", [("A100", [0, 1]), ("H100", [2])])
    assert "timings are not comparable" in first.why
    assert (second.key, second.why) == ("host", "")
    words = Page(html_page(known, facts())).text
    assert "device name another GPU type" in words
    assert "A100 trials 0, 1 ; H100 trial 2" in words


def test_the_commands_run_the_search_and_the_best_trial_again(tmp_path):
    section = reproduction(
        view(trial(0, 0.5, parameters={"x": 3})),
        facts(run_directory="results/my run", command=["{python}", "a b.py", "{hyperparameters}"],
              budget={"epochs": 4}),
    )  # fmt: skip
    commit, again = section["search"].splitlines()
    assert commit == "git checkout " + "4f1c2d" * 6
    assert again == "python -m agents.run --config 'results/my run/config.yaml' --new"
    assert section["best"]["command"] == "python 'a b.py' ./hyperparameters.json"
    task = json.loads(section["best"]["task"])
    assert (task["hyperparameters"], task["budget"]) == ({"x": 3}, {"epochs": 4})
    from training.contract import parse_task

    assert parse_task(section["best"]["task"].encode()).trial == 0
    assert "no commit has" in section["changed"]
    assert reproduction(view(), facts(git={}))["changed"] == ""


def test_what_people_asked_for_stands_in_the_report():
    asked = {"what": "forbid x > 3", "by": "ada", "asked_at": "2026-11-23T15:02:00+00:00",
             "taken_at": None, "effect": "2 proposals refused"}  # fmt: skip
    words = Page(html_page(view(trial(0, 0.5)), facts(steering=[asked, {"what": "pause"}]))).text
    assert (
        "forbid x > 3 2 proposals refused ada, asked 2026-11-23 15:02 UTC , taken not yet" in words
    )
    assert "Steering" not in Page(html_page(view(trial(0, 0.5)), facts())).text


def test_failures_are_counted_by_cause_and_attempts_beside_them():
    oom = Failure(Cause.OUT_OF_MEMORY, "too much")
    lost = PastAttempt(job(0, 0, 9), Failure(Cause.NODE_FAILURE, "gone"))
    known = view(failed(0, failure=oom), failed(1, failure=oom), trial(2, 0.5, attempts=[lost]))
    words = Page(html_page(known, facts())).text
    assert "out of memory 2" in words
    assert "1 attempt failed and was made again: node failure 1" in words


def test_what_depends_on_the_clock_is_marked():
    """So that the report of a resumed run can be compared with that of an undisturbed one."""
    trials = [with_job(t) for t in study(24).trials]
    moved = [
        replace(
            t,
            job=replace(t.job, submitted_at=t.job.submitted_at + timedelta(seconds=3)),
            finished_at=None if t.state is TrialState.RUNNING else at(5000 + t.number),
        )
        for t in trials
    ]
    first, second = (html_page(replace(study(24), trials=t), facts()) for t in (trials, moved))
    assert first != second
    times = re.compile(r"<!--times-->.*?<!--/times-->", re.DOTALL)
    assert times.sub("", first) == times.sub("", second)
