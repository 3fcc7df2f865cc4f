"""Jobs over every transport, and exactly once whatever breaks meanwhile."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_sshd import LoopbackSshd

from scheduler.batch.local import LocalBatch
from scheduler.cluster import Cluster
from scheduler.errors import Away
from scheduler.job import JobRef, JobRequest, JobScript, Observation, Resources, Submitted
from scheduler.settings import LocalBatchSettings
from scheduler.transport import Completed, Transport, TransportState
from scheduler.transports import open_transport
from scheduler.transports.ssh_master import Master

RESULT = '{"schema": 1, "status": "completed", "metrics": {}}'
PROGRAM = f"open('runs', 'a').write('x'); open('results.json', 'w').write('{RESULT}')"


def make_cluster(transport: Transport, base: Path) -> Cluster:
    batch = LocalBatch(LocalBatchSettings(slots=4))
    cluster = Cluster(transport, batch, str(base), "run")
    cluster.prepare()
    return cluster


def requests(count: int) -> list[JobRequest]:
    script = JobScript([sys.executable, "-S", "-c", PROGRAM])
    return [
        JobRequest(f"job{i}", f"dir_{i}", script, Resources(), {"hyperparameters.json": b"{}"})
        for i in range(count)
    ]


def ended(cluster: Cluster, jobs: list[JobRequest]) -> dict[str, Observation]:
    refs = [JobRef(job.name, job.directory, job.name) for job in jobs]
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        seen = cluster.poll(refs)
        if all(each.result and each.exit_code is not None for each in seen.values()):
            return seen
        time.sleep(0.05)
    raise AssertionError(f"jobs did not end: {seen}")


def test_jobs_run_and_their_results_come_back(transport: Transport, tmp_path: Path) -> None:
    cluster, jobs = make_cluster(transport, tmp_path), requests(3)
    assert cluster.submit(jobs) == {job.name: Submitted(job.name, job.name) for job in jobs}
    for seen in ended(cluster, jobs).values():
        assert (seen.exit_code, seen.result) == (0, RESULT.encode())


class OneTrip:
    """Counts round trips."""

    def __init__(self, transport: Transport) -> None:
        self.transport, self.trips, self.name = transport, 0, transport.name

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        self.trips += 1
        return self.transport.run(script, stdin=stdin, timeout=timeout)

    def __getattr__(self, name: str) -> object:
        return getattr(self.transport, name)


@pytest.mark.parametrize("count", [1, 8])
def test_one_round_trip_whatever_the_number(
    transport: Transport, tmp_path: Path, count: int
) -> None:
    counted = OneTrip(transport)
    cluster, jobs = make_cluster(counted, tmp_path), requests(count)
    counted.trips = 0
    cluster.submit(jobs)
    assert counted.trips == 1
    cluster.poll([JobRef(job.name, job.directory, job.name) for job in jobs])
    assert counted.trips == 2
    ended(cluster, jobs)


@pytest.fixture(params=["ssh", "paramiko"])
def mended(
    request: pytest.FixtureRequest, sshd: LoopbackSshd
) -> Iterator[tuple[Transport, Master]]:
    """A transport and the master with which a person mends it."""
    master = Master(sshd.ssh())
    master.connect()
    transport = open_transport(sshd.ssh() if request.param == "ssh" else sshd.paramiko())
    yield transport, master
    transport.close()
    master.disconnect()


@pytest.mark.parametrize("seed", range(3))
def test_a_submission_that_is_cut_anywhere_runs_each_job_once(
    sshd: LoopbackSshd, mended: tuple[Transport, Master], tmp_path: Path, seed: int
) -> None:
    transport, master = mended
    cluster, jobs = make_cluster(transport, tmp_path), requests(12)
    dice = random.Random(seed)
    for _ in range(3):
        cut = threading.Timer(dice.uniform(0, 0.12), sshd.cut)
        cut.start()
        with contextlib.suppress(Away):
            cluster.submit(jobs)
        cut.join()
        mend(transport, master)
    assert cluster.submit(jobs) == {job.name: Submitted(job.name, job.name) for job in jobs}
    ended(cluster, jobs)
    for job in jobs:
        assert (tmp_path / "run" / job.directory / "runs").read_text() == "x"


def mend(transport: Transport, master: Master) -> None:
    """What a person does, or paramiko by itself, until the connection is back."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        with contextlib.suppress(Away):
            master.connect()
            if transport.state() is TransportState.READY:
                return
        time.sleep(0.05)
    raise AssertionError("the connection did not come back")
