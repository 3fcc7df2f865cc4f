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


def run(*words, umask=-1):
    return subprocess.run(
        [*AS_ANYBODY, sys.executable, "-m", "agents.run", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
        umask=umask, env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
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


@pytest.fixture
def left_in_group(tmp_path):
    """A search of somebody whose group may write."""
    config = write_quick_search(tmp_path, ', run_pattern: "{experiment}"')
    done = run("--config", config, umask=0o002)
    assert done.returncode == 0, done.stderr
    return tmp_path / "results" / "small"


def test_who_may_write_by_the_umask_may_go_on_with_the_run(left_in_group):
    places = [p for p in left_in_group.iterdir() if not p.name.startswith("job_")]
    assert {p.name for p in places} >= {"study.db", "graph.db", "run.lock", "logs", "reports"}
    assert not [p.name for p in places if not p.stat().st_mode & 0o020]


@pytest.mark.parametrize("name", ["study.db", "graph.db"])
def test_a_database_that_may_not_be_written_is_told_with_its_remedy(left_in_group, name):
    (left_in_group / name).chmod(0o444)
    done = run("resume", left_in_group, "--max-iterations", 2)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"cannot write {name} there" in done.stderr
    assert f"chmod g+w {name}" in done.stderr
    assert "to save what other files tell" not in done.stderr
