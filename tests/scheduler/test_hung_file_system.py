"""A file system that hangs, as that of a dead NFS server: a real one, whose server is stopped."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from local_cluster import WRITE_GOOD, ref, request, verdict

from scheduler import cluster as cluster_module
from scheduler.batch.local import LocalBatch
from scheduler.cluster import Cluster
from scheduler.errors import TooSlow
from scheduler.outcome import Finished
from scheduler.settings import LocalBatchSettings
from scheduler.transports.local import LocalTransport


@pytest.fixture
def frozen_disk(tmp_path):
    """A mount, and what stops (SIGSTOP) and continues (SIGCONT) its server."""
    place, behind = tmp_path / "disk", tmp_path / "behind"
    place.mkdir()
    behind.mkdir()
    if shutil.which("bindfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("needs bindfs and /dev/fuse")
    server = subprocess.Popen(["bindfs", "-f", str(behind), str(place)])
    try:
        for _ in range(200):
            if place.is_mount():
                break
            try:
                server.wait(0.05)
                pytest.skip("needs the right to mount a FUSE file system")
            except subprocess.TimeoutExpired:
                pass
        yield place, server.send_signal
    finally:
        server.send_signal(signal.SIGCONT)
        subprocess.run(["umount", "-l", str(place)], check=False)
        server.terminate()
        server.wait()


def test_a_file_system_that_hangs_is_waited_for_and_named(frozen_disk, monkeypatch):
    place, signals = frozen_disk
    cluster = Cluster(LocalTransport(), LocalBatch(LocalBatchSettings()), str(place), "run")
    cluster.prepare()
    job = request("job", WRITE_GOOD)
    cluster.submit([job])
    monkeypatch.setattr(cluster_module, "ROUND_TRIP_SECONDS", 1.0)
    signals(signal.SIGSTOP)
    with pytest.raises(TooSlow) as caught:
        cluster.poll([ref(job)])
    assert caught.value.waiting_for == "an answer"
    assert f"`ls {cluster.root}` hangs" in caught.value.remedy
    signals(signal.SIGCONT)
    monkeypatch.undo()
    assert isinstance(verdict(cluster, job), Finished)


def test_the_command_to_look_with_finds_the_home_directory():
    class Slow(LocalTransport):
        def run(self, script, *, stdin=b"", timeout):
            raise TooSlow("login1", timeout)

    cluster = Cluster(Slow(), LocalBatch(LocalBatchSettings()), "~/my runs", "run")
    with pytest.raises(TooSlow) as caught:
        cluster.prepare()
    assert """`ls "$HOME"/'my runs/run'` hangs""" in caught.value.remedy
