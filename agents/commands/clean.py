"""``clean``: show which old runs may go and how large they are, ask, and remove them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.cleaning import Locked, OldRun, locked, old_runs, remove
from agents.commands.consent import must_be_asked, says_yes
from agents.errors import ConfigurationError
from agents.home import expanded
from agents.screen import duration_text
from agents.words import size_text
from agents.workspace import Workspace
from scheduler.errors import Away, SchedulerError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agents.cleaning_remote import There

NARROW = 90
"""Below so many columns, lines instead of a table."""


@dataclass(frozen=True)
class Wanted:
    """What the command line says."""

    base: Path
    older_than: float
    """Seconds."""
    keep_best: int = 0
    remote: bool = False
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False


def clean(wanted: Wanted) -> int:
    """Remove old runs, after asking. Returns the exit code: 1 where one could not be removed."""
    _check(wanted)
    found = old_runs(wanted.base, wanted.older_than, wanted.keep_best, time.time())
    going = [run for run in found if not run.kept]
    there = _there(going, wanted)
    if not wanted.as_json:
        _show(found, there, wanted)
    if wanted.dry_run or not going or not _agreed(going, there, wanted):
        if wanted.as_json:
            print(_json(found, there, {}, "would be deleted"))
        return 0
    deleted, troubles, lost = _remove(going, wanted)
    if wanted.as_json:
        kept = {run.name: run for run in lost}
        print(_json([kept.get(run.name, run) for run in found], there, troubles, "deleted"))
    else:
        _say_end(deleted, troubles, lost)
    return 1 if troubles else 0


def _check(wanted: Wanted) -> None:
    base = wanted.base
    if not expanded(base).is_dir():
        raise ConfigurationError(
            f"{base}: there is no such directory; give the one that holds runs"
        )
    if Workspace(expanded(base).absolute()).experiment is not None:
        raise ConfigurationError(
            f"{base} is a run itself: give the directory that it lies in ({base.absolute().parent})"
        )
    if wanted.as_json and not (wanted.yes or wanted.dry_run):
        raise ConfigurationError("--json: nobody can be asked; give --yes or --dry-run as well")


def _there(going: Sequence[OldRun], wanted: Wanted) -> Mapping[str, There]:
    if not (wanted.remote and going):
        return {}
    from agents.cleaning_remote import sizes

    return sizes(going)


def _agreed(going: Sequence[OldRun], there: Mapping[str, There], wanted: Wanted) -> bool:
    if wanted.yes:
        return True
    must_be_asked(
        "nothing was deleted: nobody can be asked here; give --yes to delete what is listed"
    )
    size = size_text(sum(run.size for run in going) + sum(one.size for one in there.values()))
    what = f"{len(going)} run{'s' if len(going) > 1 else ''} ({size})"
    return says_yes(f"Delete {what} for good", "nothing was deleted")


def _remove(
    going: Sequence[OldRun], wanted: Wanted
) -> tuple[list[OldRun], dict[str, str], list[OldRun]]:
    """Those that were deleted, why others could not be, and those in use after all.

    The cluster's side goes first: while it stands, the run here tells where it is.
    """
    deleted: list[OldRun] = []
    with ExitStack() as stack:
        found: Locked = locked(going, stack)
        troubles = _remove_there(found.held) if wanted.remote else {}
        for run in found.held:
            if run.name in troubles:
                continue
            try:
                remove(run)
                deleted.append(run)
            except OSError as error:
                troubles[run.name] = (
                    f"{error.filename or run.workspace.directory}: {error.strerror}"
                )
    return deleted, troubles, list(found.lost)


def _remove_there(held: Sequence[OldRun]) -> dict[str, str]:
    from agents.cleaning_remote import remove_there

    try:
        answers = remove_there(held)
    except (Away, SchedulerError) as error:
        remedy = f"; first type: {error.remedy}" if isinstance(error, Away) and error.remedy else ""
        return {run.name: f"{error}{remedy}" for run in held}
    bad = ("failed", "foreign", "unknown")
    return {name: _there_text(one) for name, one in answers.items() if one.state in bad}


def _there_text(one: There) -> str:
    words = {
        "here": "",
        "absent": "nothing there",
        "size": f"{size_text(one.size)} there",
        "foreign": "what bears its name there is not recognized as its own; look at it yourself",
        "shared": f"what is there stays: {one.said} has the same directory there",
        "failed": f"could not be deleted there: {one.said}",
        "unknown": f"not known what is there: {one.said}",
    }
    return words.get(one.state, one.state)


def _left_there(run: OldRun, there: Mapping[str, There]) -> str:
    """Why the cluster's side stays though the run goes; empty where it does not."""
    one = there.get(run.name)
    return _there_text(one) if one is not None and one.state == "shared" else ""


def _say_end(
    deleted: Sequence[OldRun], troubles: Mapping[str, str], lost: Sequence[OldRun]
) -> None:
    size = size_text(sum(run.size for run in deleted))
    print(f"deleted: {len(deleted)} run{'' if len(deleted) == 1 else 's'}, {size}")
    for run in lost:
        print(f"kept: {run.name}: {run.kept}")
    for name, why in troubles.items():
        print(f"error: {name}: {why}", file=sys.stderr)


# -- showing -----------------------------------------------------------------------------------


def _show(found: Sequence[OldRun], there: Mapping[str, There], wanted: Wanted) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.soft_wrap = not console.is_terminal
    if not found:
        console.print(f"no runs below {wanted.base}", markup=False)
        return
    wide = console.is_terminal and console.width >= NARROW
    for part in [_table(found, there)] if wide else _lines(found, there):
        console.print(part)
    if all(run.kept for run in found):
        console.print("nothing to delete")
    elif wanted.dry_run:
        console.print("nothing was deleted (--dry-run)")


def _facts(run: OldRun, there: Mapping[str, There]) -> tuple[str, str, str, str]:
    """State with age, best, size, and what else there is to say."""
    best = "-" if run.best is None else f"{run.metric} {run.best:.4g}"
    words = [run.kept, _there_text(there[run.name]) if run.name in there else ""]
    state = f"{run.state}, {duration_text(run.age)} ago"
    return state, best, size_text(run.size), "; ".join(word for word in words if word)


def _table(found: Sequence[OldRun], there: Mapping[str, There]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "run", "state", "best", "size", ""):
        table.add_column(heading, overflow="fold")
    for run in found:
        cells = [Text(cell) for cell in (run.name, *_facts(run, there))]
        table.add_row(_verb(run), *cells)
    return table


def _lines(found: Sequence[OldRun], there: Mapping[str, There]) -> Iterator[RenderableType]:
    from rich.text import Text

    for run in found:
        rest = ", ".join(fact for fact in _facts(run, there) if fact not in ("", "-"))
        yield Text.assemble(_verb(run), f" {run.name}: {rest}")


def _verb(run: OldRun) -> Any:
    from rich.text import Text

    return Text("keep  ", style="dim") if run.kept else Text("delete", style="bold red")


def _json(
    found: Sequence[OldRun],
    there: Mapping[str, There],
    troubles: Mapping[str, str],
    action: str,
) -> str:
    rows = [
        {
            "directory": str(run.workspace.directory),
            "experiment": run.experiment,
            "state": run.state,
            "age_seconds": round(run.age),
            "bytes": run.size,
            "remote_bytes": there[run.name].size if run.name in there else None,
            "best": run.best,
            "action": "kept" if run.kept else "failed" if run.name in troubles else action,
            "why": run.kept or troubles.get(run.name) or _left_there(run, there),
        }
        for run in found
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)
