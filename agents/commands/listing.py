"""``list``: the runs below a directory, a line each, and what is wrong with one."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from agents.commands.status import RunState, run_state
from agents.home import expanded
from agents.progress import SCHEMA
from agents.report.numbers import measure
from agents.workspace import Workspace, runs

_HEADER = ("STATE", "BEST", "METRIC", "TRIALS", "EXPERIMENT", "DIRECTORY")
_RIGHT = ("BEST", "TRIALS")
_DAMAGE = ("malformed", "not a database", "no such table")
"""What SQLite says of a file that is none of ours; of one that is busy or half written it is other."""


@dataclass(frozen=True)
class Listed:
    """One run, and why it is not like the others."""

    state: RunState
    mark: str = ""
    """In place of its state: ``broken``, ``version 2``."""
    fault: str = ""
    """What that means, and what to do."""


def listed(base: Path) -> list[Listed]:
    """The runs below `base`, the oldest first."""
    return [_listed(run) for run in runs(base) if run.experiment is not None]


def _listed(workspace: Workspace) -> Listed:
    state = run_state(workspace)
    if workspace.schema != SCHEMA:
        why = f"made by another version (schema {workspace.schema}; this is {SCHEMA}): use that one"
        return Listed(state, f"version {workspace.schema}", why)
    damage = _damage(workspace)
    if damage is None:
        return Listed(state)
    named = shlex.quote(str(workspace.directory))
    why = f"its ledger cannot be read ({damage}): `python -m agents.run report {named}` saves what it can"
    return Listed(state, "broken", why)


def _damage(workspace: Workspace) -> str | None:
    """What is wrong with the ledger's file, as far as a glance tells; None where nothing is."""
    file = workspace.study_file
    if not file.exists():
        return "study.db is gone" if workspace.has_begun and _is_own(workspace) else None
    try:
        url = f"file:{quote(str(file))}?mode=ro"
        with closing(sqlite3.connect(url, uri=True, timeout=1.0)) as connection:
            connection.execute("SELECT count(*) FROM studies, trials").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error) if any(words in str(error) for words in _DAMAGE) else None
    return None


def _is_own(workspace: Workspace) -> bool:
    """Whether its ledger lies in its directory, and on no server."""
    try:
        document = yaml.safe_load(workspace.config_file.read_bytes())
        return not document["ledger"]["storage"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return True


def list_text(base: Path) -> str:
    """For a person."""
    if Workspace(expanded(base).absolute()).experiment is not None:
        return f"{base} is a run itself: `python -m agents.run status {shlex.quote(str(base))}`"
    found = listed(base)
    if not found:
        return f"no runs under {base}"
    rows = [_HEADER, *map(_row, found)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADER))]
    lines = [_line(row, widths) for row in rows]
    for place, one in reversed([*enumerate(found, 1)]):
        lines[place + 1 : place + 1] = [f"  {one.fault}"] if one.fault else []
    return "\n".join(lines)


def _row(one: Listed) -> tuple[str, ...]:
    state = one.state
    if one.mark.startswith("version"):  # its files may mean something else
        return (one.mark, "-", "-", "-", state.experiment, state.directory)
    best = "-" if state.best_value is None else measure(state.best_value)
    trials = str(sum(state.trials.values())) if state.trials else "-"
    metric = f"{state.metric or '-'}"
    return (one.mark or state.state, best, metric, trials, state.experiment, state.directory)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        text.rjust(width) if name in _RIGHT else text.ljust(width)
        for name, text, width in zip(_HEADER, row, widths, strict=True)
    )
    return "  ".join(cells).rstrip()


def list_json(base: Path) -> str:
    """For scripts: as `status` has them, with a ``fault`` (or null)."""
    document: list[dict[str, Any]] = [
        {**asdict(one.state), "fault": one.fault or None} for one in listed(base)
    ]
    return json.dumps(document, indent=2, ensure_ascii=False)
