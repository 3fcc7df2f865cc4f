"""A ledger's file is made whole or not at all, wherever the process that makes it dies."""

import os
import signal
import sqlite3

import pytest

from agents.errors import LedgerError
from agents.ledger import Ledger
from agents.ledger_file import open_storage


def opened(directory):
    Ledger.open(f"sqlite:///{directory / 'study.db'}", "run", "maximize", None).close()


def dies_before_statement(count, directory):
    """Whether a process that opens a ledger got as far as its `count`-th statement, and died."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    child = os.fork()
    if child == 0:
        statements = iter(range(1, count + 1))

        def tick(*_):
            if next(statements, count) == count:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", tick)
        opened(directory)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.slow
def test_killed_before_any_statement_of_its_making_it_can_be_opened_again_and_again(tmp_path):
    opened(tmp_path)  # Everything is imported.
    count, died, named_at = 0, True, 0
    while died:
        # Until the file has its name all deaths are alike: it is made anew.
        count += 1 if named_at else 5
        directory = tmp_path / str(count)
        directory.mkdir()
        died = dies_before_statement(count, directory)
        if not named_at and (directory / "study.db").exists():
            named_at = count
        for _ in range(2):
            opened(directory)
        with sqlite3.connect(directory / "study.db") as database:
            assert database.execute("select study_name from studies").fetchall() == [("run",)]
    assert 20 < named_at < count - 10


def test_of_two_that_make_it_at_once_both_get_the_same(tmp_path, monkeypatch):
    from agents import ledger_file

    give_name = ledger_file._give_name

    def late(unfinished, path):
        monkeypatch.setattr(ledger_file, "_give_name", give_name)
        opened(tmp_path)
        give_name(unfinished, path)

    monkeypatch.setattr(ledger_file, "_give_name", late)
    opened(tmp_path)
    assert os.listdir(tmp_path) == ["study.db"]
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    assert [study.study_name for study in storage.get_all_studies()] == ["run"]


def test_where_there_are_no_hard_links_it_is_made_all_the_same(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    opened(tmp_path)
    opened(tmp_path)
    assert os.listdir(tmp_path) == ["study.db"]


def test_what_the_database_said_is_in_the_message(tmp_path):
    (tmp_path / "study.db").write_text("this is no database" * 100)
    with pytest.raises(LedgerError, match="file is not a database"):
        opened(tmp_path)
