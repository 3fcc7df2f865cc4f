"""What only a real Slurm can show: its states, its reasons, its failures."""

import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench import GOOD, PARTIAL, SLEEP, Bench
from lab_fixtures import commands_on_path

from scheduler.batch.slurm import SlurmBatch
from scheduler.errors import SchedulerAway, SchedulerError
from scheduler.job import (
    Cause,
    InDoubt,
    JobRequest,
    JobScript,
    JobState,
    Refused,
    Resources,
    Submitted,
)
from scheduler.outcome import Failed, Finished
from scheduler.packing import packed
from scheduler.settings import PackSettings, SlurmBatchSettings

pytestmark = pytest.mark.cluster

KILLED = "import os, signal\nos.kill(int(open('lock/pid').read()), signal.SIGKILL)\n"


@pytest.fixture
def plain(plain_slurm, monkeypatch):
    yield from commands_on_path(plain_slurm, monkeypatch)


@pytest.fixture
def plain_bench(plain, tmp_path):
    return Bench(SlurmBatchSettings(kind="slurm"), tmp_path)


def test_resources_arrive(plain_bench, plain):
    job = plain_bench.run(
        "res-1", SLEEP, nodes=1, tasks=2, cpus=2, memory_mb=500, gpus=2, gpu_type="a100",
        walltime_seconds=90, queue="scavenge",
        directives={"comment": "two words", "nice": 5, "exclusive": None},
    )  # fmt: skip
    shown = plain.client("scontrol", "-o", "show", "job", plain_bench.ids["res-1"]).stdout
    for part in ("NumNodes=1", "NumTasks=2", "CPUs/Task=2", "MinMemoryNode=500M",
                 "TimeLimit=00:02:00", "Partition=scavenge", "gres:gpu:a100:2",
                 "Comment=two words", "Nice=5", "Requeue=0", f"WorkDir={plain_bench.root}/dir_res-1"):  # fmt: skip
        assert part in shown
    plain_bench.cancel(job)


def test_gpus_are_handed_out(plain_bench):
    program = f"import os\nopen('gpus', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])\n{GOOD}"
    job = plain_bench.run("gpu-1", program, gpus=2)
    assert isinstance(plain_bench.verdict(job), Finished)
    assert len((plain_bench.root / "dir_gpu-1" / "gpus").read_text().split(",")) == 2


def test_a_callers_own_job_does_not_leak(plain_bench, monkeypatch):
    for key, value in {
        "SLURM_JOB_ID": "99", "SLURM_MEM_PER_NODE": "7", "SBATCH_PARTITION": "down",
        "SQUEUE_STATES": "PENDING", "SLURM_NTASKS": "9", "SQUEUE_FORMAT": "%u",
        "LC_ALL": "C.UTF-8", "POSIXLY_CORRECT": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    program = (
        "import os, json\n"
        "json.dump({k: v for k, v in os.environ.items() if k.startswith(('SLURM', 'LC_'))},"
        "open('env.json', 'w'))\n" + GOOD
    )
    job = plain_bench.run("leak-1", program)
    assert isinstance(plain_bench.verdict(job), Finished)
    import json

    seen = json.loads((plain_bench.root / "dir_leak-1" / "env.json").read_text())
    assert "SLURM_MEM_PER_NODE" not in seen
    assert seen["SLURM_JOB_ID"] == plain_bench.ids["leak-1"]
    assert seen["SLURM_JOB_PARTITION"] == "debug"
    assert seen["LC_ALL"] == "C.UTF-8"


def test_refusals_have_slurms_words(plain_bench):
    answers = plain_bench.submit(
        plain_bench.request("bad-1", GOOD, queue="nosuch"),
        plain_bench.request("bad-2", GOOD, gpus=9),
        plain_bench.request("good-3", GOOD),
    )
    assert isinstance(answers["bad-1"], Refused)
    assert "Invalid partition name" in answers["bad-1"].message
    assert not answers["bad-1"].backpressure
    assert isinstance(answers["bad-2"], Refused)
    assert isinstance(answers["good-3"], Submitted)


def test_held_and_released(plain_bench, plain):
    job = plain_bench.run("held-1", GOOD, directives={"hold": None})
    listing = plain_bench.wait_for_state(job, JobState.QUEUED)
    assert "scontrol release" in listing.reason
    plain.client("scontrol", "release", plain_bench.ids["held-1"])
    assert isinstance(plain_bench.verdict(job), Finished)


def test_a_request_that_can_never_start_says_so(plain_bench):
    job = plain_bench.run("never-1", GOOD, nodes=5)
    assert "never start" in plain_bench.wait_for_state(job, JobState.QUEUED).reason
    plain_bench.cancel(job)


def test_killed_script_is_a_failure_with_its_exit_code(bench):
    job = bench.run("killed-1", KILLED)
    listing = bench.wait_for_state(job, JobState.ENDED)
    assert listing.raw_state == "FAILED"
    assert listing.exit_code == 137
    assert isinstance(bench.verdict(job), Failed)


def test_cancelled_by_hand(bench, lab):
    job = bench.run("byhand-1", SLEEP)
    bench.wait_until_started(job)
    lab.client("scancel", bench.ids["byhand-1"])
    listing = bench.wait_for_state(job, JobState.ENDED)
    assert listing.cause is Cause.CANCELLED


def test_out_of_memory(bench):
    program = "import time\nx = bytearray(400 * 1024 * 1024)\ntime.sleep(280)\n"
    job = bench.run("oom-1", program, memory_mb=100)
    found = bench.verdict(job)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.OUT_OF_MEMORY


def test_node_failure(plain_bench, plain):
    job = plain_bench.run("node-1", SLEEP)
    plain_bench.wait_until_started(job)
    plain.client("scontrol", "update", f"nodename={plain.host}", "state=down", "reason=test")
    try:
        found = plain_bench.verdict(job)
    finally:
        plain.client("scontrol", "update", f"nodename={plain.host}", "state=resume")
        plain.wait_until_idle()
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.NODE_FAILURE


def test_preempted(plain_bench):
    low = plain_bench.run("low-1", PARTIAL, cpus=16, queue="scavenge")
    plain_bench.wait_until_started(low)
    high = plain_bench.run("high-1", GOOD, cpus=16, queue="urgent")
    found = plain_bench.verdict(low)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.PREEMPTED
    assert isinstance(plain_bench.verdict(high), Finished)


@pytest.mark.slow
def test_walltime_leaves_a_partial_result(plain_bench, plain):
    # The shortest limit is a minute; who runs Slurm may let it be over before. It looks twice a minute.
    program = PARTIAL.replace("time.sleep", "open('ready', 'w').close()\ntime.sleep")
    job = plain_bench.run("walltime-1", program, walltime_seconds=30)
    plain_bench.wait_for(lambda: (plain_bench.root / job.directory / "ready").exists())
    plain_bench.wait_for_state(job, JobState.RUNNING)
    job_id = plain_bench.ids["walltime-1"]
    plain.client("scontrol", "update", f"jobid={job_id}", "endtime=now", check=True)
    found = plain_bench.verdict(job, seconds=300)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.WALLTIME
    assert found.result is not None
    assert found.result.status == "preempted"


def test_requeued_job_goes_on_under_its_lock(plain_bench, plain):
    program = (
        "import os, time\n"
        "if os.environ.get('SLURM_RESTART_COUNT', '0') == '0':\n    time.sleep(300)\n"
        "assert not os.path.exists('exit_code')\n" + GOOD
    )
    job = plain_bench.run("again-1", program, directives={"requeue": None})
    plain_bench.wait_until_started(job)
    done = plain.client("scontrol", "requeue", plain_bench.ids["again-1"])
    assert done.returncode == 0, done.stderr
    assert isinstance(plain_bench.verdict(job), Finished)


def test_controller_down_then_back(plain_bench, plain):
    job = plain_bench.run("down-1", SLEEP)
    plain_bench.wait_until_started(job)
    plain.stop_controller(signal.SIGTERM)
    try:
        with pytest.raises(SchedulerAway):
            plain_bench.see(job)
        with pytest.raises(SchedulerAway):
            plain_bench.cancel(job)
        late = plain_bench.request("down-2", GOOD)
        assert isinstance(plain_bench.submit(late)["down-2"], InDoubt)
        # However long ago: nobody could be asked, so it is not said that the job is not there.
        since = plain_bench.root / late.directory / "submitting"
        since.write_text("1000000000\n")
        assert plain_bench.submit(late)["down-2"] == InDoubt("down-2", 0.0)
    finally:
        plain.start_controller()
        plain.wait_until_idle()
    plain_bench.wait_for_state(job, JobState.RUNNING)
    # Now somebody can: it is not there, and has had its time to show.
    assert isinstance(plain_bench.submit(late)["down-2"], Submitted)
    assert isinstance(plain_bench.verdict(late), Finished)


def test_frozen_controller_takes_the_job_late_and_it_is_found(plain_bench, plain):
    job = plain_bench.request("frozen-1", GOOD)
    plain.signal_controller(signal.SIGSTOP)
    try:
        assert isinstance(plain_bench.submit(job)["frozen-1"], InDoubt)
    finally:
        plain.signal_controller(signal.SIGCONT)
    found = plain_bench.wait_for(
        lambda: isinstance(answer := plain_bench.submit(job)["frozen-1"], Submitted) and answer
    )
    listed = plain.client("squeue", "-h", "-t", "all", "--name=frozen-1", "-o", "%i").stdout.split()
    assert listed == [found.job_id]
    assert isinstance(plain_bench.verdict(job), Finished)


def test_munge_down_is_away(plain_bench, plain):
    job = plain_bench.run("munge-1", SLEEP)
    plain.stop_munge()
    try:
        with pytest.raises(SchedulerAway):
            plain_bench.see(job)
    finally:
        plain.start_munge()
    plain_bench.wait_for_state(job, JobState.RUNNING)


def test_a_controller_that_forgot_everything_does_not_end_a_job_that_left_a_result(
    plain_bench, plain
):
    job = plain_bench.run("forgot-1", GOOD)
    plain_bench.wait_for(lambda: plain_bench.see(job).exit_code is not None)
    plain.stop_controller()
    plain.start_controller(forget=True)
    plain.wait_until_idle()
    seen = plain_bench.see(job)
    assert seen.listing is None
    assert isinstance(plain_bench.verdict(job), Finished)


def test_a_number_given_twice_is_not_taken_for_ours(plain_bench, plain):
    ours = plain_bench.run("twice-1", GOOD)
    plain_bench.wait_for(lambda: plain_bench.see(ours).exit_code is not None)
    stranger = plain_bench.run("twice-2", SLEEP)
    plain_bench.ids["twice-1"] = plain_bench.ids["twice-2"]
    assert plain_bench.see(ours).listing is None
    plain_bench.cancel(ours)
    plain_bench.wait_for_state(stranger, JobState.RUNNING)


def test_accounting_remembers_what_the_controller_forgot(accounting_slurm, tmp_path, monkeypatch):
    for key, value in accounting_slurm.environment.items():
        monkeypatch.setenv(key, value)
    bench = Bench(SlurmBatchSettings(kind="slurm"), tmp_path)
    job = bench.run("books-1", KILLED)
    bench.wait_for_state(job, JobState.ENDED)
    bench.wait_for(
        lambda: (
            "books-1|FAILED"
            in accounting_slurm.client(
                "sacct", "-X", "-n", "-P", "-j", bench.ids["books-1"], "-o", "JobName,State"
            ).stdout
        )
    )
    accounting_slurm.stop_controller()
    accounting_slurm.start_controller(forget=True)
    accounting_slurm.wait_until_idle()
    listing = bench.see(job).listing
    assert listing is not None
    assert (listing.raw_state, listing.exit_code) == ("FAILED", 137)
    # The books find it by name, too, as after a submission that was cut off.
    (bench.root / "dir_books-1" / "job.id").unlink()
    assert bench.submit(job)["books-1"] == Submitted("books-1", bench.ids["books-1"])
    accounting_slurm.stop_accounting()
    try:
        assert bench.see(job).listing.state is JobState.UNKNOWN
    finally:
        accounting_slurm.start_accounting()


def test_a_cluster_of_a_federation_by_name(accounting_slurm, tmp_path, monkeypatch):
    for key, value in accounting_slurm.environment.items():
        monkeypatch.setenv(key, value)
    bench = Bench(SlurmBatchSettings(kind="slurm", clusters="lab"), tmp_path)
    ending, living = bench.request("fed-1", KILLED), bench.request("fed-2", SLEEP)
    answers = bench.submit(ending, living)
    assert all(answer.job_id.endswith(";lab") for answer in answers.values())
    bench.wait_until_started(living)
    assert bench.wait_for_state(ending, JobState.ENDED).exit_code == 137
    assert bench.known_jobs(living) == [answers["fed-2"].job_id]
    bench.cancel(living)
    assert bench.wait_for_state(living, JobState.ENDED).cause is Cause.CANCELLED


def test_commands_that_are_not_on_the_path(plain, tmp_path, monkeypatch):
    real = Path(shutil.which("squeue")).parent
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("sbatch", "squeue", "sacct", "scontrol", "scancel"):
        (commands / name).symlink_to(real / name)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("awk", "cat", "cp", "date", "head", "id", "mkdir", "mktemp", "mv", "rm", "sed",
                 "sh", "tail", "tar", "timeout", "tr", "wc"):  # fmt: skip
        (tools / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tools))
    lost = Bench(SlurmBatchSettings(kind="slurm"), tmp_path)
    lost.ids["path-1"] = "1"
    with pytest.raises(SchedulerAway, match="not found") as caught:
        lost.see(lost.request("path-1", GOOD))
    assert "bin_directory" in caught.value.remedy
    settings = SlurmBatchSettings(kind="slurm", bin_directory=str(commands))
    bench = Bench(settings, tmp_path)
    assert isinstance(bench.verdict(bench.run("path-2", GOOD)), Finished)


def test_limit_on_jobs_is_backpressure(accounting_slurm, tmp_path, monkeypatch):
    for key, value in accounting_slurm.environment.items():
        monkeypatch.setenv(key, value)
    bench = Bench(SlurmBatchSettings(kind="slurm"), tmp_path)
    user = accounting_slurm.client("id", "-un").stdout.strip()
    limit = ("sacctmgr", "-iQ", "modify", "user", "where", f"name={user}", "set")
    accounting_slurm.clear()
    accounting_slurm.client(*limit, "MaxSubmitJobs=1", check=True)
    try:
        jobs = [bench.request(f"limit-{n}", SLEEP) for n in range(3)]
        answers = list(bench.submit(*jobs).values())
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        assert len(refused) == 2
        assert all(answer.backpressure for answer in refused)
    finally:
        accounting_slurm.client(*limit, "MaxSubmitJobs=-1", check=True)
    again = frozenset(answer.name for answer in refused)
    answers = bench.submit(*jobs, again=again)
    assert all(isinstance(answer, Submitted) for answer in answers.values())
    bench.cancel(*jobs)


def test_a_directive_of_more_than_one_line_is_refused(tmp_path):
    batch = SlurmBatch(SlurmBatchSettings(kind="slurm"))
    from scheduler.job import Resources

    for directives in ({"comment": "a\nb"}, {"Comment": "x"}, {"job-name": "x"}, {"mail": ""}):
        with pytest.raises(SchedulerError):
            batch.directives("name", Resources(directives=directives))


def test_a_job_that_will_never_start_is_known_as_such(plain_bench):
    bad = plain_bench.run("never-1", "raise SystemExit(3)")
    plain_bench.verdict(bad)
    job = plain_bench.run(
        "never-2", "pass", directives={"dependency": f"afterok:{plain_bench.ids['never-1']}"}
    )

    def look():
        listing = plain_bench.see(job).listing
        return listing if listing is not None and listing.never_starts else None

    assert "DependencyNeverSatisfied" in plain_bench.wait_for(look).reason
    plain_bench.cancel(job)


def test_steps_of_a_packed_job_run_side_by_side(plain_bench):
    """As docs/clusters.md has it: a step that names no memory would take all of the job's."""
    program = (
        "import os, time\nopen('at', 'w').write(repr(time.time()))\n"
        "open('gpu', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])\n"
        "time.sleep(3)\nopen('until', 'w').write(repr(time.time()))\n"
    )
    asked = Resources(tasks=2, cpus=2, gpus=2, memory_mb=400, walltime_seconds=120)
    script = JobScript([sys.executable, "-c", program])
    members = [JobRequest(f"t{n}", f"pack/t{n}", script, asked, {}) for n in range(2)]
    settings = PackSettings(
        trials=2,
        pin="CUDA_VISIBLE_DEVICES",
        launch=["srun", "--exact", "--ntasks=1", "--gpus=1", "--mem=200M"],
    )
    cluster = plain_bench.cluster
    job = packed(members, "pack", "pack", settings, cluster.batch, cluster.root)
    cluster.submit([job])
    places = [plain_bench.root / "pack" / f"t{n}" for n in range(2)]
    plain_bench.wait_for(lambda: all((place / "exit_code").exists() for place in places))
    begun, ended = (
        [float((place / name).read_text()) for place in places] for name in ("at", "until")
    )
    assert max(begun) < min(ended)
    assert sorted((place / "gpu").read_text() for place in places) == ["0", "1"]


UNDER_SRUN = PARTIAL.replace("SIGTERM", "SIGUSR1").replace(
    "time.sleep", "open('ready', 'w').close()\ntime.sleep"
)


def under_srun(job):
    return replace(job, script=JobScript(["srun", *job.script.command]))


def test_what_srun_runs_is_asked_to_end_and_not_killed(plain_bench):
    """srun answers SIGTERM by SIGKILL to all its tasks."""
    job = under_srun(plain_bench.request("warned-srun", UNDER_SRUN, walltime_seconds=600))
    script = plain_bench.cluster.render(job).replace("left=$((480 - ", "left=$((6 - ")
    assert "left=$((6 - " in script
    plain_bench.cluster.render = lambda request: script
    assert isinstance(plain_bench.submit(job)["warned-srun"], Submitted)
    found = plain_bench.verdict(job)
    assert found.failure.cause is Cause.WALLTIME
    assert found.result.status == "preempted"


def test_a_signal_to_the_job_script_reaches_what_srun_runs(plain_bench, plain):
    job = under_srun(plain_bench.request("signal-srun", UNDER_SRUN))
    assert isinstance(plain_bench.submit(job)["signal-srun"], Submitted)
    plain_bench.wait_for(Path(plain_bench.cluster.root, job.directory, "ready").exists)
    plain.client("scancel", "--batch", "--signal=TERM", plain_bench.ids["signal-srun"])
    found = plain_bench.verdict(job)
    assert found.result.status == "preempted"
