"""A real Slurm behind a real sshd, by every transport that leads there."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_sshd import LoopbackSshd, need_sshd

from scheduler.batch.slurm import SlurmBatch
from scheduler.cluster import Cluster
from scheduler.errors import Away
from scheduler.job import JobRef, JobRequest, JobScript, Resources, Submitted
from scheduler.settings import SlurmBatchSettings
from scheduler.transport import Transport
from scheduler.transports import open_transport, ssh_master
from scheduler.transports.ssh_master import Master

pytestmark = pytest.mark.cluster

RESULT = '{"schema": 1, "status": "completed", "metrics": {}}'
PROGRAM = f"open('runs', 'a').write('x'); open('results.json', 'w').write('{RESULT}')"


@pytest.fixture(scope="module")
def sshd(plain_slurm, tmp_path_factory) -> Iterator[LoopbackSshd]:
    need_sshd()
    server = LoopbackSshd(tmp_path_factory.mktemp("sshd"), environment=plain_slurm.environment)
    server.start()
    yield server
    server.close()


@pytest.fixture(params=["ssh", "paramiko"])
def line(request, sshd, tmp_path_factory, monkeypatch) -> Iterator[tuple[Transport, Master]]:
    monkeypatch.setattr(ssh_master, "OWN_DIRECTORY", str(tmp_path_factory.mktemp("own") / "d"))
    master = Master(sshd.ssh("noisy"))
    master.connect()
    settings = sshd.ssh("noisy") if request.param == "ssh" else sshd.paramiko("noisy")
    transport = open_transport(settings)
    yield transport, master
    transport.close()
    master.disconnect()


def requests(count: int) -> list[JobRequest]:
    script = JobScript([sys.executable, "-S", "-c", PROGRAM])
    resources = Resources(walltime_seconds=120)
    return [
        JobRequest(f"job{time.time_ns()}_{i}", f"dir_{i}", script, resources, {})
        for i in range(count)
    ]


def end(cluster: Cluster, answers: dict[str, Submitted], jobs: list[JobRequest]) -> None:
    refs = [JobRef(job.name, job.directory, answers[job.name].job_id) for job in jobs]
    seen = None
    for _ in range(600):
        with contextlib.suppress(Away):
            seen = cluster.poll(refs)
            if all(each.result == RESULT.encode() for each in seen.values()):
                return
        time.sleep(0.1)
    raise AssertionError(f"jobs did not end: {seen}")


def test_jobs_run_once_though_the_submission_is_cut(
    sshd: LoopbackSshd, line: tuple[Transport, Master], tmp_path: Path
) -> None:
    transport, master = line
    cluster = Cluster(transport, SlurmBatch(SlurmBatchSettings(kind="slurm")), str(tmp_path), "run")
    cluster.prepare()
    jobs = requests(6)
    cut = threading.Timer(0.08, sshd.cut)
    cut.start()
    answers: dict[str, object] = {}
    limit = time.monotonic() + 360  # One may be in doubt for three minutes.
    while time.monotonic() < limit:
        with contextlib.suppress(Away):
            master.connect()
            answers.update(cluster.submit(jobs))
        cut.join()
        with contextlib.suppress(Away):
            master.connect()
        if all(isinstance(answers.get(job.name), Submitted) for job in jobs):
            break
        time.sleep(0.1)
    end(cluster, answers, jobs)
    for job in jobs:
        assert (tmp_path / "run" / job.directory / "runs").read_text() == "x"
