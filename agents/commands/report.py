"""``report``: a run's report written again, from whatever state the run is in."""

from __future__ import annotations

from pathlib import Path

from agents.report.comparison import Contender, comparison_page
from agents.report.page import html_page
from agents.report.reading import Reading, read_run
from agents.report.salvage import Salvaged, rebuild
from agents.report.study import finite
from agents.report.write import HTML_FILE, write_output

COMPARISON_FILE = Path("comparison.html")


def report(directory: Path, output: Path | None) -> str:
    """Write the report of one run to `output`, or to its place in the run. Returns what was done."""
    reading = read_run(directory)
    path = output or reading.workspace.reports / HTML_FILE
    lines = [f"note: {note}" for note in reading.said]
    if reading.salvaged is not None:
        lines += _saved(reading, reading.salvaged)
    write_output(path, html_page(finite(reading.view), reading.facts).encode())
    return "\n".join([*lines, f"report: {path}"])


def comparison(directories: list[Path], output: Path | None) -> str:
    """Write a page that compares runs. Returns what was done."""
    readings = [read_run(directory) for directory in directories]
    path = output or COMPARISON_FILE
    lines = [
        f"note: {reading.workspace.name}: {note}" for reading in readings for note in reading.said
    ]
    lines += [
        f"note: {reading.workspace.name}: {reading.salvaged.reason}; what was found without it is "
        f"compared (`report {reading.workspace.directory}` tells more)"
        for reading in readings
        if reading.salvaged is not None
    ]
    runs = [Contender(one.workspace.name, one.view, one.facts) for one in readings]
    write_output(path, comparison_page(runs).encode())
    return "\n".join([*lines, f"comparison of {len(readings)} runs: {path}"])


def _saved(reading: Reading, saved: Salvaged) -> list[str]:
    """Say what was found without the ledger, and keep it as one that works."""
    sources = ", ".join(
        f"{amount} from {where}" for where, amount in saved.sources.items() if amount
    )
    lines = [
        f"warning: {saved.reason}",
        f"  found without it: {len(saved.trials) - len(saved.missing)} trials"
        + (f" ({sources})" if sources else ""),
    ]
    if saved.missing:
        lines.append(f"  nothing is left of trials {', '.join(map(str, saved.missing))}")
    if not saved.trials:
        return lines
    run = reading.workspace
    try:
        path = rebuild(saved, run, reading.settings)
    except OSError as error:
        return [*lines, f"  they could not be kept in {run.directory}: {error.strerror}"]
    return [
        *lines,
        f"  they are kept in a ledger that works: {path}",
        f"  to go on with it, once no orchestrator works on the run: move {run.study_file} away, "
        f"copy {path} there, and run",
        f"    python -m agents.run --resume {run.directory}",
    ]
