"""The main verb: run a search, new or resumed, to its end."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agents.background import Began, in_background, pid_file
from agents.config import LoadedConfig, load
from agents.earlier import collected
from agents.errors import ConfigurationError
from agents.finished import at_its_end, end_text
from agents.interrupts import Interrupted, Interrupts
from agents.no_room import Files, told
from agents.report.numbers import measure
from agents.resuming import note_of_changes, own_configuration, refuse_changes
from agents.screen import Screen, confirmed_text, duration_text, open_screen
from agents.search import Ending, Search, open_search, way_on
from agents.space import SearchSpace
from agents.suspension import suspendable
from agents.trial import Trial
from agents.words import count, named
from agents.workspace import Workspace, create, existing, unfinished
from scheduler.errors import Away
from training.contract import PilothouseError

LATEST = "latest"


@dataclass(frozen=True)
class SearchOptions:
    """What the command line says."""

    config: Path | None = None
    resume: str | None = None
    """A run directory, or ``latest``."""
    new: bool = False
    max_iterations: int | None = None
    log_level: str = "info"
    overrides: Sequence[str] = ()
    background: bool = False

    @property
    def laid_over(self) -> list[str]:
        """All that the command line lays over the configuration, as for `--set`."""
        bound = (
            [] if self.max_iterations is None else [f"loop.max_iterations={self.max_iterations}"]
        )
        return [*self.overrides, *bound]


NOTHING_COMPLETED = 1
"""Exit code of a search that came to its end without a trial that completed."""


def run_search(options: SearchOptions) -> int:
    """Run or resume a search. Returns the exit code."""
    loaded, workspace = choose(options)
    end = at_its_end(workspace, loaded, options.laid_over)
    if end is not None:
        print(end_text(workspace, end))
        return 0 if end.reading.view.best is not None else NOTHING_COMPLETED

    def search(began: Began) -> int:
        return _run(loaded, workspace, options.log_level, began)

    if not options.background:
        return search(lambda: None)
    return in_background(
        search, workspace.screen_file, lambda process: _background_text(workspace, process)
    )


def _background_text(workspace: Workspace, process: int) -> str:
    directory = shlex.quote(str(workspace.directory))
    return (
        f"run directory: {workspace.directory}\n"
        f"in the background as process {process}; what it says: {workspace.screen_file}\n"
        f"  to look:  python -m agents.run watch {directory}\n"
        f"  to leave: kill {process}   (its jobs go on, and it can be resumed)"
    )


LEAVING = (
    "leaving as soon as the question on its way is answered or given up (two minutes at most for a poll); "
    "Ctrl-C again leaves at once: jobs go on, nothing is lost"
)


def _run(loaded: LoadedConfig, workspace: Workspace, log_level: str, began: Began) -> int:
    screen = open_screen()
    note = note_of_changes(workspace, loaded)
    with Interrupts() as interrupts, suspendable(screen.close, screen.redraw):
        interrupts.late = lambda: screen.say(LEAVING, important=True)
        try:
            with (
                told(Files.of(workspace, loaded.settings), way_on(workspace)),
                open_search(loaded, workspace, screen, interrupts, log_level) as search,
                pid_file(workspace.pid_file),
            ):
                screen.say(f"run directory: {workspace.directory}")
                if note is not None:
                    screen.say(note, important=True)
                began()
                return _to_the_end(search, screen)
        except KeyboardInterrupt:  # the second one: the first waits for a good moment
            screen.close()
            print(f"left at once. {way_on(workspace)}")
            return 128 + signal.SIGINT
        finally:
            screen.close()


def replayed(options: SearchOptions, run: Path) -> SearchOptions:
    """The options for a new run that repeats `run` with its kept exchanges.

    Its configuration is the one that the search began with, unless another is named.
    Raises ConfigurationError.
    """
    source = existing(run, "--replay")
    override = f"llm.replay={json.dumps(str(source.directory), ensure_ascii=False)}"
    return replace(
        options,
        config=options.config or source.config_file,
        new=options.new or options.resume is None,
        overrides=[*options.overrides, override],
    )


def choose(options: SearchOptions) -> tuple[LoadedConfig, Workspace]:
    """The run that is meant, and its configuration. Makes the directory of a new one."""
    overrides = options.laid_over
    if options.resume is not None:
        return _resumed(options, overrides)
    if options.config is None:
        raise ConfigurationError(
            "no configuration: give --config FILE (see config.example.yaml) or --resume DIR"
        )
    loaded = load(options.config, overrides)
    left = [] if options.new else _unfinished(loaded)
    if left and _wants_to_resume(left[-1], options):
        refuse_changes(left[-1], loaded)
        return loaded, left[-1]
    return loaded, _new(loaded)


def _new(loaded: LoadedConfig) -> Workspace:
    settings = loaded.settings
    # Before there is a directory: a run that cannot begin is not to be resumed either.
    collected(settings, SearchSpace.build(settings.search_space, settings.constraints))
    now = datetime.now().astimezone()
    return create(settings.directories, settings.experiment.id, loaded.resolved, now)


def _unfinished(loaded: LoadedConfig) -> list[Workspace]:
    settings = loaded.settings
    return unfinished(settings.directories.local_base, settings.experiment.id)


def _resumed(options: SearchOptions, overrides: list[str]) -> tuple[LoadedConfig, Workspace]:
    assert options.resume is not None
    loaded = load(options.config, overrides) if options.config is not None else None
    named = Path(options.resume) if options.resume != LATEST else _latest(loaded).directory
    workspace = existing(named)
    again = loaded or own_configuration(workspace, overrides)
    refuse_changes(workspace, again)
    return again, workspace


def _latest(loaded: LoadedConfig | None) -> Workspace:
    if loaded is None:
        raise ConfigurationError("--resume latest: give --config FILE as well, to say of what")
    left = _unfinished(loaded)
    if not left:
        settings = loaded.settings
        raise ConfigurationError(
            f"--resume latest: no unfinished run of {settings.experiment.id} under "
            f"{settings.directories.local_base}; leave --resume out to start one"
        )
    return left[-1]


def _wants_to_resume(run: Workspace, options: SearchOptions) -> bool:
    """Ask, where there is somebody to ask; else refuse, so that nothing runs twice unnoticed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(_ways_on(run, options))
    print(f"There is an unfinished run of this experiment: {run.directory}")
    while True:
        answer = input("Go on with it [r], start a new one [n], or leave [q]? ").strip().lower()
        if answer in ("r", "n"):
            return answer == "r"
        if answer == "q":
            raise SystemExit(0)


def _ways_on(run: Workspace, options: SearchOptions) -> str:
    """What can be typed where an unfinished run is in the way, with all that was typed before."""
    directory = shlex.quote(str(run.directory))
    given = "".join(f" --set {shlex.quote(text)}" for text in options.laid_over)
    command = f"python -m agents.run --config {shlex.quote(str(options.config))}{given}"
    end = f"python -m agents.run stop {directory}"
    if run.is_held:
        what, way = " that is being worked on", "to look at it:        python -m agents.run watch"
    else:
        what, way = "", f"to go on with it:     {command} --resume"
        end += f" && python -m agents.run resume {directory}"
    return (
        f"there is an unfinished run of this experiment{what}: {run.directory}\n"
        f"  {way} {directory}\n"
        f"  to be done with it:   {end}\n"
        f"  to start another:     {command} --new"
    )


def _to_the_end(search: Search, screen: Screen) -> int:
    try:
        search.run()
    except Interrupted as interrupted:
        screen.close()
        return _leave(search, interrupted)
    except PilothouseError as error:
        search.notifier.broke_off(str(error))
        raise
    screen.close()
    return _say_end(search, screen)


def _leave(search: Search, interrupted: Interrupted) -> int:
    watched = search.flight.watched()
    trials = [trial.number for trial in watched if trial.job is not None and trial.job.job_id]
    directory = search.workspace.directory
    if interrupted.number != signal.SIGINT:
        search.notifier.left(str(interrupted))
    asked = interrupted.number == signal.SIGINT and sys.stdin.isatty() and sys.stdout.isatty()
    if trials and asked and _wants_to_cancel(trials):
        _cancel(search)
    else:
        print(left_text(watched), end="")
    print(f"To go on: python -m agents.run --resume {shlex.quote(str(directory))}")
    return 128 + interrupted.number


def left_text(trials: Sequence[Trial]) -> str:
    """What is left behind, a line each: jobs, which several trials may share, and trials without one."""
    ids = [trial.job.job_id for trial in trials if trial.job is not None and trial.job.job_id]
    jobs, waiting = len(set(ids)), len(trials) - len(ids)
    lines = []
    if jobs:
        found = f"what comes of {'it' if jobs == 1 else 'them'} will be found again"
        lines.append(f"{count(jobs, 'job')} left running; {found}.\n")
    if waiting:
        lines.append(f"{count(waiting, 'trial')} still to be submitted, none of them twice.\n")
    return "".join(lines)


def _wants_to_cancel(trials: Sequence[int]) -> bool:
    has = f"{named(trials).capitalize()} {'has a job' if len(trials) == 1 else 'have jobs'}"
    which = "it running [l] or cancel it" if len(trials) == 1 else "them running [l] or cancel them"
    while True:
        try:
            answer = input(f"{has}: leave {which} [c]? ")
        except (EOFError, KeyboardInterrupt):
            return False
        if answer.strip().lower() in ("l", "c"):
            return answer.strip().lower() == "c"


def _cancel(search: Search) -> None:
    try:
        cancelled = search.flight.cancel()
    except Away as error:
        print(f"The jobs could not be cancelled ({error}); they go on.")
        return
    print(f"{count(len(cancelled), 'job')} cancelled.")


def _say_end(search: Search, screen: Screen) -> int:
    """Tell what came of it. Returns the exit code: a script must see that there is nothing to use."""
    ending = search.summary()
    important, rest = _end_lines(ending, search.workspace)
    for line in important:
        screen.say(line, important=True)
    for line in rest:
        screen.say(line)
    search.notifier.ended(_end_subject(ending), [*important, *rest])
    return 0 if ending.best is not None else NOTHING_COMPLETED


def _end_subject(ending: Ending) -> str:
    if ending.best is None:
        return "ended, no trial has completed"
    return f"ended, {ending.metric} {measure(ending.best.value)}"


def _end_lines(ending: Ending, workspace: Workspace) -> tuple[list[str], list[str]]:
    """What there is to say at the end: what must be seen, and the rest."""
    stopped = f"stopped: {ending.stop_reason or 'at the end'}"
    last = [
        f"elapsed: {duration_text(ending.elapsed)}",
        f"report: {workspace.reports / 'report.html'}",
    ]
    if ending.best is None:
        nothing = "no trial has completed; the report tells why each failed"
        if not ending.began:
            file = shlex.quote(str(workspace.config_file))
            nothing += f"\n  what to change: python -m agents.run doctor --config {file}"
        return [stopped, nothing], last
    best = f"best: trial {ending.best.number}, {ending.metric} {measure(ending.best.value)}"
    lines = [f"  {', '.join(f'{k}={v}' for k, v in ending.best.parameters.items())}"]
    if ending.front:
        front = named([trial.number for trial in ending.front])
        lines.append(f"Pareto front: {front} (see the report)")
    lines += [
        f"  trial {one.trial.number} with fresh seeds: {confirmed_text(one)}"
        for one in ending.confirmed
    ]
    return [stopped, best], [*lines, *last]
