"""Writes the reports of a run: the only part of this package that touches files."""

from __future__ import annotations

from pathlib import Path

from agents.errors import ConfigurationError
from agents.report.documents import iteration_document, summary_document
from agents.report.facts import RunFacts
from agents.report.iteration import iteration_markdown
from agents.report.page import html_page
from agents.report.study import finite
from agents.trial import StudyView
from training.contract import to_json_bytes, write_atomically

HTML_FILE = "report.html"


def write_iteration(
    view: StudyView, facts: RunFacts, directory: Path, iteration: int
) -> list[Path]:
    """Write ``iteration_NNN.json`` and ``.md`` into `directory`, the Markdown first.

    Whoever finds the JSON file may take both for written. Raises OSError.
    """
    view = finite(view)
    document = iteration_document(view, facts, iteration)
    readable = directory / f"iteration_{iteration:03d}.md"
    machine = readable.with_suffix(".json")
    write_atomically(readable, iteration_markdown(view, facts, iteration).encode())
    write_atomically(machine, to_json_bytes(document))
    return [readable, machine]


def write_html(view: StudyView, facts: RunFacts, directory: Path) -> Path:
    """Write ``report.html`` into `directory`: the whole run in one file. Raises OSError."""
    path = directory / HTML_FILE
    write_atomically(path, html_page(finite(view), facts).encode())
    return path


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a person has named. Raises ConfigurationError where that cannot be."""
    why = "it is a directory" if path.is_dir() else None
    if why is None:
        try:
            write_atomically(path, content)
            return
        except OSError as error:
            why = error.strerror
    raise ConfigurationError(f"cannot write {path}: {why}; name another place with --output FILE")


def write_summary(view: StudyView, facts: RunFacts, path: Path) -> Path:
    """Write the summary of the run as JSON (keys: `summary_document`). Raises OSError."""
    write_atomically(path, to_json_bytes(summary_document(finite(view), facts)))
    return path
