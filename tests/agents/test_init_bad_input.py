"""``init`` on bad input: one clear message, and nothing that was there is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def init(directory, *words):
    return subprocess.run(
        [sys.executable, "-m", "agents.run", "init", "--yes", *words],
        cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize("force", [False, True])
def test_a_site_that_is_none_writes_nothing(tmp_path, force):
    output = tmp_path / "a b.yaml"
    if force:
        output.write_text("mine: 1\n")
    done = init(tmp_path, "--site", "nosuch", "--output", "a b.yaml", *["--force"] * force)
    assert done.returncode == 2, done.stderr
    assert "a b.yaml:4: there is no site 'nosuch'" in done.stderr
    assert ".new" not in done.stderr
    assert (output.read_text() if output.exists() else None) == ("mine: 1\n" if force else None)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("walltime", ["0", "30s", "soon"])
def test_a_walltime_that_is_none_is_refused(tmp_path, walltime):
    done = init(tmp_path, "--walltime", walltime)
    assert done.returncode == 2, done.stderr
    assert f"--walltime {walltime}: " in done.stderr
    assert not list(tmp_path.iterdir())
