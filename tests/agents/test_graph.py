"""The file of the loop's position: shared by file systems of all kinds, damaged, in use."""

import sqlite3

import pytest

from agents.graph import _Shape, run_graph

START = {"iteration": 1, "in_flight": [], "stop": None}


class Nodes(_Shape):
    """Does nothing but `look` at each decision, and ends."""

    def __init__(self, look=lambda: None):
        self.look = look

    def decide(self, position):
        self.look()
        return {}


def opened(path):
    return sqlite3.connect(path, timeout=0)


def mode(path):
    return opened(path).execute("PRAGMA journal_mode").fetchone()[0]


def test_there_is_no_write_ahead_log_and_others_may_read_meanwhile(tmp_path):
    """A log needs memory that hosts do not share; a lock that stays would outlive its host."""
    path, seen = tmp_path / "graph.db", []

    def look():
        (rows,) = opened(path).execute("SELECT count(*) FROM checkpoints").fetchone()
        seen.append((rows > 0, {one.name for one in tmp_path.iterdir()}))

    run_graph(Nodes(look), path, "t", START)
    assert seen == [(True, {"graph.db"})]
    assert mode(path) == "delete"


def test_a_file_of_a_version_before_is_read_with_its_log_and_loses_it(tmp_path):
    path = tmp_path / "graph.db"
    run_graph(Nodes(), path, "t", START)
    before = sqlite3.connect(path)
    before.execute("PRAGMA journal_mode = WAL")
    before.execute("CREATE TABLE kept (x)")
    before.commit()
    left = {one.name: one.read_bytes() for one in tmp_path.iterdir()}  # as kill -9 leaves it
    assert "graph.db-wal" in left
    before.close()
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
    run_graph(Nodes(), path, "t", START)
    assert mode(path) == "delete"
    assert opened(path).execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_damaged_file_is_set_aside_as_often_as_it_must_be_and_nothing_is_left_beside_the_new_one(
    tmp_path,
):
    path, said = tmp_path / "graph.db", []
    for number in range(2):
        run_graph(Nodes(), path, "t", START)
        path.write_bytes(path.read_bytes()[:1500])
        (tmp_path / "graph.db-journal").write_bytes(b"of the damaged one")
        run_graph(Nodes(), path, "t", START, said.append)
        assert len(said) == number + 1
    assert {one.name for one in tmp_path.iterdir()} == {
        "graph.db",
        "graph.db.damaged",
        "graph.db.damaged1",
    }
    assert "graph.db.damaged1, and the search goes on" in said[1]


def test_a_file_that_another_process_holds_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch):
    path = tmp_path / "graph.db"
    run_graph(Nodes(), path, "t", START)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **named: connect(*a, **named, timeout=0))
    holder = connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        run_graph(Nodes(), path, "t", START)
    assert [one.name for one in tmp_path.iterdir() if "damaged" in one.name] == []
