"""Programs that behave badly, run as real processes: each is one failed job with its cause."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from local_cluster import GOOD, WRITE_GOOD, make_cluster, ref, request, verdict, wait_for

from scheduler.job import Cause, JobRequest, JobScript, JobState, Resources, Submitted
from scheduler.outcome import Failed, Finished


@pytest.fixture
def cluster(tmp_path):
    return make_cluster(tmp_path)


def run(cluster, program, **resources):
    job = request("job", program, **resources)
    assert cluster.submit([job]) == {"job": Submitted("job", "job")}
    return verdict(cluster, job, walltime=resources.get("walltime_seconds"))


def test_a_program_that_keeps_the_contract_is_finished(cluster):
    found = run(cluster, WRITE_GOOD)
    assert isinstance(found, Finished)
    assert found.result.metrics == {"accuracy_auc": 0.5}
    assert found.warnings == []


@pytest.mark.parametrize(
    ("program", "cause", "words"),
    [
        ("raise SystemExit(3)", Cause.PROGRAM_ERROR, "exit code 3"),
        ("raise ValueError('no such layer')", Cause.PROGRAM_ERROR, "no such layer"),
        ("import no_such_module", Cause.CANNOT_START, "no_such_module"),
        ("raise MemoryError", Cause.OUT_OF_MEMORY, "MemoryError"),
        ("pass", Cause.CONTRACT, "no results.json"),
        ("import os; os.mkfifo('results.json')", Cause.CONTRACT, "no results.json"),
        ("open('results.json', 'w').close()", Cause.CONTRACT, "empty"),
        (f"open('results.json', 'w').write('''{GOOD[:40]}''')", Cause.CONTRACT, "not valid JSON"),
        ("open('results.json', 'w').write('[1]')", Cause.CONTRACT, "must hold a JSON object"),
        ("open('results.json', 'w').write('{\"status\": \"fine\"}')", Cause.CONTRACT, "status"),
        ("open('results.json', 'w').write('x' * 9_000_000)", Cause.CONTRACT, "bytes, more than"),
        ("open('results.json', 'wb').write(b'\\xff\\xfe')", Cause.CONTRACT, "not valid JSON"),
        ("import os; os.kill(os.getpid(), 9)", Cause.OUT_OF_MEMORY, "signal 9"),
        ("import os; os.kill(os.getpid(), 11)", Cause.PROGRAM_ERROR, "signal 11"),
    ],
)
def test_a_program_that_breaks_it_has_failed_with_its_cause(cluster, program, cause, words):
    found = run(cluster, program)
    assert isinstance(found, Failed)
    assert found.failure.cause is cause
    assert words in found.failure.message


def test_a_result_of_another_trial_is_refused(cluster):
    other = GOOD.replace('"schema": 1', '"schema": 1, "trial": 7')
    found = run(cluster, f"open('results.json', 'w').write('''{other}''')")
    assert isinstance(found, Failed)
    assert "trial 7" in found.failure.message


def test_a_command_that_does_not_exist_cannot_start(cluster):
    job = JobRequest("job", "dir_job", JobScript(["/no/such/program"]), Resources(), {})
    cluster.submit([job])
    found = verdict(cluster, job)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANNOT_START


def test_a_program_that_hangs_is_ended_at_its_walltime(cluster):
    found = run(cluster, "import time; time.sleep(600)", walltime_seconds=1)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.WALLTIME
    assert "1 s" in found.failure.message


def test_megabytes_of_output_do_not_reach_the_orchestrator(cluster):
    noise = "import sys\nfor _ in range(40): sys.stdout.write('x' * 250_000); sys.stderr.write('y' * 250_000)\n"
    job = request("job", noise + WRITE_GOOD)
    cluster.submit([job])
    assert isinstance(verdict(cluster, job), Finished)
    seen = cluster.poll([ref(job)])["job"]
    assert len(seen.stderr_tail) <= 4000


def test_children_left_behind_are_ended_with_the_program(cluster, tmp_path):
    program = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "open('child', 'w').write(str(child.pid))\n" + WRITE_GOOD
    )
    assert isinstance(run(cluster, program), Finished)
    child = int((tmp_path / "run" / "dir_job" / "child").read_text())

    def is_gone():
        try:
            with open(f"/proc/{child}/stat") as stream:
                return stream.read().split(") ")[1][0] == "Z"
        except FileNotFoundError:
            return True

    assert wait_for(is_gone)


def test_a_program_that_writes_its_result_and_then_fails_has_a_result_and_a_warning(cluster):
    found = run(cluster, WRITE_GOOD + "raise SystemExit(1)")
    assert isinstance(found, Finished)
    assert "exit code 1" in found.warnings[0]


def test_a_job_whose_processes_are_all_killed_is_a_node_failure(cluster, tmp_path):
    job = request("job", "open('begun', 'w').close()\nimport time; time.sleep(600)")
    cluster.submit([job])
    wait_for((tmp_path / "run" / "dir_job" / "begun").exists)  # all its processes are there
    lock = tmp_path / "run" / "dir_job" / "lock" / "pid"
    script = int(lock.read_text())
    family = [script]
    for pid in family:  # grows: the program is a child of the one that minds its walltime
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            family += [int(child) for child in stream.read().split()]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    found = verdict(cluster, job)
    assert isinstance(found, Failed)
    assert found.failure.cause in (Cause.NODE_FAILURE, Cause.LOST)


WAITS = "import os, time\nwhile not os.path.exists('../go'): time.sleep(0.05)\n"


def test_jobs_run_side_by_side_in_their_slots_and_the_rest_wait(cluster, tmp_path):
    jobs = [request(f"job{i}", WAITS + WRITE_GOOD) for i in range(4)]
    cluster.submit(jobs)
    refs = [ref(job) for job in jobs]

    def states():
        seen = cluster.poll(refs)
        found = [seen[job.name].listing.state for job in jobs]
        return found if found.count(JobState.RUNNING) == 2 else None

    assert sorted(state.value for state in wait_for(states)) == ["queued"] * 2 + ["running"] * 2
    (tmp_path / "run" / "go").touch()
    for job in jobs:
        assert isinstance(verdict(cluster, job), Finished)


def test_submitting_again_prints_the_same_answer_and_runs_nothing_twice(cluster, tmp_path):
    job = request("job", "open('runs', 'a').write('x')\n" + WRITE_GOOD)
    answers = [cluster.submit([job]) for _ in range(3)]
    assert isinstance(verdict(cluster, job), Finished)
    answers.append(cluster.submit([job]))
    assert answers == [{"job": Submitted("job", "job")}] * 4
    assert (tmp_path / "run" / "dir_job" / "runs").read_text() == "x"


def test_submissions_at_the_same_time_run_each_job_once(cluster, tmp_path):
    jobs = [request(f"job{i}", "open('runs', 'a').write('x')\n" + WRITE_GOOD) for i in range(5)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: cluster.submit(jobs), range(6)))
    for job in jobs:
        assert isinstance(verdict(cluster, job), Finished)
        assert (tmp_path / "run" / job.directory / "runs").read_text() == "x"


@pytest.mark.parametrize("waiting", [False, True])
def test_a_cancelled_job_is_cancelled_wherever_it_stands(tmp_path, waiting):
    cluster = make_cluster(tmp_path, slots=1)
    first = request("first", "import time; time.sleep(600)")
    second = request("second", "import time; time.sleep(600)")
    cluster.submit([first, second])
    wait_for(lambda: cluster.poll([ref(first)])["first"].started)
    job = second if waiting else first
    cluster.cancel([ref(job)])
    found = verdict(cluster, job, cancelled=True)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANCELLED
    cluster.cancel([ref(first), ref(second)])


def test_data_in_a_job_is_data_to_the_shell(cluster, tmp_path):
    nasty = "a b'c\"d$(touch pwned)`touch pwned`\\ ;&|\n*é"
    command = [
        "/bin/sh",
        "-c",
        'printf %s "$1" > argument; printf %s "$NASTY" > variable',
        "x",
        nasty,
    ]
    script = JobScript(command, environment={"NASTY": nasty})
    job = JobRequest("job", "dir_job", script, Resources(), {"data.txt": nasty.encode()})
    cluster.submit([job])
    verdict(cluster, job)
    directory = tmp_path / "run" / "dir_job"
    assert {(directory / name).read_text() for name in ("argument", "variable", "data.txt")} == {
        nasty
    }
    assert not list(tmp_path.rglob("pwned"))


def test_a_job_that_is_stopped_leaves_nothing_in_its_working_directory(cluster, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    begun = "import os, time; open(os.environ['HERE'] + '/begun', 'w').close(); time.sleep(600)"
    directory = tmp_path / "run" / "dir_job"
    script = JobScript(
        [sys.executable, "-c", begun],
        environment={"HERE": str(directory)},
        working_directory=str(code),
    )
    job = JobRequest("job", "dir_job", script, Resources(), {})
    cluster.submit([job])
    wait_for((directory / "begun").exists)
    cluster.cancel([ref(job)])
    verdict(cluster, job, cancelled=True)
    assert (directory / "stopped").read_text() == "TERM\n"
    assert list(code.iterdir()) == []


def test_a_setup_that_goes_elsewhere_takes_no_file_of_the_job_along(cluster, tmp_path):
    script = JobScript(
        ["true"], setup=[f"cd {tmp_path}"], working_directory=str(tmp_path / "no such place")
    )
    job = JobRequest("job", "dir_job", script, Resources(), {})
    cluster.submit([job])
    found = verdict(cluster, job)
    assert isinstance(found, Failed)
    assert (tmp_path / "run" / "dir_job" / "exit_code").read_text() == "97 directory\n"
    assert not (tmp_path / "exit_code").exists()


@pytest.mark.parametrize("locale", ["C.UTF-8", None])
def test_a_job_has_the_locale_and_the_umask_of_its_person(tmp_path, monkeypatch, locale):
    monkeypatch.delenv("LC_ALL", raising=False)
    if locale is not None:
        monkeypatch.setenv("LC_ALL", locale)
    before = os.umask(0o027)
    try:
        cluster = make_cluster(tmp_path)
        run(
            cluster,
            "import os; open('seen', 'w').write(f\"{os.environ.get('LC_ALL')} {os.umask(0):o}\")",
        )
    finally:
        os.umask(before)
    assert (tmp_path / "run" / "dir_job" / "seen").read_text() == f"{locale} 27"


def test_a_job_that_is_cancelled_before_it_has_its_lock_never_runs(tmp_path, monkeypatch):
    slow = tmp_path / "bin" / "mkdir"
    slow.parent.mkdir()
    wait = f'[ "$1" != lock ] || {{ touch {tmp_path}/at; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; }}'
    slow.write_text(f'#!/bin/sh\n{wait}\nexec /bin/mkdir "$@"\n')
    slow.chmod(0o755)
    cluster = make_cluster(tmp_path)
    job = request("job", "open('ran', 'w').close()\n" + WRITE_GOOD)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
        cluster.submit([job])
    wait_for((tmp_path / "at").exists)
    cluster.cancel([ref(job)])
    (tmp_path / "go").touch()
    found = verdict(cluster, job, cancelled=True)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANCELLED
    assert not (tmp_path / "run" / "dir_job" / "ran").exists()


def test_a_job_on_another_machine_is_asked_to_end_and_no_process_of_its_number_here(
    cluster, tmp_path
):
    waits = "import os, time\nopen('up', 'w').close()\nwhile not os.path.exists('STOP'): time.sleep(0.05)\n"
    job = request("job", waits + WRITE_GOOD)
    cluster.submit([job])
    directory = tmp_path / "run" / "dir_job"
    wait_for((directory / "up").exists)
    innocent = subprocess.Popen(["sleep", "600"])
    (directory / "lock" / "host").write_text("another-login-node\n")
    (directory / "lock" / "pid").write_text(f"{innocent.pid}\n")
    cluster.cancel([ref(job)])
    assert isinstance(verdict(cluster, job), Finished)
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


FULL = "import os\nfor name in ('exit_code', 'exit_code.tmp'):\n    os.symlink('/dev/full', name)\n"


def test_a_job_that_finds_no_room_for_its_exit_code_met_a_full_disk(cluster):
    job = request("full", FULL)
    cluster.submit([job])
    assert verdict(cluster, job).failure.cause is Cause.NO_ROOM


LATE_ROOM = "open('exit_code', 'w').close()\nos.mkdir('exit_code.tmp')\n"


def test_room_that_comes_too_late_does_not_make_the_setup_guilty(cluster):
    """The file for the exit code was made and took nothing: whoever writes it later knows the code."""
    script = cluster.render(request("late", "raise SystemExit(3)"))
    finish = 'ph_finish "$ph_code" program\n) &'
    assert finish in script
    cluster.render = lambda job: script.replace(finish, ": > exit_code; exit $ph_code\n) &")
    job = request("late", "raise SystemExit(3)")
    cluster.submit([job])
    found = verdict(cluster, job).failure
    assert (found.cause, found.exit_code) == (Cause.PROGRAM_ERROR, 3)
