"""Steering whole searches over real child processes, from another process, by files."""

import json

import optuna
import pytest
from loop_run import (
    PROGRAM,
    Crash,
    hold,
    jobs_run,
    let_go,
    resume,
    run_directory,
    start,
    write_config,
)
from test_loop import ended, jobs_started, summary, wait_until

from agents import requests
from agents.commands.cancel import cancel
from agents.commands.status import run_state
from agents.commands.status_lines import status_text
from agents.commands.steering import ask
from agents.errors import ConfigurationError
from agents.progress import read_heartbeat
from agents.workspace import run_at
from training.contract import write_atomically


def config_of(tmp_path, extra, pause="0.15"):
    config = write_config(tmp_path, extra)
    config.write_text(config.read_text().replace("value: 0.15", f"value: {pause}"))
    return config


def begun(config, *more):
    """A search that has jobs in flight, which run until `let_go`."""
    hold(config)
    orchestrator = start(config, *more)
    wait_until(lambda: jobs_started(config) >= 1)
    return orchestrator


def told(config, verb, wait=120.0, **arguments):
    answer = ask(run_directory(config), verb, arguments, wait)
    assert answer.state == "taken", answer
    return answer.said


def beat(config):
    return read_heartbeat(run_directory(config) / "progress.json")


def steering(config):
    run = run_directory(config)
    study = optuna.load_study(study_name=run.name, storage=f"sqlite:///{run}/study.db")
    return {entry["verb"]: entry for entry in study.user_attrs["steering"]}


@pytest.mark.parametrize("schedule", ["batch", "steady"])
def test_a_paused_search_submits_nothing_collects_what_runs_and_goes_on(tmp_path, schedule):
    loop = f"loop: {{max_iterations: 2, jobs_per_iteration: 2, schedule: {schedule}}}\n"
    config = config_of(tmp_path, loop)
    orchestrator = begun(config)
    told(config, "pause")
    let_go(config)
    wait_until(lambda: beat(config)["trials"]["running"] == 0)
    assert beat(config)["paused"]["by"]
    started = jobs_started(config)
    assert started <= 2
    assert beat(config)["trials"]["completed"] == started
    with pytest.raises(AssertionError):
        wait_until(lambda: jobs_started(config) > started, seconds=1.5)
    assert "nobody reads it" in told(config, "note", text="a search without an LLM")
    assert "lifted" in told(config, "continue")
    assert orchestrator.wait() == 0, orchestrator.screen
    assert summary(config)["counts"]["completed"] == 4
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)


def test_a_search_that_was_stopped_on_request_goes_on_when_it_is_resumed(tmp_path):
    config = config_of(
        tmp_path,
        "loop: {max_iterations: 3, jobs_per_iteration: 2}\nconfirm: {trials: 1}\n",
    )
    orchestrator = begun(config)
    told(config, "stop")
    let_go(config)
    assert orchestrator.wait() == 0, orchestrator.screen
    assert "asked for it" in summary(config)["stop_reason"]
    assert summary(config)["counts"]["completed"] == 2  # nothing is confirmed on the way out
    ended(config, begin=resume)
    assert summary(config)["stop_reason"] == "3 of 3 iterations are done"
    assert summary(config)["counts"]["completed"] == 6 + 2
    assert steering(config)["stop"]["done"] is True


def test_what_was_set_stays_when_the_run_is_resumed_and_the_command_line_is_newer(tmp_path):
    config = config_of(tmp_path, "loop: {max_iterations: 9, jobs_per_iteration: 1}\n")
    orchestrator = begun(config)
    told(config, "set", setting="loop.max_iterations=3")
    orchestrator.kill()
    orchestrator.wait()
    let_go(config)
    run = run_directory(config)
    # The configuration of the beginning says 9.
    ended(config, "--resume", str(run))
    assert summary(config)["counts"]["completed"] == 3
    ended(config, "--set", "loop.max_iterations=4", begin=resume)
    assert summary(config)["counts"]["completed"] == 4
    ended(config, begin=resume)
    assert summary(config)["counts"]["completed"] == 4
    assert steering(config)["set"]["effect"] == "on the command line"


def test_a_cancelled_trial_ends_its_job_and_is_no_failure_of_the_search(tmp_path):
    config = config_of(
        tmp_path,
        "loop: {max_iterations: 2, jobs_per_iteration: 2}\nstop: {failures_in_a_row: 1}\n",
        pause="30",
    )
    quick = PROGRAM.replace('h["pause"]', '(600 if task["trial"] < 2 else 0)')
    (tmp_path / "program.py").write_text(quick)
    orchestrator = begun(config)
    wait_until(lambda: jobs_started(config) == 2)
    assert "trial 0 cancelled" in told(config, "cancel", trials=[0])
    told(config, "cancel", trials="all")
    assert orchestrator.wait() == 0, orchestrator.screen
    assert summary(config)["stop_reason"] == "2 of 2 iterations are done"
    assert summary(config)["failures"] == {"cancelled": 2}
    assert summary(config)["counts"]["completed"] == 2


@pytest.mark.parametrize("ids_are_known", [True, False])
def test_the_jobs_of_a_search_that_was_left_end_at_once(tmp_path, ids_are_known):
    """And it knows of it when it goes on."""
    loop = "loop: {max_iterations: 2, jobs_per_iteration: 2}\nstop: {failures_in_a_row: 1}\n"
    config = config_of(tmp_path, loop)
    hold(config)
    submitted = Crash("scheduler.cluster.Cluster.submit", "after")
    orchestrator = start(config, crash=None if ids_are_known else submitted)
    wait_until(lambda: jobs_started(config) == 2)
    if ids_are_known:
        wait_until(lambda: len(beat(config)["jobs"]) == 2 and beat(config)["jobs"][1]["job_id"])
        orchestrator.kill()
    orchestrator.wait()
    run = run_directory(config)
    with pytest.raises(ConfigurationError, match="is in flight"):
        cancel(run, [7], 0)
    assert not requests.waiting(run)
    answer = cancel(run, "all", 0)
    assert (answer.state, "trials 0 and 1 are ended" in answer.said) == ("waiting", True)
    wait_until(lambda: len(list(run.glob("job_*/exit_code"))) == 2)
    assert not list(run.glob("job_*/results.json"))
    let_go(config)
    ended(config, begin=resume)
    assert summary(config)["failures"] == {"cancelled": 2}
    assert summary(config)["counts"]["completed"] == 2
    with pytest.raises(ConfigurationError, match="has finished"):
        cancel(run, "all", 0)


def test_a_trial_that_shares_its_job_is_cancelled_without_the_others(tmp_path):
    config = config_of(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 2}\n", "0")
    waits = """\
import time
while task["trial"] == 0 and not os.path.exists("STOP"):
    time.sleep(0.05)
if task["trial"] == 0:
    os._exit(9)
"""
    program = PROGRAM.replace("time.sleep(", f"{waits}time.sleep(")
    (tmp_path / "program.py").write_text(program)
    orchestrator = start(config, "--set", "cluster.pack={trials: 2}")
    wait_until(lambda: list(config.parent.glob("results/*/pack_*/*/results.json")))
    told(config, "cancel", trials=[0])
    assert orchestrator.wait() == 0, orchestrator.screen
    assert summary(config)["counts"]["completed"] == 1
    assert summary(config)["failures"] == {"cancelled": 1}


def test_a_trial_that_was_never_submitted_is_cancelled_while_the_search_is_paused(tmp_path):
    config = config_of(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 3}\n")
    orchestrator = begun(config, "--set", "cluster.max_in_flight=1")
    told(config, "pause")
    let_go(config)
    wait_until(lambda: beat(config)["trials"]["completed"] == 1)
    told(config, "cancel", trials="all")
    assert orchestrator.wait() == 0, orchestrator.screen
    assert summary(config)["counts"]["completed"] == 1
    assert summary(config)["failures"] == {"cancelled": 2}
    assert len(jobs_run(config)) == 1


def test_a_stopped_run_takes_requests_when_it_is_resumed(tmp_path):
    config = config_of(tmp_path, "loop: {max_iterations: 2, jobs_per_iteration: 1}\n")
    orchestrator = begun(config)
    orchestrator.kill()
    orchestrator.wait()
    let_go(config)
    run = run_directory(config)
    answer = ask(run, "add", {"values": ["x=0.25"]}, wait=0.2)
    assert answer.state == "waiting"
    assert f"python -m agents.run resume {run}" in answer.said
    ended(config, begin=resume)
    assert steering(config)["add"]["effect"] == "trial 1"
    assert summary(config)["origins"]["user"]["trials"] == 1
    assert requests.waiting(run) == []


def test_what_is_no_request_is_set_aside_and_does_not_end_the_search(tmp_path):
    config = config_of(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 1}\n")
    orchestrator = begun(config)
    run = run_directory(config)
    (run / "requests").mkdir(exist_ok=True)
    write_atomically(run / "requests" / "0.json", b"{}")
    by_hand = {"schema": 1, "verb": "cancel", "arguments": {"trials": {"x": 1}}, "by": "x"}
    by_hand["asked_at"] = "2026-11-24T12:00:00+00:00"
    write_atomically(run / "requests" / "1.json", json.dumps(by_hand).encode())
    let_go(config)
    assert orchestrator.wait() == 0, orchestrator.screen
    assert [p.name for p in (run / "requests").iterdir()] == ["0.json.unreadable"]
    assert steering(config)["cancel"]["refused"] is True


LUCKY = PROGRAM.replace(
    "steps = [1, 2, 3]", 'steps = [1, 2, 3]\nfinal = VALUES[task["trial"]]'
).replace("import json", "VALUES = [0.5, 0.9, 0.8, 0.1, 0.3, 0.5, 0.7, 0.7]\nimport json", 1)


def test_the_winner_is_the_best_of_the_means_with_fresh_seeds(tmp_path):
    config = config_of(
        tmp_path,
        "loop: {max_iterations: 2, jobs_per_iteration: 2}\nconfirm: {trials: 2, seeds: 2}\n",
        "0",
    )
    (tmp_path / "program.py").write_text(LUCKY)
    screen = ended(config)
    # Trial 1 had 0.9 by luck (0.3 and 0.5 later); trial 2 had 0.8, and 0.7 twice.
    assert "best: trial 2," in screen
    shown = status_text(run_state(run_at(run_directory(config))))
    assert "confirmed  trial 2: 0.5425 +- 0.0000 with 2 fresh seeds" in shown
    run = run_directory(config)
    seeds = [
        json.loads(path.read_text())["seed"] for path in run.glob("job_*/hyperparameters.json")
    ]
    assert len(set(seeds)) == len(seeds) == 8
    study = optuna.load_study(study_name=run.name, storage=f"sqlite:///{run}/study.db")
    assert [t.user_attrs["proposal"]["confirms"] for t in study.trials[4:]] == [1, 1, 2, 2]
    ended(config, "--max-iterations", "3", "--set", "confirm.trials=0", begin=resume)
