"""What a packed job asks for, and how it starts its trials: on which node, with which device."""

import re
import signal
import subprocess

import pytest
from local_cluster import make_cluster, wait_for

from scheduler.batch.local import LocalBatch
from scheduler.batch.pbs import PbsBatch
from scheduler.batch.slurm import SlurmBatch
from scheduler.job import JobRef, JobRequest, JobScript, Resources
from scheduler.outcome import Circumstances, Failed, judge
from scheduler.packing import packed
from scheduler.script import render
from scheduler.settings import (
    LocalBatchSettings,
    PackSettings,
    PbsBatchSettings,
    SlurmBatchSettings,
)

PBS = PbsBatch(PbsBatchSettings(kind="pbs"))


def pack(trials, batch=PBS, walltime=3600, **settings):
    asked = Resources(walltime_seconds=walltime)
    members = [
        JobRequest(f"t{n}", f"pack/t{n}", JobScript(["true"]), asked, {}) for n in range(trials)
    ]
    return packed(members, "pack", "pack", PackSettings(trials=40, **settings), batch, "/base")


def started(directory, job, environment):
    """What each trial was started with: the script itself is replaced by its name."""
    for name, content in job.files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(
            b'echo "${0%/*} $1 ${DEVICE:-}"\n' if name.endswith("trial.sh") else content
        )
    done = subprocess.run(
        ["sh", "pack.sh"],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return sorted(line.split() for line in done.stdout.splitlines())


def limits(script):
    """When a trial is asked to end, and how much later it is ended."""
    text = script.decode()
    asked = re.search(r"ph_left=\$\(\((\d+) - ", text)[1]
    return int(asked), int(re.search(r'timeout" -s TERM -k (\d+) ', text)[1])


def test_the_job_asks_for_no_more_time_than_was_asked_for():
    job = pack(2)
    assert "#PBS -l walltime=01:00:00" in PBS.directives(job.name, job.resources)
    assert limits(job.files["t1/trial.sh"]) == (3480, 90)
    assert limits(pack(2, walltime=60).files["t0/trial.sh"]) == (54, 5)


def test_where_nobody_ends_a_job_in_time_its_trials_have_all_of_it():
    job = pack(2, LocalBatch(LocalBatchSettings()), walltime=60)
    assert job.resources.walltime_seconds is None
    assert limits(job.files["t0/trial.sh"]) == (60, 30)


def test_trials_are_warned_as_early_as_was_asked_for_and_the_job_is_not():
    asked = Resources(walltime_seconds=3600, warn_seconds=600)
    members = [JobRequest("t", "pack/t", JobScript(["true"]), asked, {})]
    job = packed(members, "pack", "pack", PackSettings(trials=2), PBS, "/base")
    assert limits(job.files["t/trial.sh"]) == (3000, 570)
    assert b"timeout" not in render(job, PBS, "/base").encode()


@pytest.mark.parametrize(
    ("given", "devices"),
    [("", ["0", "1", "2"]), ("2,3,5", ["2", "3", "5"]), ("7", ["7"] * 3), ("a,b", ["a", "b", "a"])],
)
def test_a_trial_gets_a_device_that_the_scheduler_gave_to_the_job(tmp_path, given, devices):
    seen = started(tmp_path, pack(3, pin="DEVICE"), {"DEVICE": given})
    assert seen == [[f"t{n}", device] for n, device in enumerate(devices)]


def test_trials_go_to_the_nodes_of_the_job_so_many_to_each(tmp_path):
    (tmp_path / "nodes").write_text("n1\nn1\nn2\nn2\nn3\n")
    launch = ["env", "HOST=on-{node}:{slot}", "sh", "-c", '"$@" "$HOST"', "sh"]
    job = pack(5, pin="DEVICE", per_node=2, launch=launch)
    seen = started(tmp_path, job, {"PBS_NODEFILE": str(tmp_path / "nodes")})
    assert seen == [
        ["t0", "on-n1:0", "0"],
        ["t1", "on-n1:1", "1"],
        ["t2", "on-n2:2", "0"],
        ["t3", "on-n2:3", "1"],
        ["t4", "on-n3:4", "0"],
    ]


def test_a_launch_is_never_shell(tmp_path):
    launch = ["env", "A=$(touch bad) {node}; touch bad", "sh", "-c", '"$@" "$A"', "sh"]
    started(tmp_path, pack(2, launch=launch), {})
    assert not (tmp_path / "bad").exists()


def test_a_job_that_comes_back_leaves_alone_the_trials_that_had_ended(tmp_path):
    batch = SlurmBatch(SlurmBatchSettings(kind="slurm"))
    script = JobScript(["sh", "-c", "printf x >> runs"])
    members = [JobRequest(f"t{n}", f"pack/t{n}", script, Resources(), {}) for n in range(3)]
    job = packed(members, "pack", "pack", PackSettings(trials=3), batch, str(tmp_path))
    for name, content in job.files.items():
        path = tmp_path / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def run(job_id):
        subprocess.run(
            ["sh", "pack.sh"],
            cwd=tmp_path / "pack",
            env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": job_id},
            check=True,
        )
        return [(tmp_path / "pack" / f"t{n}" / "runs").read_text() for n in range(3)]

    assert run("7") == ["x", "x", "x"]
    (tmp_path / "pack/t1/stopped").write_text("TERM\n")  # with its job, by whoever preempted it
    (tmp_path / "pack/t2/exit_code").unlink()  # or without a word
    assert run("7") == ["x", "xx", "xx"]
    assert run("8") == ["x", "xx", "xx"]


def test_what_a_launch_that_failed_said_is_shown_with_its_trials(tmp_path):
    cluster = make_cluster(tmp_path)
    members = [
        JobRequest(f"t{n}", f"pack/t{n}", JobScript(["true"]), Resources(), {}) for n in range(2)
    ]
    settings = PackSettings(trials=2, launch=["no-such-launcher"])
    job = packed(members, "pack", "pack", settings, cluster.batch, cluster.root)
    cluster.submit([job])
    wait_for((tmp_path / "run/pack/exit_code").exists)
    seen = cluster.poll([JobRef("t1", "pack/t1", "pack", shared_job="pack")])["t1"]
    assert "no-such-launcher" in seen.stderr_tail
    found = judge(seen, Circumstances(1, gone_for=9.0, grace=1.0, shares_job=True))
    assert isinstance(found, Failed)
    assert "never began" in found.failure.message
    assert "no-such-launcher" in found.failure.message


def test_a_signal_that_asks_for_an_end_reaches_the_trials(tmp_path):
    job = pack(1)
    (tmp_path / "t0").mkdir()
    (tmp_path / "pack.sh").write_bytes(job.files["pack.sh"])
    (tmp_path / "t0/trial.sh").write_text(
        "trap 'echo x > told; exit' TERM; echo x > up; while :; do sleep 0.05; done\n"
    )
    launcher = subprocess.Popen(["sh", "pack.sh"], cwd=tmp_path)
    wait_for((tmp_path / "up").exists)
    launcher.send_signal(signal.SIGUSR2)  # `--signal=B:USR2@300`
    assert launcher.wait() == 0
    assert (tmp_path / "told").exists()
