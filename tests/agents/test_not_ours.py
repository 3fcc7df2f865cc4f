"""Runs and directories of somebody else: they can be looked at, and one message says what cannot be done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quick_search import write_quick_search

ROOT = Path(__file__).parents[2]
AS_ANYBODY = (
    [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
)
"""Root writes everywhere unless it gives that up."""
pytestmark = pytest.mark.skipif(
    bool(AS_ANYBODY) and shutil.which("setpriv") is None, reason="needs util-linux"
)


def run(*words):
    return subprocess.run(
        [*AS_ANYBODY, sys.executable, "-m", "agents.run", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


def closed(directory):
    for place in (directory, *(p for p in directory.rglob("*") if not p.is_symlink())):
        place.chmod(0o555 if place.is_dir() else 0o444)
    return directory


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A search and an experiment in a directory that cannot be written any more."""
    base = tmp_path_factory.mktemp("theirs")
    config = write_quick_search(base, ', run_pattern: "{experiment}"')
    assert run("--config", config).returncode == 0
    assert run("submit", "--config", config, "--wait").returncode == 0
    yield closed(base)
    for place in (base, *base.rglob("*")):
        place.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["resume", "DIR/results/small", "--max-iterations", "3"], 2),
        (["resume", "DIR/results/small", "--max-iterations", "3", "--background"], 2),
        (["report", "DIR/results/small"], 2),
        (["harvest", "DIR/results"], 1),
        (["init", "--yes", "--output", "DIR/mine.yaml"], 2),
    ],
)
def test_one_message_says_that_it_may_not_be_written(theirs, words, code):
    done = run(*(word.replace("DIR", str(theirs)) for word in words))
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown, shown
    assert done.returncode == code, shown
    assert "cannot write" in shown
    assert str(theirs) in shown


def test_it_can_be_looked_at(theirs, tmp_path):
    search = theirs / "results" / "small"
    for words in (["status"], ["watch"], ["explain"], ["export"], ["report"]):
        more = {"explain": ["0"], "report": ["--output", tmp_path / "page.html"]}
        done = run(*words, search, *more.get(words[0], []))
        assert done.returncode == 0, done.stderr


def test_clean_offers_nothing_that_it_cannot_delete(theirs):
    done = run("clean", theirs / "results", "--older-than", "0s", "--yes")
    assert done.returncode == 0, done.stderr
    assert "you cannot write there" in done.stdout
    assert "nothing to delete" in done.stdout
