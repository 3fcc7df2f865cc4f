"""``report``: a run's report written again, from whatever state the run is in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.report.comparison import Contender, comparison_page
from agents.report.page import html_page
from agents.report.reading import Reading, read_run
from agents.report.salvage import Salvaged, rebuild
from agents.report.study import finite
from agents.report.write import HTML_FILE, write_output
from agents.words import count, named

COMPARISON_FILE = Path("comparison.html")


@dataclass(frozen=True)
class Written:
    """What was written, and what a person should know about it."""

    page: Path
    said: Sequence[str]
    """Notes and warnings, a line each."""
    recovered: Path | None = None
    """A ledger of what was found without the broken one."""

    def text(self) -> str:
        """For a person."""
        return "\n".join([*self.said, f"report: {self.page}"])

    def to_json(self) -> str:
        """For scripts."""
        recovered = str(self.recovered) if self.recovered else None
        document = {"page": str(self.page), "said": list(self.said), "recovered": recovered}
        return json.dumps(document, indent=2, ensure_ascii=False)


def report(directory: Path, output: Path | None) -> Written:
    """Write the report of one run to `output`, or to its place in the run."""
    reading = read_run(directory)
    path = output or reading.workspace.reports / HTML_FILE
    said = [f"note: {note}" for note in reading.said]
    recovered = None
    if reading.salvaged is not None:
        lines, recovered = _save(reading, reading.salvaged)
        said += lines
    write_output(path, html_page(finite(reading.view), reading.facts).encode())
    return Written(path, said, recovered)


def comparison(directories: Sequence[Path], output: Path | None) -> Written:
    """Write a page that compares runs."""
    readings = [read_run(directory) for directory in directories]
    said = []
    for reading in readings:
        name = reading.workspace.name
        said += [f"note: {name}: {note}" for note in reading.said]
        if reading.salvaged is not None:
            said.append(
                f"note: {name}: {reading.salvaged.reason}; what was found without it is compared "
                f"(`report {reading.workspace.directory}` tells more)"
            )
    runs = [Contender(one.workspace.name, one.view, one.facts) for one in readings]
    path = output or COMPARISON_FILE
    write_output(path, comparison_page(runs).encode())
    return Written(path, said)


def _save(reading: Reading, saved: Salvaged) -> tuple[list[str], Path | None]:
    """Say what was found without the ledger, and keep it as one that works."""
    sources = ", ".join(f"{amount} from {where}" for where, amount in saved.sources.items())
    found = f"  found without it: {count(len(saved.trials) - len(saved.missing), 'trial')}"
    lines = [f"warning: {saved.reason}", f"{found} ({sources})" if sources else found]
    if saved.missing:
        lines.append(f"  nothing is left of {named(saved.missing)}")
    if not saved.trials:
        return lines, None
    run = reading.workspace
    try:
        path = rebuild(saved, run, reading.settings)
    except OSError as error:
        return [*lines, f"  they could not be kept in {run.directory}: {error.strerror}"], None
    study = shlex.quote(str(run.study_file))
    return [
        *lines,
        f"  they are kept in a ledger that works: {path}",
        "  to go on with it, once no orchestrator works on the run:",
        f"    mv {study} {study}.broken; cp {shlex.quote(str(path))} {study}",
        f"    python -m agents.run --resume {shlex.quote(str(run.directory))}",
    ], path
