"""``doctor``: examine each part, and say what to do about each that fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from agents.doctor.check import Check, Doing, Outcome, failed
from agents.errors import ConfigurationError
from agents.interrupts import Interrupted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WELL, UNWELL, BAD_CONFIGURATION = 0, 1, 2
NARROW = 70
"""Below so many columns, a table's columns would be of single words: lines instead."""

_STYLES = {
    Outcome.OK: "green",
    Outcome.WARNING: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.SKIPPED: "dim",
}


def doctor(
    config: Path,
    overrides: Sequence[str],
    *,
    job: bool,
    job_limit: float,
    notify: bool,
    as_json: bool,
) -> int:
    """Examine everything, print what was found. Returns the exit code."""
    try:
        code, checks = _examined(config, overrides, job, job_limit, notify)
    except Interrupted as interrupted:
        print("interrupted; the job is cancelled and its files are removed", file=sys.stderr)
        return 128 + interrupted.number
    print(to_json(checks)) if as_json else show(checks)
    return code


def _examined(
    config: Path, overrides: Sequence[str], job: bool, job_limit: float, notify: bool
) -> tuple[int, list[Check]]:
    from agents.config import load

    try:
        loaded = load(config, overrides)
    except ConfigurationError as error:
        checks = [failed("configuration", problem, "mend the file") for problem in error.problems]
        return BAD_CONFIGURATION, checks
    from agents.doctor.examine import Options, examine

    with _saying() as doing:
        checks = examine(loaded, Options(job, job_limit, notify), doing)
    return exit_code(checks), checks


def exit_code(checks: Sequence[Check]) -> int:
    """1 where something failed; warnings are no failure."""
    return UNWELL if any(check.outcome is Outcome.FAILED for check in checks) else WELL


def to_json(checks: Sequence[Check]) -> str:
    """For scripts: a list of objects with name, outcome, seen, remedy."""
    rows = [{**asdict(check), "outcome": check.outcome.value} for check in checks]
    return json.dumps(rows, indent=2, ensure_ascii=False)


@contextmanager
def _saying() -> Iterator[Doing]:
    """Says on a terminal what is being examined and since when; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")

        def doing(text: str) -> None:
            progress.reset(task, description=text)

        yield doing


def show(checks: Sequence[Check], console: Console | None = None) -> None:
    """A table on a terminal that has room for one, lines elsewhere."""
    from rich.console import Console

    console = console or Console(highlight=False)
    # A file or a pipe gets whole lines, whatever width somebody thinks it has.
    console.soft_wrap = not console.is_terminal
    wide = console.is_terminal and console.width >= NARROW
    for part in [_table(checks)] if wide else _lines(checks):
        console.print(part)
    console.print(_verdict(checks))


def _verdict(checks: Sequence[Check]) -> RenderableType:
    from rich.text import Text

    bad = [check.name for check in checks if check.outcome is Outcome.FAILED]
    doubtful = [check.name for check in checks if check.outcome is Outcome.WARNING]
    if bad:
        return Text(f"failed: {', '.join(bad)}", style=_STYLES[Outcome.FAILED])
    if doubtful:
        return Text(f"all well, but see: {', '.join(doubtful)}", style=_STYLES[Outcome.WARNING])
    return Text("all well", style=_STYLES[Outcome.OK])


def _table(checks: Sequence[Check]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("part", "is", "seen, and what to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "seen, and what to do")
    for check in checks:
        seen = Text(check.seen)
        if check.remedy:
            seen.append(f"\n-> {check.remedy}", style="bold")
        style = _STYLES[check.outcome]
        table.add_row(Text(check.name), Text(check.outcome.value, style=style), seen)
    return table


def _lines(checks: Sequence[Check]) -> Iterator[RenderableType]:
    from rich.text import Text

    for check in checks:
        line = Text(f"{check.outcome.value:8}", style=_STYLES[check.outcome])
        line.append(f"{check.name}: {check.seen}", style="default")
        yield line
        if check.remedy:
            yield Text(f"  -> {check.remedy}", style="bold")
