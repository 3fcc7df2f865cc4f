"""What a person's setup lines do to the shell that keeps the program's exit code, in more than one sh."""

import os
import shutil
import signal
import subprocess

import pytest
from local_cluster import wait_for

from scheduler.batch.slurm import SlurmBatch
from scheduler.job import Cause, JobRequest, JobScript, Observation, Resources
from scheduler.outcome import Circumstances, Failed, judge
from scheduler.script import render
from scheduler.sentinel import read_sentinel
from scheduler.settings import SlurmBatchSettings

SHELLS = [
    words
    for words in ("sh", "dash", "bash --posix", "ksh", "busybox sh")
    if shutil.which(words.split()[0])
]
RUNS = ("/bin/sh", "-c", "echo x > ran; exit 3")
# A `timeout` that has just started a program may itself miss a signal: the program waits until it waits.
ENDS = (
    "trap 'echo x > asked; exit 7' TERM; until grep -q 'State:.S' /proc/$PPID/status; do :; done; "
    "echo x > up; while :; do sleep 0.05; done"
)

pytestmark = pytest.mark.parametrize("shell", SHELLS)


def prepare(tmp_path, setup, command=RUNS):
    """A job's directory with its script, which a shell runs by hand."""
    asked = Resources(walltime_seconds=3600)
    job = JobRequest("job", "job", JobScript(command, setup=setup), asked, {})
    directory = tmp_path / "job"
    directory.mkdir()
    batch = SlurmBatch(SlurmBatchSettings(kind="slurm"))
    (directory / "script").write_text(render(job, batch, str(tmp_path)))
    return directory


def judged(directory):
    """What the job's sentinel is taken for."""
    ended = read_sentinel((directory / "exit_code").read_text())
    said = (directory / "job.err").read_text()
    seen = Observation("job", None, True, ended.code, None, stderr_tail=said, ended_by=ended.by)
    found = judge(seen, Circumstances(0, None, 60, walltime_seconds=3600))
    assert isinstance(found, Failed)
    return found


def start(shell, directory):
    return subprocess.Popen([*shell.split(), directory / "script"], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "line",
    [
        "set -e",
        "set -eu",
        "trap 'exit 9' ERR",
        "export PATH=/nowhere",
        "cd() { command cd \"$@\" && [ -e .venv ]; }",
        "mv() { return 1; }",
        "finish() { echo mine; }; forward() { echo mine; }",
        "began=today",
        "readonly code=1 child=2",
        "source /dev/null",
    ],
)  # fmt: skip
def test_the_program_runs_and_its_exit_code_is_kept(tmp_path, shell, line):
    directory = prepare(tmp_path, [line])
    start(shell, directory).wait()
    assert (directory / "ran").exists()
    assert (directory / "exit_code").read_text() == "3 program\n"


@pytest.mark.parametrize(
    "line",
    [
        *(
            "exit 0",
            "set -e; false",
            ". /no/such/file",
            "set -u; : $ph_nothing",
            "echo 'a",
            "cat <<X",
        ),
        *(
            "trap 'echo bye' EXIT\nexit 3",
            "trap 'echo bye' 0; set -e; false",
            "exec true",
            "return 0",
        ),
        "trap 'exit 9' EXIT; exit 3",
    ],
)
def test_a_line_that_ends_the_shell_is_told_as_such(tmp_path, shell, line):
    directory = prepare(tmp_path, [line])
    start(shell, directory).wait()
    assert not (directory / "ran").exists()
    found = judged(directory)
    assert found.failure.cause is Cause.CANNOT_START
    assert "setup" in found.failure.message


@pytest.mark.parametrize("code", [96, 97, 98, 124])
def test_a_program_that_ends_with_a_code_of_the_scripts_is_no_fault_of_the_setup(
    tmp_path, shell, code
):
    directory = prepare(tmp_path, ["true"], ("/bin/sh", "-c", f"exit {code}"))
    start(shell, directory).wait()
    assert judged(directory).failure.cause is Cause.PROGRAM_ERROR


def test_a_trap_of_the_setup_is_run_at_the_end_and_takes_no_exit_code_along(tmp_path, shell):
    directory = prepare(tmp_path, ["trap 'echo x > cleaned' EXIT"])
    done = start(shell, directory)
    assert done.wait() == 3
    assert (directory / "cleaned").exists()
    assert (directory / "exit_code").read_text() == "3 program\n"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("trap 'echo mine' TERM", signal.SIGTERM),
        ("trap '' TERM", signal.SIGTERM),
        (":", signal.SIGUSR2),  # as in `--signal=B:USR2@300`
    ],
)
def test_the_program_hears_of_the_end_and_has_time_for_it(tmp_path, shell, line, number):
    directory = prepare(tmp_path, [line], ("/bin/sh", "-c", ENDS))
    job = start(shell, directory)
    wait_for((directory / "up").exists)
    job.send_signal(number)
    wait_for((directory / "exit_code").exists)
    job.wait()
    assert (directory / "asked").exists()
    assert (directory / "stopped").exists()


def test_the_exit_code_is_the_programs_also_where_it_ends_at_once(tmp_path, shell):
    slow = (
        'kill() { command kill "$@"; set -- $? "$2"; '
        "while [ -e /proc/$2/stat ] && ! grep -q ') Z' /proc/$2/stat; do sleep 0.05; done; return $1; }"
    )
    directory = prepare(tmp_path, [slow], ("/bin/sh", "-c", ENDS))
    job = start(shell, directory)
    wait_for((directory / "up").exists)
    job.send_signal(signal.SIGTERM)
    job.wait()
    assert (directory / "exit_code").read_text() == "7 program\n"


def stop_and_let_go(job, directory):
    """Signal a job that is held, and let it go on once it has heard."""
    job.send_signal(signal.SIGTERM)
    wait_for((directory / "stopped").exists)
    (directory / "go").touch()
    job.wait()


def test_a_signal_while_the_program_is_being_started_reaches_it(tmp_path, shell):
    directory = prepare(tmp_path, [], ("/bin/sh", "-c", ENDS))
    script = directory / "script"
    slowly = "while [ ! -e go ]; do sleep 0.05; done\nph_child=$!"
    text = script.read_text()
    assert "\nph_child=$!" in text
    script.write_text(text.replace("ph_child=$!", slowly))
    job = start(shell, directory)
    wait_for((directory / "up").exists)
    stop_and_let_go(job, directory)
    assert (directory / "exit_code").exists()
    assert (directory / "asked").exists()


def test_a_program_that_has_not_begun_when_the_signal_comes_never_does(
    tmp_path, shell, monkeypatch
):
    directory = prepare(tmp_path, [])
    misses = "trap '' TERM; echo x > at; while [ ! -e go ]; do sleep 0.05; done"
    program = tmp_path / "timeout"
    program.write_text(f'#!/bin/sh\n{misses}; exec {shutil.which("timeout")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    job = start(shell, directory)
    wait_for((directory / "at").exists)
    stop_and_let_go(job, directory)
    assert (directory / "exit_code").read_text() == "143 stopped\n"
    assert not (directory / "ran").exists()


def test_a_signal_right_after_the_lock_is_told(tmp_path, shell):
    directory = prepare(tmp_path, [])
    script = directory / "script"
    at = "date -u +"
    text = script.read_text()
    assert text.count(at) == 1
    script.write_text(text.replace(at, f"kill -TERM $$\n{at}"))
    start(shell, directory).wait()
    assert (directory / "exit_code").read_text() == "143 stopped\n"
    assert not (directory / "ran").exists()
