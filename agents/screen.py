"""What a person sees while a run goes on: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from agents.progress import Progress
from agents.report.numbers import measure
from agents.streams import GONE, let_go_of_output
from agents.tradeoff import on_the_front
from agents.trial import StudyView
from agents.words import named

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from agents.confirm import Confirmed


QUEUE_SECONDS = 20.0
"""Jobs that start sooner are worth no line."""


class Screen(Protocol):
    """Shows a run."""

    def show(self, progress: Progress) -> None:
        """Show where the run stands now."""
        ...

    def say(self, text: str, *, important: bool = False) -> None:
        """Show a line that stays: a result, a notice."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...

    def redraw(self) -> None:
        """Show again what was shown before `close`."""
        ...


def open_screen() -> Screen:
    """The screen that fits where standard output goes."""
    return LastingScreen(LiveScreen() if sys.stdout.isatty() else PlainScreen())


class LastingScreen:
    """Another screen, without which a search goes on: who read it may have left (`| head`), its
    terminal may be gone, the disk that it is kept on full. Files of the run tell all that is shown."""

    def __init__(self, screen: Screen) -> None:
        self._screen: Screen | None = screen

    def show(self, progress: Progress) -> None:
        self._try(lambda screen: screen.show(progress))

    def say(self, text: str, *, important: bool = False) -> None:
        self._try(lambda screen: screen.say(text, important=important))

    def close(self) -> None:
        self._try(lambda screen: screen.close())

    def redraw(self) -> None:
        self._try(lambda screen: screen.redraw())

    def _try(self, use: Callable[[Screen], None]) -> None:
        if self._screen is None:
            return
        try:
            use(self._screen)
        except OSError as error:
            if error.errno in GONE:
                self._screen = None
                let_go_of_output()


class PlainScreen:
    """One line for each change worth a line; fit for a log file."""

    def __init__(self) -> None:
        self._waiting = ""
        self._queued_since: datetime | None = None

    def show(self, progress: Progress) -> None:
        waiting = _waiting(progress) or self._in_queue(progress)
        if waiting != self._waiting:
            self._waiting = waiting
            self.say(waiting or "goes on")

    def _in_queue(self, progress: Progress) -> str:
        """That all jobs have waited in the queue for a while, and why; else nothing."""
        if not progress.jobs or any(job.state != "queued" for job in progress.jobs):
            self._queued_since = None
            return ""
        now = datetime.now().astimezone()
        self._queued_since = self._queued_since or now
        if (now - self._queued_since).total_seconds() < QUEUE_SECONDS:
            return ""
        reasons = ", ".join(sorted({job.reason for job in progress.jobs if job.reason}))
        why = f" ({reasons})" if reasons else ""
        jobs = f"{len(progress.jobs)} job{'s' if len(progress.jobs) > 1 else ''}"
        return f"waiting: {jobs} in the queue since {self._queued_since:%H:%M:%S}{why}"

    def say(self, text: str, *, important: bool = False) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass

    def redraw(self) -> None:
        pass


class LiveScreen:
    """A panel that is redrawn in place below the lines that stay."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._shown: Progress | None = None

    def show(self, progress: Progress) -> None:
        self._shown = progress
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_panel(progress), refresh=True)

    def say(self, text: str, *, important: bool = False) -> None:
        from rich.text import Text

        self._console.print(Text(text, style="bold" if important else ""))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def redraw(self) -> None:
        if self._shown is not None:
            self.show(self._shown)


def _panel(progress: Progress) -> RenderableType:
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    facts.add_row("iteration", f"{progress.iteration} of {progress.max_iterations}")
    facts.add_row("trials", counts_text(progress.trials) or "none yet")
    facts.add_row(
        "jobs", counts_text(Counter(job.state for job in progress.jobs)) or progress.doing
    )
    facts.add_row("best", best_text(progress))
    facts.add_row("elapsed", duration_text(progress.elapsed))
    parts: list[RenderableType] = [facts]
    if progress.jobs:
        parts += [Text(), _jobs(progress)]
    if progress.paused is not None:
        parts += [Text(), Text(f"paused by {progress.paused['by']}", style="bold yellow")]
    if progress.waiting is not None:
        parts += [Text(), Text(_waiting(progress), style="bold yellow")]
    return Panel(Group(*parts), title=progress.experiment, title_align="left", expand=False)


def _jobs(progress: Progress) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("trial", "job", "state", "epoch", "accuracy"):
        table.add_column(heading)
    for job in progress.jobs[:12]:
        table.add_row(
            str(job.trial),
            job.job_id or "-",
            f"{job.state} ({job.reason})" if job.reason else job.state,
            "-" if job.step is None else str(job.step),
            "-" if job.accuracy is None else measure(job.accuracy),
        )
    if len(progress.jobs) > 12:
        table.add_row("…", f"{len(progress.jobs) - 12} more")
    return table


def counts_text(counts: Mapping[str, int]) -> str:
    """``12 completed, 1 failed``; nothing where all are 0."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def best_text(progress: Progress) -> str:
    """``accuracy_auc 0.812 (trial 4)``, or ``none yet``."""
    if progress.best_value is None:
        return "none yet"
    return f"{progress.metric} {measure(progress.best_value)} (trial {progress.best_trial})"


def iteration_text(view: StudyView, iteration: int, total: int) -> str:
    """``iteration 2 of 5 is done; best: accuracy_auc 0.812 (trial 4)``; with two objectives the front too."""
    best = view.best
    text = f"{view.metric} {measure(best.value)} (trial {best.number})" if best else "none yet"
    front = on_the_front(view) if view.second is not None else []
    more = f"; Pareto front: {named([trial.number for trial in front])}" if front else ""
    return f"iteration {iteration} of {total} is done; best: {text}{more}"


def confirmed_text(one: Confirmed) -> str:
    """``0.8121 +- 0.0034 in 2 runs (0.8155 before)``."""
    spread = f" +- {measure(one.deviation)}" if one.deviation is not None else ""
    runs = f"{len(one.values)} run{'s' if len(one.values) > 1 else ''}"
    before = "" if one.trial.value is None else f" ({measure(one.trial.value)} before)"
    return f"{measure(one.mean)}{spread} in {runs}{before}"


def duration_text(seconds: float) -> str:
    """``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _waiting(progress: Progress) -> str:
    waiting = progress.waiting
    if waiting is None:
        return ""
    remedy = f"\n  to go on: {waiting.remedy}" if waiting.remedy else ""
    return f"waiting: {waiting.what} ({waiting.why}){remedy}"
