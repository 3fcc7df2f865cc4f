"""Searches over ssh on a real Slurm while parts of the cluster fail: they wait, say for what, go on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from far_search import (
    PROGRAM,
    WRITE_RESULT,
    Site,
    connect,
    counts,
    disconnect,
    ended_well,
    hold,
    let_go,
    progress,
    runs,
    start,
    until,
    write_config,
)
from slurm_lab import SlurmLab

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

OUTAGE_SECONDS = float(os.environ.get("PILOTHOUSE_OUTAGE_SECONDS", "3"))
"""How long the part is away; longer than the jobs in flight take."""


def waits_for(config: Path) -> str:
    waiting = progress(config).get("waiting")
    return str(waiting["what"]) if isinstance(waiting, dict) else ""


def all_ran_once(directory: Path) -> None:
    assert counts(directory)["completed"] == 4
    assert runs(directory) == ["x"] * 4


@pytest.fixture
def running(
    slurm_site: Site, plain_slurm: SlurmLab, tmp_path: Path
) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A search whose first jobs run."""
    plain_slurm.wait_until_idle()
    config = write_config(tmp_path, slurm_site, "plain")
    connect(config)
    hold(tmp_path, 0, 1)
    search = start(config)
    until(lambda: len(runs(tmp_path)) == 2, search)
    yield config, search
    search.kill()
    disconnect(config)


def test_sshd_stops_and_starts(
    running: tuple[Path, subprocess.Popen[str]], slurm_site: Site, tmp_path: Path
) -> None:
    config, search = running
    slurm_site.sshd.cut()
    slurm_site.sshd.stop()
    try:
        until(lambda: waits_for(config), search)
        let_go(tmp_path)
        time.sleep(OUTAGE_SECONDS)
    finally:
        slurm_site.sshd.start()
    connect(config)
    ended_well(search)
    all_ran_once(tmp_path)


def test_the_controller_stops_and_starts(
    running: tuple[Path, subprocess.Popen[str]], plain_slurm: SlurmLab, tmp_path: Path
) -> None:
    config, search = running
    plain_slurm.stop_controller(signal.SIGTERM)
    try:
        until(lambda: waits_for(config) == "scheduler", search)
        let_go(tmp_path)
        time.sleep(OUTAGE_SECONDS)
    finally:
        plain_slurm.start_controller()
    ended_well(search)
    all_ran_once(tmp_path)


def test_munge_stops_and_starts(
    running: tuple[Path, subprocess.Popen[str]], plain_slurm: SlurmLab, tmp_path: Path
) -> None:
    config, search = running
    plain_slurm.stop_munge()
    try:
        until(lambda: waits_for(config) == "scheduler", search)
        let_go(tmp_path)
        time.sleep(OUTAGE_SECONDS)
    finally:
        plain_slurm.start_munge()
    ended_well(search)
    all_ran_once(tmp_path)


FILL = """\
import glob
if task["trial"] == 1:
    while not glob.glob("../job_*_0000/exit_code"):
        time.sleep(0.05)
    with open("../filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            filler.truncate(max(0, filler.tell() - 4 * 4096))
"""


def test_the_disk_there_is_full(slurm_site: Site, tmp_path: Path) -> None:
    """The last job of the first iteration leaves room for its own end, not for another job."""
    remote = tmp_path / "remote"
    remote.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(remote)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        config = write_config(tmp_path, slurm_site, "plain", PROGRAM + WRITE_RESULT + FILL)
        connect(config)
        search = start(config)
        until(lambda: "disk" in waits_for(config), search)
        waiting = progress(config)["waiting"]
        assert isinstance(waiting, dict) and f"make room in {remote}" in waiting["remedy"]
        (filler,) = remote.glob("*/filler")
        filler.unlink()
        ended_well(search)
        all_ran_once(tmp_path)
        disconnect(config)
    finally:
        subprocess.run(["umount", "-l", str(remote)], check=True)


HALVES = """\
with open("results.json", "w") as out:
    out.write(result[:60])
    out.flush()
    time.sleep(2)
    if task["trial"] != 1:
        out.write(result[60:])
"""


def test_a_result_that_is_written_in_halves(slurm_site: Site, tmp_path: Path) -> None:
    """What is completed later is taken whole; what stays half is a failed trial with the reason."""
    config = write_config(tmp_path, slurm_site, "plain", PROGRAM + HALVES)
    connect(config)
    screen = ended_well(start(config))
    disconnect(config)
    assert runs(tmp_path) == ["x"] * 4
    found = counts(tmp_path)
    assert (found["completed"], found["failed"]) == (3, 1), screen
    assert "results.json" in screen
