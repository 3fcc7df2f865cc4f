"""A newcomer's first half hour on a cluster behind a login: the real commands, on a terminal.

init, doctor, resources, the search, watch and steering from another terminal, the report.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from far_search import ROOT, Site, until
from loopback_sshd import PASSPHRASE
from slurm_lab import SlurmLab
from terminal import converse

from agents.config import load

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


class Person:
    """Someone at a terminal in a directory."""

    def __init__(self, directory: Path, columns: int = 100) -> None:
        self.directory = directory
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns)}

    def types(self, *words: object, answers: Mapping[str, str] | None = None) -> str:
        """Run a verb to its end; it has to end well."""
        code, screen = converse(self.command(*words), answers or {}, timeout=300)
        assert code == 0, screen
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)

    def command(self, *words: object) -> list[str]:
        line = [sys.executable, "-m", "agents.run", *map(str, words)]
        return ["sh", "-c", 'cd "$0" && exec "$@"', str(self.directory), *line]

    def starts(self, *words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    home = tmp_path / "my work"
    home.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "100")
    return Person(home)


def test_the_first_half_hour(
    slurm_site: Site, plain_slurm: SlurmLab, person: Person, tmp_path: Path
) -> None:
    config = person.directory / "lab.yaml"
    screen = person.types(
        "init", "--host", "mfa", "--ssh-config", slurm_site.sshd.config, "--output", config,
        "--base", tmp_path / "far", "--python", sys.executable, "--walltime", "5m", "--gpus", 0,
        answers={"passphrase": PASSPHRASE},
    )  # fmt: skip
    assert "queue debug: 1 node, 4 a100" in screen
    assert "next:" in screen
    assert "run connect" not in screen  # it is open
    written = load(config).settings.cluster
    assert (written.batch_system.kind, written.resources.queue) == ("slurm", "debug")
    assert written.transport.kind == "ssh"

    screen = person.types("doctor", "--config", config)
    assert "failed" not in screen
    screen = person.types("resources", "--config", config)
    assert "4 of 4 a100" in screen
    assert "first start: queue" in screen

    # No job starts before the person has typed all that is to be typed while they run.
    partition = ("scontrol", "update", "partitionname=debug")
    plain_slurm.client(*partition, "state=down", check=True)
    try:
        search = person.starts(
            "--config", config, "--set", "cluster.poll={floor: 0.3s, ceiling: 1s}"
        )
        runs = person.directory / "results"
        until(lambda: list(runs.glob("*/study.db")), search)
        (run,) = (path for path in runs.iterdir() if path.is_dir() and not path.is_symlink())
        until(lambda: list((tmp_path / "far").glob("*/job_*/job.id")), search)
        for request in (
            ("note", run, "large rates diverge here"),
            ("add", run, "learning_rate=0.01", "width=100"),
            ("forbid", run, "learning_rate > 0.5"),
            ("set", run, "loop.max_iterations=3"),
        ):
            person.types(*request)
    finally:
        plain_slurm.client(*partition, "state=up", check=True)
    screen = person.types("watch", run)
    assert search.wait(timeout=300) == 0, search.communicate()[0]
    assert "trial" in screen

    state = json.loads((run / "summary.json").read_text())
    assert state["counts"]["completed"] == 6
    assert state["best"]["parameters"] == {"learning_rate": 0.01, "width": 100}
    screen = person.types("status", run)
    assert "finished" in screen
    person.types("report", run)
    page = (run / "reports" / "report.html").read_text()
    for told in ("large rates diverge here", "learning_rate &gt; 0.5", "loop.max_iterations"):
        assert told in page
    table = person.types("export", run, "--format", "csv", "--output", person.directory / "t.csv")
    assert "t.csv" in table
    assert len((person.directory / "t.csv").read_text().splitlines()) == 7
    person.types("disconnect", "--config", config)


def test_init_asks_for_nothing_that_it_can_find(
    slurm_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the login node itself, without a terminal."""
    for key, value in slurm_site.sshd.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    config = tmp_path / "here.yaml"
    command = [sys.executable, "-m", "agents.run", "init", "--output", str(config)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    cluster = load(config).settings.cluster
    assert cluster.remote_base == f"{tmp_path}/pilothouse"
    assert (cluster.resources.queue, cluster.resources.gpus) == ("debug", 1)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    wrong = subprocess.run(
        [*command, "--force", "--queue", "nowhere"], cwd=ROOT, capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "--queue nowhere: there are debug, scavenge, urgent" in wrong.stderr
