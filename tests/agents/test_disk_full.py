"""A disk with no room on this side: one message, and the run can be resumed."""

import errno
import os
import re
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import quick_search
import sqlalchemy.exc
from quick_search import write_quick_search

from agents.config.model import DirectorySettings
from agents.errors import LedgerError, NoRoom
from agents.journal import Journal
from agents.no_room import Files, no_room, told
from agents.run_lock import RunLock, is_held
from agents.workspace import create
from training.contract import write_atomically

ROOT = Path(__file__).parents[2]
CONFIG = """\
experiment: {id: full}
search_space:
  x: {type: float, low: 0, high: 1}
training: {command: ["true"]}
"""


@contextmanager
def no_room_left():
    """No file of this process may grow, as where a quota is used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_log_that_cannot_be_written_hides_no_error(tmp_path):
    journal = Journal(tmp_path / "run.jsonl")
    with no_room_left():
        for number in range(200):  # more than any buffer holds
            journal.event("unexpected", "error", traceback=f"{number} " * 100)
        journal.close()


def test_a_lock_that_cannot_be_written_names_its_file_and_is_let_go(tmp_path):
    lock = tmp_path / "run.lock"
    with no_room_left(), pytest.raises(OSError, match=r"run\.lock"):
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
    assert f"to go on: python -m agents.run --resume {run}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_search_that_meets_the_end_of_the_disk_says_so_and_goes_on_without_loss(tmp_path):
    """A limit on files stands for the disk: the ledger reaches it in the middle of the search."""
    config = write_quick_search(tmp_path)
    marks = 'mkdir "$1/ran" || exit 9\n'  # each job runs once
    (tmp_path / "program.sh").write_text(marks + (tmp_path / "program.sh").read_text())
    limit = (122880 + 24 * 1024) // 512
    begun = limited(limit, "--config", config, "--set", "loop.max_iterations=40")
    assert begun.returncode == 1, begun.stdout
    (run,) = (tmp_path / "results").iterdir()
    assert "iteration 1 of 40 is done" in begun.stdout
    assert begun.stderr.count("\n") == 2, begun.stderr
    assert "cannot write: File too large; a limit on the size of files is reached" in begun.stderr
    assert f"{run}/" in begun.stderr
    assert f"to go on: python -m agents.run --resume {run}" in begun.stderr
    more = len(list(run.glob("job_*"))) + 1
    gone_on = quick_search.run("--resume", run, "--max-iterations", more)
    assert gone_on.returncode == 0, gone_on.stderr
    ended = re.findall(r"^trial (\d+) completed", begun.stdout + gone_on.stdout, re.MULTILINE)
    assert sorted(map(int, ended)) == list(range(more))
    assert len(list(run.glob("job_*/ran"))) == len(list(run.glob("job_*"))) == more


def limited(blocks, *words):
    """The command line with no file of more than so many blocks of 512 bytes, as POSIX has it."""
    words = [sys.executable, "-m", "agents.run", *map(str, words)]
    return subprocess.run(
        ["dash", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )  # fmt: skip


def files(tmp_path):
    return Files(tmp_path, tmp_path / "study.db", tmp_path / "graph.db")


def full_database(path):
    """SQLite's own error of a disk that is full."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (x)")
        connection.execute("pragma max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("insert into t values (zeroblob(100000))")
    return caught.value


def test_a_full_database_names_its_file_and_what_is_free(tmp_path):
    found = no_room(full_database(tmp_path / "x.db"), files(tmp_path), "GO ON")
    assert re.fullmatch(
        rf"{tmp_path}/graph\.db: cannot write: No space left on device; {tmp_path} has [\d.]+ \w+ free: "
        r"make room there\. GO ON",
        str(found),
    )


def test_the_ledgers_library_stands_between_and_the_ledger_is_named(tmp_path):
    wrapped = sqlalchemy.exc.OperationalError("insert", {}, full_database(tmp_path / "x.db"))
    wrapped.__cause__ = wrapped.orig
    outer = RuntimeError("in the words of a library")
    outer.__cause__ = wrapped
    assert str(no_room(outer, files(tmp_path), "")).startswith(f"{tmp_path}/study.db: ")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EDQUOT, "your quota is used up in"),
        (errno.EROFS, "takes no writing"),
        (errno.ENOSPC, "free: make room there"),
    ],
)
def test_a_quota_and_a_file_system_that_takes_nothing_have_remedies_of_their_own(
    tmp_path, number, says
):
    error = OSError(number, os.strerror(number), str(tmp_path / "reports" / "report.html"))
    found = str(no_room(error, files(tmp_path), ""))
    assert found.startswith(
        f"{tmp_path}/reports/report.html: cannot write: {os.strerror(number)}; "
    )
    assert says in found


def no_journal(path):
    """SQLite's own error where it cannot make its journal, as where a quota on files is used up."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (x)")
        path.with_name(f"{path.name}-journal").symlink_to(path.parent / "nowhere" / "x")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("insert into t values (1)")
    assert caught.value.sqlite_errorname.startswith("SQLITE_CANTOPEN")
    return caught.value


def test_a_journal_that_cannot_be_made_is_tried_before_a_quota_is_blamed(tmp_path):
    error = no_journal(tmp_path / "graph.db")
    assert no_room(error, files(tmp_path), "") is None
    with no_room_left():
        found = no_room(error, files(tmp_path), "")
    assert str(found).startswith(f"{tmp_path}/graph.db: cannot write: ")


def test_a_ledger_that_a_quota_keeps_from_being_opened_is_told_as_one(tmp_path):
    error = LedgerError("cannot open the ledger")
    error.__cause__ = no_journal(tmp_path / "graph.db")
    with no_room_left(), pytest.raises(NoRoom, match="cannot write"), told(files(tmp_path), ""):
        raise error


def test_a_database_that_cannot_be_read_is_no_full_disk(tmp_path):
    broken = sqlite3.OperationalError("disk I/O error")
    broken.sqlite_errorname = "SQLITE_IOERR_READ"
    with no_room_left():
        assert no_room(broken, files(tmp_path), "") is None


def test_a_file_that_cannot_be_written_by_rename_is_named(tmp_path):
    with no_room_left(), pytest.raises(OSError, match=r"report\.html'$"):
        write_atomically(tmp_path / "report.html", b"x")


def test_other_errors_are_no_full_disk(tmp_path):
    broken = sqlite3.OperationalError("database is locked")
    assert no_room(broken, files(tmp_path), "") is None
    assert no_room(ValueError("x"), files(tmp_path), "") is None
    with pytest.raises(ValueError, match="x"), told(files(tmp_path), ""):
        raise ValueError("x")
