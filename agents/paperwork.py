"""Which reports are due, and the facts of the run that go into them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.config.model import Settings
from agents.convergence import StopReason
from agents.elapsed import elapsed_seconds
from agents.ledger import Ledger
from agents.report import RunFacts, run_facts, write_html, write_iteration, write_summary
from agents.report.usage import UsageReader
from agents.trial import StudyView
from agents.workspace import Workspace

HTML_SHARE = 0.02
"""report.html is rewritten while the search goes on, but for no more than this share of the time."""


def steady_clock() -> float:
    """Seconds by a clock that is never set, and goes on while the machine sleeps where it has one."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Paperwork:
    """Writes the reports of one run. Facts that must survive a crash are kept with the study."""

    def __init__(
        self,
        settings: Settings,
        workspace: Workspace,
        ledger: Ledger,
        configuration: str,
        clock: Callable[[], float] = steady_clock,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._ledger = ledger
        self._configuration = configuration
        self._clock = clock
        self._html_not_before = clock()
        self._opened, self._opened_at = datetime.now(UTC), clock()
        self._usage = UsageReader(workspace.exchanges)
        self._reported: dict[int, Sequence[int]] = {}
        """The trials in the report of each iteration, as far as they were looked at."""
        self.stop_sentence: str | None = None
        """Why the search stopped, once it has."""

    def configure(self, settings: Settings, configuration: str) -> None:
        """Go on with another configuration (YAML in `configuration`)."""
        self._settings, self._configuration = settings, configuration

    @property
    def started_at(self) -> datetime:
        """When the search began, in whatever process (UTC)."""
        return datetime.fromisoformat(self._ledger.attributes()["started_at"])

    def elapsed(self) -> float:
        """Seconds that the search was at work, in whatever process."""
        # In this process by a clock that nobody sets: a correction by an hour is no hour of work.
        here = timedelta(seconds=self._clock() - self._opened_at)
        return elapsed_seconds(self._ledger.attributes(), self.started_at, self._opened + here)

    def notice(self, text: str) -> None:
        """Keep a notice for the report, which holds it once."""
        known = self._notices()
        if text not in known:
            self._ledger.set_attribute("notices", [*known, text])

    def write_iterations(self, view: StudyView, complete: Sequence[int]) -> list[int]:
        """Write the reports that are missing for the `complete` iterations, or lack trials that a
        resumed search has filled them up with, and renew the page.

        Returns the iterations that were written.
        """
        due = [i for i in complete if self._in_report(i) != _numbers(view, i)]
        if not due:
            return []
        facts = self._facts(None)
        for iteration in due:
            write_iteration(view, facts, self._workspace.reports, iteration)
            self._reported[iteration] = _numbers(view, iteration)
        self._renew_html(view, facts)
        return due

    def _in_report(self, iteration: int) -> Sequence[int] | None:
        """The trials that are in an iteration's report; None where there is none that can be read.
        Each is looked at once in this process: a long search has hundreds."""
        if iteration not in self._reported:
            path = self._workspace.reports / f"iteration_{iteration:03d}.json"
            found = _trials_in(path)
            if found is None:
                return None
            self._reported[iteration] = found
        return self._reported[iteration]

    def write_last(self, view: StudyView, stop: StopReason | None) -> None:
        """Write the page and the summary of a search that has come to its end."""
        self.stop_sentence = stop.sentence if stop else None
        facts = self._facts(stop)
        write_html(view, facts, self._workspace.reports)
        write_summary(view, facts, self._workspace.summary_file)

    def _renew_html(self, view: StudyView, facts: RunFacts) -> None:
        began = self._clock()
        if began < self._html_not_before:
            return
        write_html(view, facts, self._workspace.reports)
        ended = self._clock()
        self._html_not_before = ended + (ended - began) / HTML_SHARE

    def _notices(self) -> list[str]:
        notices: list[str] = self._ledger.attributes().get("notices", [])
        return notices

    def _facts(self, stop: StopReason | None) -> RunFacts:
        return run_facts(
            self._settings,
            self._ledger.attributes(),
            configuration=self._configuration,
            run_directory=str(self._workspace.directory),
            started_at=self.started_at,
            updated_at=datetime.now(UTC),
            elapsed_seconds=self.elapsed(),
            stop_reason=stop.sentence if stop else None,
            usage=self._usage.read(),
        )


def _numbers(view: StudyView, iteration: int) -> list[int]:
    """The trials of an iteration."""
    return [trial.number for trial in view.trials if trial.iteration == iteration]


def _trials_in(path: Path) -> list[int] | None:
    """The trials that an iteration's report has; None where it cannot be read."""
    try:
        return [trial["trial"] for trial in json.loads(path.read_bytes())["trials"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
