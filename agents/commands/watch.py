"""``watch``: a live view of a run from any terminal, from its files alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from agents.commands.status import RunState, run_state
from agents.commands.status_lines import Line, status_lines
from agents.suspension import suspendable
from agents.workspace import Workspace, run_at

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType

LOOK_SECONDS = 1.0
NAME_WIDTH = 10


def watch(
    directory: Path,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show where the run stands until it ends or its orchestrator leaves.

    On a terminal the view is redrawn in place, and only when something has changed; elsewhere it
    is printed once for each change. Raises ConfigurationError where there is no run.
    """
    from rich.console import Console as RichConsole

    workspace = run_at(directory)
    shown = console or RichConsole(highlight=False, soft_wrap=False)
    if shown.is_terminal and not shown.is_dumb_terminal:
        _live(workspace, shown, sleep)
    else:
        _printed(workspace, shown, sleep)


def _live(workspace: Workspace, console: Console, sleep: Callable[[float], None]) -> None:
    from rich.live import Live

    last: tuple[list[Line], int] | None = None
    with (
        Live(console=console, auto_refresh=False, vertical_overflow="crop") as live,
        suspendable(live.stop, lambda: live.start(refresh=True)),
    ):
        for state in _states(workspace, sleep):
            lines = status_lines(state)
            if (lines, console.width) != last:
                last = (lines, console.width)
                live.update(view(state, lines, console.width), refresh=True)


def _printed(workspace: Workspace, console: Console, sleep: Callable[[float], None]) -> None:
    last: list[Line] = []
    for state in _states(workspace, sleep):
        lines = status_lines(state)
        if lines != last:
            now = time.strftime("%H:%M:%S")
            print(f"{now} {workspace.name}", flush=True)
            new = [line for line in lines if line not in last]
            print("\n".join(f"  {line.name:<{NAME_WIDTH}} {line.text}" for line in new), flush=True)
        last = lines


def _states(workspace: Workspace, sleep: Callable[[float], None]) -> Iterator[RunState]:
    """The run's state again and again; the last one is where nobody works on it any more."""
    while True:
        state = run_state(workspace)
        yield state
        if not state.is_attended:
            return
        sleep(LOOK_SECONDS)


def view(state: RunState, lines: list[Line], width: int) -> RenderableType:
    """The lines as they fit into `width` columns."""
    from rich.console import Group
    from rich.text import Text

    title = Text(os.path.basename(state.directory), style="bold", no_wrap=True, overflow="ellipsis")
    return Group(title, *(_row(line, width) for line in lines))


def _row(line: Line, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    row.add_column(width=min(NAME_WIDTH, max(4, width // 4)), no_wrap=True)
    row.add_column(overflow="fold")
    name = Text(line.name, style="dim", no_wrap=True, overflow="ellipsis")
    row.add_row(name, Text(line.text, style=line.style))
    return row
