"""A disk with no room on this side: one message, and the run can be resumed."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.config.model import DirectorySettings
from agents.journal import Journal
from agents.run_lock import RunLock, is_held
from agents.workspace import create

ROOT = Path(__file__).parents[2]
CONFIG = """\
experiment: {id: full}
search_space:
  x: {type: float, low: 0, high: 1}
training: {command: ["true"]}
"""


@contextmanager
def no_room():
    """No file of this process may grow, as where a quota is used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_log_that_cannot_be_written_hides_no_error(tmp_path):
    journal = Journal(tmp_path / "run.jsonl")
    with no_room():
        for number in range(200):  # more than any buffer holds
            journal.event("unexpected", "error", traceback=f"{number} " * 100)
        journal.close()


def test_a_lock_that_cannot_be_written_names_its_file_and_is_let_go(tmp_path):
    lock = tmp_path / "run.lock"
    with no_room(), pytest.raises(OSError, match=r"run\.lock"):
        RunLock(lock)
    assert not is_held(lock)


def test_a_run_on_a_full_disk_ends_with_one_message_that_names_the_file(tmp_path):
    settings = DirectorySettings(local_base=tmp_path)
    run = create(settings, "full", CONFIG, datetime.now(UTC)).directory
    limited = f"ulimit -f 0; exec '{sys.executable}' -m agents.run resume '{run}'"
    done = subprocess.run(
        ["sh", "-c", limited],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {run}/run.lock: cannot write: ")
    assert "Traceback" not in done.stderr
