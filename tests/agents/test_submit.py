"""submit and harvest: one experiment, one job, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doctor_bench import run

PROGRAM = """\
import json, os, sys, time
go = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "go")
os.chdir(os.path.dirname(sys.argv[1]))
open("runs", "a").write("x")
task = json.load(open("hyperparameters.json"))
h = task["hyperparameters"]
while task["budget"].get("held") and not os.path.exists(go):
    time.sleep(0.05)
if h["x"] > 0.9:
    sys.exit("it is too large")
result = {"schema": 1, "status": "completed", "trial": task["trial"], "metrics": {},
          "curve": {"step": [1, 2], "accuracy": [h["x"] / 2, h["x"]]}, "seconds": 0.3}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


def write_config(directory, cluster="batch_system: {kind: local, slots: 2}", extra=""):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "program.py").write_text(PROGRAM)
    path = directory / "template.yaml"
    path.write_text(
        f"""\
experiment: {{id: single, seed: 3}}
search_space:
  x: {{type: float, low: 0, high: 1, default: 0.5}}
  kind: {{type: categorical, choices: [a, b]}}
loop: {{max_iterations: 2, jobs_per_iteration: 2}}
proposer: {{kind: sampler}}
training: {{command: ["{sys.executable}", -S, "{directory}/program.py", "{{hyperparameters}}"]}}
cluster: {{{cluster}, poll: {{floor: 0.05s, ceiling: 0.5s, grace: 1s}}, retry: {{preempted: 0, node_failure: 0, lost: 0}}}}
directories: {{local_base: "{directory}/results"}}
{extra}"""
    )
    return path


def submitted(config, *more, code=0):
    done = run("submit", "--config", config, "--json", *more)
    assert done.returncode == code, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)
    return found


def harvested(*places, code=0, more=()):
    done = run("harvest", *places, "--json", *more)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def locked_by(directory):
    """The process of the one job of an experiment, once it runs."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        for lock in Path(directory).glob("job_*/lock/pid"):
            if said := lock.read_text().strip():
                return int(said)
        time.sleep(0.05)
    raise AssertionError("no job runs")


def until_ended(place, code=0):
    found = harvested(place, code=code, more=["--wait"])
    assert all(one["state"] in ("completed", "failed", "pruned") for one in found), found
    return found


def test_an_experiment_is_submitted_once_and_harvested_as_often_as_one_likes(tmp_path):
    config = write_config(tmp_path / "with spaces, ümläuts")
    one = submitted(config, "x=0.8", "kind=b", "--set", "training.budget.held=1")
    assert one["job_id"]
    (early,) = harvested(one["directory"])
    assert early["state"] in ("queued", "running")
    shown = run("status", one["directory"]).stdout
    assert "agents.run harvest" in shown
    (config.parent / "go").touch()
    (found,) = until_ended(one["directory"])
    assert found["state"] == "completed"
    assert found["value"] == pytest.approx(0.6)
    again = harvested(one["directory"])
    assert again == [found]
    (job,) = (tmp_path / "with spaces, ümläuts" / "results").glob("*/job_*")
    assert (job / "runs").read_text() == "x"
    task = json.loads((job / "hyperparameters.json").read_text())["hyperparameters"]
    assert task == {"x": 0.8, "kind": "b"}
    assert (job.parent / "reports" / "report.html").stat().st_size > 1000
    assert json.loads((job.parent / "summary.json").read_text())["best"]["value"] == found["value"]


def test_many_experiments_are_harvested_at_once(tmp_path):
    config = write_config(tmp_path)
    for x in ("0.2", "0.4", "0.95"):
        submitted(config, f"x={x}")
    found = until_ended(tmp_path / "results", code=1)
    assert [one["state"] for one in found] == ["completed", "completed", "failed"]
    assert "it is too large" in found[2]["why"]
    text = run("harvest", tmp_path / "results").stdout.splitlines()
    assert len(text) == 3
    assert "completed: accuracy_auc 0.1500" in text[0]


def test_waiting_tells_how_it_ended_by_the_exit_code(tmp_path):
    config = write_config(tmp_path)
    good = run("submit", "--config", config, "--wait", "x=0.4")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "completed: accuracy_auc 0.3000" in good.stdout
    bad = run("submit", "--config", config, "--wait", "x=1")
    assert bad.returncode == 1
    assert "it is too large" in bad.stdout


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["y=1"], "y: there is no such parameter"),
        (["x=2"], "x: 2 is not between 0 and 1"),
        (["x=many"], "x"),
        (["x"], "NAME=VALUE"),
        (["x=0.1", "x=0.2"], "given twice"),
        (["kind=c"], "kind"),
    ],
)
def test_hyperparameters_outside_the_space_are_refused_before_anything_is_made(
    tmp_path, pairs, words
):
    done = run("submit", "--config", write_config(tmp_path), *pairs)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "results").exists()


def test_bad_places_are_one_clear_message(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        done = run("harvest", place)
        assert done.returncode == 2
        assert "submit --config FILE" in done.stderr
    assert run("submit", "--config", tmp_path / "none.yaml").returncode == 2
    assert run("submit").returncode == 2


def test_a_search_is_no_experiment_and_an_experiment_stops_no_search(tmp_path):
    config = write_config(tmp_path)
    one = submitted(config, "x=0.9")
    told = run("status", one["directory"]).stdout
    assert "trials     1 submitted" in told
    assert f"submitted, job {one['job_id']}" in told
    assert "`harvest` asks again" in told
    assert "agents.run harvest" in told
    assert "stopped" not in told
    # An unfinished search would be asked about; an unfinished experiment is none.
    search = run("--config", config)
    assert search.returncode == 0, search.stderr
    (other,) = {str(p) for p in (tmp_path / "results").iterdir()} - {one["directory"]}
    done = run("harvest", other)
    assert done.returncode == 2
    assert "--resume" in done.stderr
    until_ended(tmp_path / "results")


def test_a_search_goes_on_from_an_experiment(tmp_path):
    config = write_config(tmp_path)
    run("submit", "--config", config, "--wait", "x=0.87")
    (directory,) = (tmp_path / "results").iterdir()
    done = run("--config", config, "--resume", directory)
    assert done.returncode == 0, done.stderr
    assert "best: trial 0" in done.stdout
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["best"]["trial"], summary["best"]["origin"]) == (0, "user")
    assert summary["totals"]["trials"] == 4
    assert run("harvest", directory).returncode == 2


def test_killed_between_entry_and_submission_it_is_submitted_by_the_harvest(tmp_path):
    # The submission needs `tar`; where that hangs, the orchestrator is killed.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").write_text(
        "#!/bin/sh\nkill -KILL $(cat pid 2>/dev/null || echo $PPID)\nsleep 5\n"
    )
    config = write_config(tmp_path)
    (tools / "tar").write_text(f"#!/bin/sh\nkill -KILL $(cat {tmp_path}/pid)\nsleep 1\nexit 1\n")
    (tools / "tar").chmod(0o755)
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'echo $$ > {tmp_path}/pid; exec "$@"', "sh", sys.executable, "-m",
         "agents.run", "submit", "--config", str(config), "x=0.3"],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(180) == -signal.SIGKILL
    (found,) = until_ended(tmp_path / "results")
    assert found["state"] == "completed"
    (job,) = (tmp_path / "results").glob("*/job_*")
    assert (job / "runs").read_text() == "x"


def test_an_experiment_that_somebody_waits_for_is_in_use(tmp_path):
    config = write_config(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.run", "submit", "--config", str(config), "--wait", "--set", "training.budget.held=1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        directory = process.stdout.readline().strip()
        (found,) = harvested(directory)
        assert found["state"] == "in use"
        assert str(process.pid) in found["why"]
        locked_by(directory)  # it runs
    finally:
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=180)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"harvest {directory}" in text
    (found,) = harvested(directory)
    assert found["state"] == "running"
    os.kill(locked_by(directory), signal.SIGTERM)
    (found,) = until_ended(directory, code=1)
    assert found["state"] == "failed"


def test_what_cannot_be_read_is_told_and_stops_nothing_else(tmp_path):
    config = write_config(tmp_path)
    broken = submitted(config, "x=0.1")["directory"]
    foreign = submitted(config, "x=0.2")["directory"]
    submitted(config, "x=0.3")
    until_ended(tmp_path / "results")
    later = submitted(config, "x=0.4")["directory"]
    card = json.loads(Path(f"{later}/run.json").read_text())
    Path(f"{later}/run.json").write_text(json.dumps({**card, "schema": 2}))
    with open(f"{broken}/study.db", "wb") as stream:
        stream.write(b"no database at all" * 100)
    with open(f"{foreign}/config.yaml", "a") as stream:
        stream.write("a_key_of_a_later_version: 1\n")
    found = {one["directory"]: one for one in harvested(tmp_path / "results", code=1)}
    states = sorted(one["state"] for one in found.values())
    assert states == ["completed", "unreadable", "unreadable", "unreadable"]
    assert "another version of Pilothouse" in found[later]["why"]
    assert "study.db" in found[broken]["why"]
    assert "a_key_of_a_later_version" in found[foreign]["why"]


def test_a_job_that_vanished_is_a_failed_experiment(tmp_path):
    config = write_config(tmp_path)
    one = submitted(config, "--set", "training.budget.held=1")
    script = locked_by(one["directory"])
    # The whole job, script and worker, as when a node goes: no exit code is ever written.
    os.killpg(os.getpgid(script), signal.SIGKILL)
    (found,) = until_ended(one["directory"], code=1)
    (config.parent / "go").touch()  # The program has a process group of its own, and lives on.
    assert found["state"] == "failed"
    assert "node failure" in found["why"]


def test_what_nobody_thought_of_is_one_message_and_stops_nothing_else(tmp_path):
    config = write_config(tmp_path)
    damaged = submitted(config, "x=0.1")["directory"]
    blocked = submitted(config, "x=0.2")["directory"]
    submitted(config, "x=0.3")
    with open(f"{damaged}/study.db", "r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 60_000)
    os.rmdir(f"{blocked}/reports")
    with open(f"{blocked}/reports", "w") as stream:
        stream.write("in the way")
    for _ in range(50):
        done = run("harvest", tmp_path / "results", "--json")
        assert "Traceback" not in done.stderr
        found = {one["directory"]: one for one in json.loads(done.stdout)}
        states = [one["state"] for one in found.values()]
        if sorted(states) == ["completed", "unreadable", "unreadable"]:
            break
        time.sleep(0.1)
    assert done.returncode == 1, found
    assert "logs/run.jsonl" in found[blocked]["why"]
    os.unlink(f"{blocked}/reports")
    os.mkdir(f"{blocked}/reports")
    (mended,) = harvested(blocked)
    assert mended["state"] == "completed"


def test_cancel_ends_the_job_of_an_experiment_and_records_who_asked(tmp_path):
    config = write_config(tmp_path)
    one = submitted(config, "--set", "training.budget.held=1")["directory"]
    script = locked_by(one)
    refused = run("pause", one)
    assert refused.returncode == 2
    assert f"cancel {one} --all" in refused.stderr
    done = run("cancel", one, "0", "--wait", "200", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert (answer["state"], answer["effect"]) == (
        "taken",
        "trial 0 cancelled, unless ended already",
    )
    assert not Path(f"/proc/{script}").exists()
    (found,) = harvested(one, code=1)
    assert found["state"] == "failed"
    assert found["why"].startswith("cancelled: cancelled on request of ")
    told = json.loads(Path(one, "summary.json").read_text())["steering"]
    assert [entry["what"] for entry in told] == ["cancel 0"]
    again = run("cancel", one, "--all")
    assert again.returncode == 2
    assert "the experiment has ended" in again.stderr


def test_cancelling_names_a_trial_that_is_not_there(tmp_path):
    config = write_config(tmp_path)
    one = submitted(config, "--set", "training.budget.held=1")["directory"]
    done = run("cancel", one, "7")
    assert done.returncode == 2
    assert "there is no trial 7" in done.stderr
    assert run("cancel", one, "--all", "--wait", "200").returncode == 0


def test_an_experiment_that_somebody_waits_for_is_cancelled_by_them(tmp_path):
    config = write_config(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.run", "submit", "--config", str(config), "--wait", "--set", "training.budget.held=1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    directory = process.stdout.readline().strip()
    locked_by(directory)
    done = run("cancel", directory, "--all", "--wait", "200", "--json")
    text, _ = process.communicate(timeout=180)
    assert json.loads(done.stdout)["effect"] == "trial 0 cancelled, unless ended already"
    assert process.returncode == 1
    assert "cancelled on request of" in text


def test_what_has_ended_is_left_as_it_is(tmp_path):
    config = write_config(tmp_path)
    assert run("submit", "--config", config, "--wait").returncode == 0
    (directory,) = (tmp_path / "results").iterdir()
    before = {
        name: (directory / name).stat().st_mtime_ns for name in ("progress.json", "summary.json")
    }
    harvested(directory)
    assert {name: (directory / name).stat().st_mtime_ns for name in before} == before
