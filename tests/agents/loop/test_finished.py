"""A search that has come to its end, and is resumed."""

import json
import sqlite3
import time
from datetime import datetime, timedelta

import pytest
from loop_run import Crash, hold, jobs_run, let_go, resume, run_directory, start, write_config
from test_loop import ended, jobs_started, summary, wait_until

from agents.cleaning import old_runs
from agents.commands.cancel import cancel
from agents.commands.status import run_state
from agents.report.reading import read_run
from agents.workspace import Workspace, unfinished


def aged(run, days):
    """Move the run's end into the past, as if nobody had touched it since."""
    long_ago = timedelta(days=days)
    for name in {"summary.json", "progress.json"} & {path.name for path in run.iterdir()}:
        document = json.loads((run / name).read_text())
        holder = document.get("run", document)
        moment = datetime.fromisoformat(holder["updated_at"]) - long_ago
        holder["updated_at"] = moment.isoformat()
        (run / name).write_text(json.dumps(document))
    with sqlite3.connect(run / "study.db") as connection:
        where = "key = 'started_at'"
        table = "study_user_attributes"
        ((text,),) = connection.execute(f"SELECT value_json FROM {table} WHERE {where}")
        moment = datetime.fromisoformat(json.loads(text)) - long_ago
        new = json.dumps(moment.isoformat())
        connection.execute(f"UPDATE {table} SET value_json = ? WHERE {where}", (new,))


def contents(run):
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("more", [(), ("--max-iterations", "1")])
def test_resuming_a_finished_search_without_a_new_budget_changes_nothing(tmp_path, more):
    config = write_config(tmp_path)
    ended(config)
    before = contents(run_directory(config))
    screen = ended(config, *more, begin=resume)
    assert contents(run_directory(config)) == before
    assert "nothing was run, nothing was changed" in screen
    assert "--set loop.max_iterations=N" in screen
    assert f"more than 2 (it is {1 if more else 2})" in screen


def test_a_resume_with_another_budget_of_the_program_says_that_values_may_not_compare(tmp_path):
    config = write_config(tmp_path)
    ended(config)
    more = ("--max-iterations", "3")
    screen = ended(config, *more, "--set", "training.budget.epochs=9", begin=resume)
    assert "training.budget.epochs is 9, and was" in screen
    assert "may not be comparable" in screen
    assert "comparable" not in ended(config, "--max-iterations", "4", begin=resume)


def test_the_time_between_an_end_and_a_resume_is_not_elapsed(tmp_path):
    config = write_config(tmp_path)
    ended(config)
    run = run_directory(config)
    aged(run, days=7)
    assert read_run(run).facts.elapsed_seconds < 86400
    ended(config, "--max-iterations", "3", begin=resume)
    assert summary(config)["counts"]["completed"] == 6
    assert summary(config)["run"]["elapsed_seconds"] < 86400
    assert read_run(run).facts.elapsed_seconds < 86400
    assert json.loads((run / "progress.json").read_text())["elapsed"] < 86400


def test_a_search_that_died_on_its_second_leg_is_not_taken_for_finished(tmp_path):
    config = write_config(tmp_path)
    ended(config)
    crash = Crash("agents.nodes.SearchNodes.finish", "before")
    resume(config, "--max-iterations", "3", crash=crash).wait()
    ended(config, begin=resume)
    assert summary(config)["counts"]["completed"] == 6


def test_a_finished_search_that_went_on_and_was_left_is_no_longer_finished(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 2}\n")
    ended(config)
    run = run_directory(config)
    hold(config)
    again = resume(config, "--max-iterations", "2")
    wait_until(lambda: jobs_started(config) == 4)
    again.kill()
    again.wait()
    assert run_state(Workspace(run)).state == "stopped"
    assert [left.directory for left in unfinished(run.parent, "crash")] == [run]
    (old,) = old_runs(run.parent, 0.0, 0, time.time())
    assert "jobs may still run" in old.kept
    assert "the jobs of trials 2 and 3 are ended" in cancel(run, "all", 0).said
    let_go(config)
    ended(config, begin=resume)
    assert summary(config)["counts"] == {"running": 0, "completed": 2, "pruned": 0, "failed": 2}
    assert set(jobs_run(config).values()) == {1}


def test_a_search_that_was_left_at_its_end_goes_on_where_a_resume_gives_it_more(tmp_path):
    extra = "loop: {max_iterations: 1, jobs_per_iteration: 2}\nconfirm: {trials: 1, seeds: 2}\n"
    config = write_config(tmp_path, extra)
    died = start(config, crash=Crash("agents.nodes.SearchNodes.confirm", "before"))
    assert died.wait() == -9, died.screen
    ended(config, "--max-iterations", "2", begin=resume)
    assert summary(config)["stop_reason"] == "2 of 2 iterations are done"
    assert in_reports(config) == {1: [0, 1], 2: [2, 3], 3: [4, 5]}  # the last ones confirm


@pytest.mark.parametrize("schedule", ["batch", "steady"])
def test_an_iteration_that_a_resumed_search_fills_up_has_all_its_trials_in_its_report(
    tmp_path, schedule
):
    loop = f"max_iterations: 9, jobs_per_iteration: 3, max_trials: 4, schedule: {schedule}"
    config = write_config(tmp_path, f"loop: {{{loop}}}\n")
    ended(config)
    assert in_reports(config) == {1: [0, 1, 2], 2: [3]}
    screen = ended(config, "--set", "loop.max_trials=8", begin=resume)
    assert in_reports(config) == {1: [0, 1, 2], 2: [3, 4, 5], 3: [6, 7]}
    assert "iteration 2 of 9 is done" in screen
    assert "iteration 1 of 9 is done" not in screen


def in_reports(config):
    """The trials in each iteration's report, which its readable form names too."""
    found = {}
    for path in sorted(run_directory(config).glob("reports/iteration_*.json")):
        document = json.loads(path.read_text())
        found[document["iteration"]] = [trial["trial"] for trial in document["trials"]]
        readable = path.with_suffix(".md").read_text()
        assert all(f"| {n} |" in readable for n in found[document["iteration"]])
    return found
