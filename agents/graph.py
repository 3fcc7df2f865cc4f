"""The loop as a LangGraph state machine: which node follows which, and where it can be resumed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from agents.ledger_file import with_the_usual_mode

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph.state import CompiledStateGraph


class Position(TypedDict):
    """The loop's position: all that a checkpoint holds. What is known of trials is in the ledger."""

    iteration: int
    """From 1."""
    in_flight: list[int]
    """Numbers of the trials that run."""
    stop: dict[str, Any] | None
    """Why the search stops (`StopReason` as JSON); None while it goes on."""


NODES = (
    "prepare",
    "propose",
    "submit",
    "wait",
    "collect",
    "report",
    "decide",
    "confirm",
    "finish",
)

Update = Mapping[str, Any]
AfterCollect = Literal["submit", "wait", "report"]
AfterDecide = Literal["propose", "wait", "confirm", "finish"]


class Nodes(Protocol):
    """The nodes. Each is idempotent: running it again after a crash does what once does."""

    def prepare(self, position: Position) -> Update: ...
    def propose(self, position: Position) -> Update: ...
    def submit(self, position: Position) -> Update: ...
    def wait(self, position: Position) -> Update: ...
    def collect(self, position: Position) -> Update: ...
    def report(self, position: Position) -> Update: ...
    def decide(self, position: Position) -> Update: ...
    def confirm(self, position: Position) -> Update: ...
    def finish(self, position: Position) -> Update: ...
    def after_collect(self, position: Position) -> AfterCollect: ...
    def after_decide(self, position: Position) -> AfterDecide: ...


def build_graph(
    nodes: Nodes, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled state machine over `nodes`."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(Position)
    for name in NODES:
        graph.add_node(name, getattr(nodes, name))
    graph.add_edge(START, "prepare")
    for source, target in (
        ("prepare", "propose"),
        ("propose", "submit"),
        ("submit", "wait"),
        ("wait", "collect"),
        ("report", "decide"),
        ("confirm", "submit"),
        ("finish", END),
    ):
        graph.add_edge(source, target)
    graph.add_conditional_edges("collect", nodes.after_collect, ["submit", "wait", "report"])
    graph.add_conditional_edges(
        "decide", nodes.after_decide, ["propose", "wait", "confirm", "finish"]
    )
    return graph.compile(checkpointer=checkpointer)


def mermaid() -> str:
    """The state machine as Mermaid text, made from the compiled graph."""
    return build_graph(_Shape()).get_graph().draw_mermaid()


class _Shape:
    """Nodes that do nothing, for drawing."""

    def _nothing(self, position: Position) -> Update:
        return {}

    prepare = propose = submit = wait = collect = report = decide = confirm = finish = _nothing

    def after_collect(self, position: Position) -> AfterCollect:
        return "report"

    def after_decide(self, position: Position) -> AfterDecide:
        return "finish"


KEPT_CHECKPOINTS = 20


def run_graph(
    nodes: Nodes,
    path: Path,
    thread: str,
    start: Position,
    noticed: Callable[[str], None] = lambda text: None,
) -> None:
    """Run the machine to its end, from its last checkpoint in the SQLite file `path` if it has one.

    `start` is the position where there is no checkpoint. A damaged file is set aside: `start`, from
    the ledger, is as good; `noticed` is told. Each node's outcome is on disk before the next node
    begins (durability "sync").
    """
    saver = _open(path, noticed)
    with closing(saver.conn) as connection:
        graph = build_graph(nodes, saver)
        config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": 1_000_000_000}
        known = graph.get_state(config)
        entry = None if known.next else start
        for done in graph.stream(entry, config, durability="sync", stream_mode="updates"):
            if "decide" in done:
                _prune(connection, thread)


def _open(path: Path, noticed: Callable[[str], None]) -> SqliteSaver:
    """Open the file; a new one where the old one is damaged."""
    try:
        return _saver(path)
    except sqlite3.OperationalError:
        raise  # a full disk, another process: the file may be whole
    except sqlite3.DatabaseError as error:
        aside = _set_aside(path)
        noticed(
            f"the loop's position, {path.name}, was damaged ({error}): it is now {aside.name}, and "
            "the search goes on from its ledger"
        )
        return _saver(path)


def _saver(path: Path) -> SqliteSaver:
    """LangGraph's saver over the file, which is made where it is not.

    Raises sqlite3.DatabaseError where the file is damaged.
    """
    from langgraph.checkpoint.sqlite import SqliteSaver

    with_the_usual_mode(path)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        _set_up(saver := SqliteSaver(connection))
        return saver
    except BaseException:
        connection.close()
        raise


def _set_up(saver: SqliteSaver) -> None:
    """Lay the file out, with a rollback journal as the ledger has one.

    The saver turns on a write-ahead log, which needs memory that all who open the file share: network
    file systems have none. While the lock is exclusive SQLite does without, also on the way back.
    """
    execute = saver.conn.execute
    execute("PRAGMA locking_mode = EXCLUSIVE")
    (found,) = execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    saver.setup()
    execute("PRAGMA journal_mode = DELETE")
    execute("PRAGMA locking_mode = NORMAL")


def _set_aside(path: Path) -> Path:
    """Give a file, and what SQLite keeps beside it, another name. Returns that."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in count())
    aside = next(name for name in names if not name.exists())
    # The file itself comes last: what is beside it must never be taken for a new one's.
    for ending in ("-wal", "-shm", "-journal", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{ending}", f"{aside}{ending}")
    return aside


def _prune(connection: sqlite3.Connection, thread: str) -> None:
    """Drop all but the newest checkpoints: a run of weeks must not grow a file of gigabytes."""
    newest = connection.execute(
        "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? "
        "ORDER BY checkpoint_id DESC LIMIT 1 OFFSET ?",
        (thread, KEPT_CHECKPOINTS),
    ).fetchone()
    if newest is None:
        return
    for table in ("checkpoints", "writes"):
        connection.execute(
            f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id <= ?", (thread, newest[0])
        )
    connection.commit()
