"""Where jobs of the local batch system run: which device, which node, by which launcher."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from local_cluster import WRITE_GOOD, ref, request, verdict, wait_for

from scheduler.batch.local import LocalBatch
from scheduler.cluster import Cluster
from scheduler.job import Cause, JobRequest, JobScript, Resources
from scheduler.outcome import Failed, Finished
from scheduler.settings import LocalBatchSettings
from scheduler.transports.local import LocalTransport

SEEN = """\
import os, time
open("seen", "w").write(f"{os.environ.get('DEVICE')} {os.environ.get('WHERE')} {os.environ.get('PLACE')}")
while not os.path.exists("../go"): time.sleep(0.02)
"""
AS_LAUNCHED = ["env", "WHERE=on {node}", "PLACE={slot}"]


def placed(tmp_path, **settings):
    cluster = Cluster(
        LocalTransport(), LocalBatch(LocalBatchSettings(**settings)), str(tmp_path), "run"
    )
    cluster.prepare()
    return cluster


def seen_by(tmp_path, jobs, **settings):
    """What so many jobs that run side by side see: device, node and slot."""
    cluster = placed(tmp_path, slots=jobs, **settings)
    requests = [request(f"job{n}", SEEN + WRITE_GOOD) for n in range(jobs)]
    cluster.submit(requests)
    files = [Path(cluster.root, one.directory, "seen") for one in requests]
    wait_for(lambda: all(file.exists() and file.read_text() for file in files))
    Path(cluster.root, "go").touch()
    for one in requests:
        assert isinstance(verdict(cluster, one), Finished)
    return sorted(file.read_text() for file in files)


@pytest.mark.parametrize(
    ("given", "settings", "devices"),
    [
        (None, {}, ["None"] * 3),
        (None, {"pin": "DEVICE"}, ["0", "1", "2"]),
        ("4,7,9", {"pin": "DEVICE"}, ["4", "7", "9"]),
        ("a,b", {"pin": "DEVICE"}, ["a", "a", "b"]),
        (None, {"pin": "DEVICE", "per_node": 2}, ["0", "0", "1"]),
        (None, {"pin": "DEVICE", "launch": ["nice", "-n", "1"]}, ["0", "1", "2"]),
    ],
)
def test_each_slot_has_a_device(tmp_path, monkeypatch, given, settings, devices):
    monkeypatch.delenv("DEVICE", raising=False)
    if given is not None:
        monkeypatch.setenv("DEVICE", given)
    assert seen_by(tmp_path, 3, **settings) == [f"{device} None None" for device in devices]


def test_slots_are_spread_over_the_nodes_of_an_allocation(tmp_path, monkeypatch):
    nodes = tmp_path / "nodes"
    nodes.write_text("x1\nx1\ny 2\ny 2\n")
    monkeypatch.setenv("PBS_NODEFILE", str(nodes))
    found = seen_by(tmp_path, 4, launch=AS_LAUNCHED, per_node=2, pin="DEVICE")
    assert found == ["0 on x1 0", "0 on y 2 2", "1 on x1 1", "1 on y 2 3"]


def test_a_poll_does_not_ask_the_scheduler_for_the_nodes(tmp_path, monkeypatch):
    """Each poll starts a worker for each slot, most of which find their slot taken."""
    tools, asked = tmp_path / "tools", tmp_path / "asked"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$*" >> "{asked}"\necho x1\n')
    (tools / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.delenv("PBS_NODEFILE", raising=False)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "x[1-1]")
    cluster = placed(tmp_path, slots=1, launch=AS_LAUNCHED, per_node=1)
    jobs = [request(f"job{n}", SEEN + WRITE_GOOD) for n in range(2)]
    cluster.submit(jobs)
    wait_for(lambda: any(Path(cluster.root, one.directory, "seen").exists() for one in jobs))
    for _ in range(5):
        cluster.poll([ref(one) for one in jobs])
    Path(cluster.root, "go").touch()
    for one in jobs:
        assert isinstance(verdict(cluster, one), Finished)
    assert asked.read_text() == "show hostnames x[1-1]\n"


def test_slots_without_a_node_leave_the_jobs_to_those_that_have_one(tmp_path, monkeypatch):
    """The same configuration, in an allocation that is smaller."""
    nodes = tmp_path / "nodes"
    nodes.write_text("x1\n")
    monkeypatch.setenv("PBS_NODEFILE", str(nodes))
    cluster = placed(tmp_path, slots=3, launch=AS_LAUNCHED, per_node=1)
    jobs = [request(f"job{n}", WRITE_GOOD) for n in range(4)]
    cluster.submit(jobs)
    assert all(isinstance(verdict(cluster, job), Finished) for job in jobs)


def test_where_no_node_is_named_a_job_says_so(tmp_path, monkeypatch):
    (tmp_path / "nodes").touch()
    monkeypatch.setenv("PBS_NODEFILE", str(tmp_path / "nodes"))
    cluster = placed(tmp_path, slots=2, launch=AS_LAUNCHED, per_node=1)
    job = request("job", WRITE_GOOD)
    cluster.submit([job])
    found = verdict(cluster, job)
    assert isinstance(found, Failed)
    assert " has no node: neither PBS_NODEFILE nor " in found.failure.stderr_tail


def test_a_launcher_that_does_not_hand_the_environment_on_is_told_the_device(tmp_path, monkeypatch):
    monkeypatch.setenv("DEVICE", "4,7,9")
    keep = ["env", "-i", f"PATH={os.environ['PATH']}", "DEVICE={device}"]
    found = seen_by(tmp_path, 3, launch=keep, pin="DEVICE")
    assert found == ["4 None None", "7 None None", "9 None None"]


def test_what_a_launcher_said_that_failed_is_kept(tmp_path):
    cluster = placed(tmp_path, slots=1, launch=["sh", "-c", "echo no room for a step >&2; exit 7"])
    job = request("job", WRITE_GOOD)
    cluster.submit([job])
    found = verdict(cluster, job)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.LOST
    assert "no room for a step" in found.failure.stderr_tail
    assert "no room for a step" in found.failure.message


def test_a_job_on_another_node_is_cancelled_through_what_launched_it(tmp_path):
    cluster = placed(tmp_path, slots=1, launch=["env", "A=1"])
    job = request("job", "import time; open('up', 'w').close(); time.sleep(600)")
    cluster.submit([job])
    directory = Path(cluster.root, job.directory)
    wait_for((directory / "up").exists)
    innocent = subprocess.Popen(["sleep", "600"])
    (directory / "lock" / "host").write_text("node0007\n")
    (directory / "lock" / "pid").write_text(f"{innocent.pid}\n")
    cluster.cancel([ref(job)])
    found = verdict(cluster, job, cancelled=True)
    assert isinstance(found, Failed)
    assert found.failure.cause is Cause.CANCELLED
    assert not (directory / "STOP").exists()
    assert innocent.poll() is None
    innocent.send_signal(signal.SIGKILL)
    innocent.wait()


def test_a_process_number_is_told_after_the_host_that_it_is_of(tmp_path, monkeypatch):
    """Between the two a cancellation would end a process of this machine."""
    tools = tmp_path / "tools"
    tools.mkdir()
    late = f'[ ! -e lock/pid ] || : > "{tmp_path}/late"\nPATH=${{PATH#*:}} exec uname "$@"\n'
    (tools / "uname").write_text(f"#!/bin/sh\n{late}")
    (tools / "uname").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    cluster = placed(tmp_path, slots=1)
    job = request("job", WRITE_GOOD)
    cluster.submit([job])
    assert isinstance(verdict(cluster, job), Finished)
    assert Path(cluster.root, job.directory, "lock", "host").read_text().strip()
    assert not (tmp_path / "late").exists()


def test_a_word_of_the_launch_is_one_word(tmp_path):
    nasty = "a b'c\"d$(touch pwned)`id`;&|*{x}"
    out = tmp_path / "out"
    script = 'printf %s "$1" > "$2"; shift 2; exec "$@"'
    cluster = placed(tmp_path, slots=1, launch=["sh", "-c", script, "sh", nasty, str(out)])
    job = JobRequest("job", "dir", JobScript(["true"]), Resources(), {})
    cluster.submit([job])
    verdict(cluster, job)
    assert out.read_text() == nasty
    assert not list(tmp_path.rglob("pwned"))
