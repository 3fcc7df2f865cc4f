"""A search in the background: begun or not is known at once, it needs no terminal, and leaves as asked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loop_run import hold, jobs_run, let_go, write_config

ROOT = Path(__file__).parents[3]


def pilothouse(*words):
    return subprocess.run(
        [sys.executable, "-m", "agents.run", *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip


def wait_until(holds, seconds=180):
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def run_of(config):
    (run,) = (config.parent / "results").glob("*_crash")
    return run


def test_it_goes_on_alone_and_says_where_to_look(tmp_path):
    config = write_config(tmp_path)
    hold(config)
    begun = pilothouse("--config", str(config), "--background")
    assert begun.returncode == 0, begun.stderr
    run = run_of(config)
    pid = int((run / "logs" / "orchestrator.pid").read_text())
    assert os.getsid(pid) == pid
    for said in (f"process {pid}", str(run / "logs" / "screen.log"), f"watch {run}", f"kill {pid}"):
        assert said in begun.stdout
    again = pilothouse("--resume", str(run), "--background")
    assert again.returncode == 3
    assert f"is being worked on by process {pid}" in again.stderr
    assert not again.stdout
    let_go(config)
    wait_until(lambda: (run / "summary.json").exists())
    wait_until(lambda: not (run / "logs" / "orchestrator.pid").exists())
    log = (run / "logs" / "screen.log").read_text()
    assert "stopped: 2 of 2 iterations are done" in log
    assert log.count("run directory:") == 1


def test_a_signal_leaves_its_jobs_and_it_goes_on_in_the_background_again(tmp_path):
    config = write_config(tmp_path)
    hold(config)
    assert pilothouse("--config", str(config), "--background").returncode == 0
    run = run_of(config)
    pid = int((run / "logs" / "orchestrator.pid").read_text())
    wait_until(lambda: len(list(run.glob("job_*/lock"))) == 2)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (run / "logs" / "orchestrator.pid").exists())
    wait_until(lambda: "To go on:" in (run / "logs" / "screen.log").read_text())
    let_go(config)
    resumed = pilothouse("resume", str(run), "--background")
    assert resumed.returncode == 0, resumed.stderr
    wait_until(lambda: (run / "summary.json").exists())
    assert jobs_run(config) == dict.fromkeys(jobs_run(config), 1)
    assert len(jobs_run(config)) == 4


def test_what_does_not_begin_is_told_in_front(tmp_path):
    config = write_config(tmp_path, "ledger: {storage: 'sqlite:////nowhere/at/all.db'}\n")
    failed = pilothouse("--config", str(config), "--background")
    assert failed.returncode not in (0, 130)
    assert "nowhere" in failed.stderr
    assert "in the background" not in failed.stdout


@pytest.mark.parametrize("ignored", [True, False])
def test_the_end_of_the_terminal_ends_it_but_not_under_nohup(tmp_path, ignored):
    config = write_config(tmp_path)
    hold(config)
    under = "trap '' HUP; exec" if ignored else "exec"
    run = ["sh", "-c", f'{under} "$@"', "sh", sys.executable, "-m", "agents.run"]
    process = subprocess.Popen(
        [*run, "--config", str(config)], stdout=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    try:
        wait_until(lambda: len(list((tmp_path / "results").glob("*/job_*/lock"))) == 2)
        process.send_signal(signal.SIGHUP)
        if ignored:
            let_go(config)
        said = process.communicate(timeout=300)[0]
    finally:
        process.kill()
        let_go(config)
    assert process.returncode == (0 if ignored else 128 + signal.SIGHUP)
    assert ("To go on: " in said) is not ignored
