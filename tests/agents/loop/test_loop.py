"""Whole searches over real child processes: what a person relies on."""

import json
import signal
import sqlite3
import subprocess
import time

import optuna
import pytest
from loop_run import (
    PROGRAM,
    Crash,
    Orchestrator,
    documents,
    hold,
    jobs_run,
    let_go,
    resume,
    run_directory,
    start,
    write_config,
)

BATCH = "loop: {max_iterations: 3, jobs_per_iteration: 2}\n"


def ended(config, *more, code=0, begin=start):
    orchestrator = begin(config, *more)
    assert orchestrator.wait() == code, orchestrator.screen
    assert "Traceback" not in orchestrator.screen
    return orchestrator.screen


def summary(config):
    return json.loads((run_directory(config) / "summary.json").read_text())


def killed_with_two_jobs(config):
    """A search that was killed while two of its jobs ran, which may end now. Its run directory."""
    hold(config)
    orchestrator = start(config)
    wait_until(lambda: jobs_started(config) == 2)
    orchestrator.kill()
    orchestrator.wait()
    let_go(config)
    return run_directory(config)


def wait_until(what, seconds=180):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def jobs_started(config):
    return len(list(config.parent.glob("results/*/job_*/lock")))


def test_a_search_leaves_what_it_promises(tmp_path):
    config = write_config(tmp_path, BATCH)
    screen = ended(config)
    run = run_directory(config)
    assert "stopped: 3 of 3 iterations are done" in screen
    reports = {path.name for path in (run / "reports").iterdir()}
    iterations = {f"iteration_00{i}.{kind}" for i in (1, 2, 3) for kind in ("md", "json")}
    assert reports == {"report.html", *iterations}
    study = optuna.load_study(study_name=run.name, storage=f"sqlite:///{run}/study.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    assert summary(config)["best"]["value"] == pytest.approx(study.best_value)
    assert study.trials[0].intermediate_values.keys() == {1, 2, 3}
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)
    heartbeat = json.loads((run / "progress.json").read_text())
    assert heartbeat["trials"]["completed"] == 6
    events = [json.loads(line) for line in (run / "logs" / "run.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events].count("submitted") == 6


def test_the_same_seed_gives_the_same_search_and_another_seed_another(tmp_path):
    found = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        config = write_config(tmp_path / name, BATCH)
        ended(config, "--set", f"experiment.seed={seed}")
        found.append(documents(config)["summary.json"]["best"])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_steady_search_has_as_many_trials_and_no_hole(tmp_path):
    config = write_config(
        tmp_path, "loop: {max_iterations: 4, jobs_per_iteration: 2, schedule: steady}\n"
    )
    ended(config)
    assert summary(config)["counts"]["completed"] == 8
    assert [d for d in sorted(documents(config)) if "iteration" in d] == [
        f"iteration_00{i}.json" for i in (1, 2, 3, 4)
    ]


def test_a_cap_on_jobs_in_flight_is_kept(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 4}\n")
    ended(config, "--set", "cluster.max_in_flight=1", "--set", "cluster.batch_system.slots=4")
    events = (run_directory(config) / "logs" / "run.jsonl").read_text().splitlines()
    kinds = [json.loads(e)["event"] for e in events]
    assert [k for k in kinds if k in ("submitted", "ended")] == ["submitted", "ended"] * 4


def test_a_cap_on_jobs_in_one_submission_is_kept(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 3}\n")
    ended(config, "--set", "cluster.max_per_submission=1", "--log-level", "debug")
    events = (run_directory(config) / "logs" / "run.jsonl").read_text().splitlines()
    kinds = [event.get("node") or event["event"] for event in map(json.loads, events)]
    assert [kind for kind in kinds if kind in ("submit", "submitted")] == [
        "submit",
        "submitted",
    ] * 3


def test_a_finished_search_goes_on_when_it_may_have_more_iterations(tmp_path):
    config = write_config(tmp_path)
    ended(config)
    ended(config, "--max-iterations", "3", begin=resume)
    assert summary(config)["counts"]["completed"] == 6
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)


def test_an_unfinished_run_is_not_started_twice_unnoticed(tmp_path):
    config = write_config(tmp_path)
    hold(config)
    first = start(config)
    wait_until(lambda: jobs_started(config) == 2)
    more = ("--set", "loop.max_iterations=9")
    screen = ended(config, *more, code=2)
    assert f"worked on: {run_directory(config)}" in screen
    assert f"watch {run_directory(config)}" in screen
    assert f"{' '.join(more)} --new" in screen
    again = start(config, "--resume", "latest")
    assert again.wait() == 3
    assert f"process {first.pid} on" in again.screen
    first.kill()
    first.wait()
    let_go(config)
    screen = ended(config, *more, code=2)
    run = run_directory(config)
    assert f"{' '.join(more)} --resume {run}" in screen
    assert f"run stop {run} && python -m agents.run resume {run}" in screen


def test_who_wants_no_more_of_an_unfinished_run_ends_it_and_starts_the_next_without_being_asked(
    tmp_path,
):
    config = write_config(tmp_path)
    left = killed_with_two_jobs(config)
    assert Orchestrator(tmp_path, "stop", str(left)).wait() == 0
    assert "asked for it" in ended(config, begin=resume)
    assert summary(config)["counts"]["completed"] == 2
    ended(config, "--max-iterations", "1")
    assert len(list(left.parent.glob("*/run.json"))) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_jobs_running_and_says_how_to_go_on(tmp_path, number, code):
    (tmp_path / "my runs").mkdir()
    config = write_config(tmp_path / "my runs")
    hold(config)
    orchestrator = start(config)
    wait_until(lambda: jobs_started(config) == 2)
    orchestrator.kill(number)
    assert orchestrator.wait() == code, orchestrator.screen
    run = run_directory(config)
    assert f"python -m agents.run --resume '{run}'" in orchestrator.screen
    let_go(config)
    wait_until(lambda: len(list(run.glob("job_*/results.json"))) == 2)
    ended(config, begin=resume)
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)
    assert len(jobs_run(config)) == 4


def test_a_resumed_run_may_not_change_what_its_trials_rest_on(tmp_path):
    config = write_config(tmp_path)
    ended(config)
    screen = ended(
        config, "--resume", str(run_directory(config)), "--set", "search_space.x.high=2", code=2
    )
    assert "search_space.x.high is 2.0, and was 1.0 when this run was left" in screen


def test_a_program_that_always_fails_ends_the_search_with_the_cause(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 9, jobs_per_iteration: 2}\n")
    screen = ended(config, "--set", "training.command=[/no/such/program]", code=1)
    assert "5 trials failed in a row" in screen or "6 trials failed in a row" in screen
    assert "cannot start" in screen
    assert summary(config)["best"] is None
    assert "has finished" in ended(config, code=1, begin=resume)


def lose(file):
    file.unlink()


def cut(file):
    file.write_bytes(file.read_bytes()[:1500])


def overwrite(file):
    file.write_bytes(b"no database at all, " * 400)


def punch(file):
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * 8192 + content[12288:])


@pytest.mark.parametrize("damage", [lose, cut, overwrite, punch])
def test_a_graph_whose_position_is_lost_is_made_again_from_the_ledger(tmp_path, damage):
    config = write_config(tmp_path)
    run = killed_with_two_jobs(config)
    for journal in run.glob("graph.db-*"):
        journal.unlink()  # Killed in a write, it leaves one that would undo the damage.
    damage(run / "graph.db")
    screen = ended(config, begin=resume)
    if damage is not lose:
        assert "note: the loop's position, graph.db, was damaged" in screen
        assert (run / "graph.db.damaged").exists()
    assert len(jobs_run(config)) == 4
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)


def test_the_position_file_does_not_grow_with_the_search(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 12, jobs_per_iteration: 1}\n")
    ended(config, "--set", "search_space.pause.value=0.0")
    with sqlite3.connect(run_directory(config) / "graph.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM checkpoints").fetchone()
    assert count < 40


DIES_ONCE = """\
import os, signal, sys
directory = os.path.dirname(sys.argv[1])
if "_attempt_" not in directory and "trial_0001" in directory:
    script, doomed = int(open(os.path.join(directory, "lock", "pid")).read()), [os.getpid()]
    while doomed[-1] != script:
        stat = open(f"/proc/{doomed[-1]}/stat").read()
        doomed.append(int(stat.rpartition(")")[2].split()[1]))
    for pid in reversed(doomed):
        os.kill(pid, signal.SIGKILL)
os.execv(sys.executable, [sys.executable, "-S", "PROGRAM", sys.argv[1]])
"""


def test_a_job_whose_node_fails_is_run_again_in_a_directory_of_its_own(tmp_path):
    config = write_config(tmp_path)
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(DIES_ONCE.replace("PROGRAM", str(tmp_path / "program.py")))
    text = config.read_text().replace(f'"{tmp_path}/program.py"', f'"{wrapper}"')
    config.write_text(text)
    screen = ended(config)
    assert "trial 1: node failure; attempt 2 follows" in screen or "trial 1: lost" in screen
    assert summary(config)["counts"]["completed"] == 4
    run = run_directory(config)
    assert (run / "job_crash_iter_001_trial_0001_attempt_2" / "results.json").exists()
    study = optuna.load_study(study_name=run.name, storage=f"sqlite:///{run}/study.db")
    assert [past["job"]["attempt"] for past in study.trials[1].user_attrs["job"]["past"]] == [1]
    assert "attempt 1 failed" in study.trials[1].user_attrs["outcome"]["warnings"][0]


def test_a_job_that_is_too_slow_gets_more_time_once(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 1}\n")
    screen = ended(
        config,
        "--set",
        "cluster.resources.walltime=1s",
        "--set",
        "search_space.pause.value=30",
        "--set",
        "cluster.retry.walltime={factor: 2.0}",
        code=1,
    )
    (best,) = [json.loads(p.read_text()) for p in run_directory(config).glob("reports/*.json")]
    (trial,) = best["trials"]
    assert trial["failure"]["message"] == "the job reached its walltime of 2 s"
    assert "attempt 1 failed (walltime)" in trial["warnings"][0]
    assert "trial 0: walltime; attempt 2 follows with 2 s of walltime" in screen


def test_an_error_that_nobody_thought_of_is_one_message_and_the_run_goes_on_later(tmp_path):
    config = write_config(tmp_path)
    crash = Crash("agents.paperwork.Paperwork.write_iterations", "raise")
    orchestrator = start(config, crash=crash)
    assert orchestrator.wait() == 1
    assert "Traceback" not in orchestrator.screen
    assert "No space left on device" in orchestrator.screen
    run = run_directory(config)
    assert f"--resume {run}" in orchestrator.screen
    assert "write_iterations" in (run / "logs" / "run.jsonl").read_text()
    ended(config, begin=resume)
    assert summary(config)["counts"]["completed"] == 4


def committed(directory):
    """Make a repository of a directory; its commit."""
    git = ["git", "-C", str(directory), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "program.py"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_code_of_a_run_is_a_snapshot_that_later_changes_do_not_touch(tmp_path):
    config = write_config(tmp_path)
    text = config.read_text().replace(f'"{tmp_path}/program.py"', '"program.py"')
    config.write_text(text.replace("training: {command", "training: {stage: [program.py], command"))
    commit = committed(tmp_path)
    with open(tmp_path / "program.py", "a") as stream:
        stream.write("# not committed yet\n")
    first = start(config, crash=Crash("agents.nodes.SearchNodes.decide", "before"))
    assert first.wait() == -9
    (tmp_path / "program.py").write_text("raise SystemExit(1)")
    ended(config, begin=resume)
    assert summary(config)["counts"]["completed"] == 4
    (snapshot,) = [p for p in (tmp_path / "results" / "code").iterdir() if p.name != "pieces"]
    assert [path.name for path in snapshot.iterdir()] == ["program.py"]
    run = run_directory(config)
    study = optuna.load_study(study_name=run.name, storage=f"sqlite:///{run}/study.db")
    kept = study.user_attrs["code"]
    assert (kept["path"], kept["git"]["commit"], kept["git"]["changed"]) == (
        str(snapshot),
        commit,
        True,
    )


FAILS_IN_A_PACK = """
if task["trial"] == 1:
    os._exit(3)
"""


def test_trials_that_share_a_job_each_have_their_own_fate(tmp_path, monkeypatch):
    body = PROGRAM.replace("time.sleep(", f"{FAILS_IN_A_PACK}\ntime.sleep(").replace(
        'open("runs", "a").write("x")',
        'open("runs", "a").write("x"); open("place", "w").write(os.environ["MY_GPU"])',
    )
    monkeypatch.setattr("loop_run.PROGRAM", body)
    config = write_config(tmp_path, "loop: {max_iterations: 2, jobs_per_iteration: 3}\n")
    ended(config, "--set", "cluster.pack={trials: 2, pin: MY_GPU}")
    run = run_directory(config)
    assert summary(config)["counts"] | {"pruned": 0} == {
        "running": 0,
        "completed": 5,
        "failed": 1,
        "pruned": 0,
    }
    # 3 trials in jobs of 2: two jobs an iteration.
    assert len(list((run / "queue" / "ended").iterdir())) == 4
    assert [p.parent.name for p in sorted(run.glob("pack_0000/*/runs"))] == [
        "job_crash_iter_001_trial_0000",
        "job_crash_iter_001_trial_0001",
    ]
    places = {p.parent.name[-4:]: p.read_text() for p in run.glob("pack_*/*/place")}
    assert places == {"0000": "0", "0001": "1", "0002": "0", "0003": "0", "0004": "1", "0005": "0"}
    assert [p.read_text() for p in run.glob("pack_*/*/runs")] == ["x"] * 6


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_pack_is_submitted_once_though_the_orchestrator_dies(tmp_path, count):
    config = write_config(tmp_path)
    pack = ("--set", "cluster.pack={trials: 2}")
    crash = Crash("agents.ledger.Ledger.record_job", "after", count)
    assert start(config, *pack, crash=crash).wait() == -9
    ended(config, begin=resume)
    run = run_directory(config)
    assert summary(config)["counts"]["completed"] == 4
    assert [p.read_text() for p in run.glob("pack_*/*/runs")] == ["x"] * 4


def test_a_trial_in_a_pack_that_hangs_is_ended_alone(tmp_path, monkeypatch):
    slow = PROGRAM.replace("time.sleep(", 'time.sleep(60 if task["trial"] == 0 else 0); (')
    monkeypatch.setattr("loop_run.PROGRAM", slow)
    config = write_config(tmp_path, "loop: {max_iterations: 1, jobs_per_iteration: 2}\n")
    ended(
        config,
        "--set",
        "cluster.pack={trials: 2}",
        "--set",
        "cluster.resources.walltime=6s",
        "--set",
        "cluster.retry.walltime.times=0",
    )
    (report,) = [json.loads(p.read_text()) for p in run_directory(config).glob("reports/*.json")]
    states = [trial["state"] for trial in report["trials"]]
    assert states == ["failed", "completed"]
    assert report["trials"][0]["failure"]["cause"] == "walltime"
