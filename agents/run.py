"""The command line: ``python -m agents.run --config FILE`` and its verbs.

Exit codes: 0 the search came to its end; 1 an error while running, or no trial has completed;
2 bad input; 3 another orchestrator works on the run; 130, 143 a signal asked to leave, and the run
can be resumed.
"""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.errors import ConfigurationError
from agents.last_words import last_words
from agents.streams import make_whole
from agents.verbs import (
    auth,
    clean,
    config,
    connection,
    doctor,
    experiments,
    explain,
    jobs,
    report,
    runs,
    site,
    steering,
)
from agents.verbs.options import BackgroundOption, ConfigOption, SetOption
from agents.verbs.panels import Grouped

if TYPE_CHECKING:
    from agents.commands.search import SearchOptions


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


app = typer.Typer(
    name="pilothouse",
    cls=Grouped,
    help="An LLM agent that optimizes hyperparameters on HPC clusters.",
    epilog="Example: python -m agents.run --config config.example.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(connection.app)
app.add_typer(clean.app)
app.add_typer(doctor.app)
app.add_typer(experiments.app)
app.add_typer(explain.app)
app.add_typer(jobs.app)
app.add_typer(report.app)
app.add_typer(runs.app)
app.add_typer(site.app)
app.add_typer(steering.app)
app.add_typer(auth.app, name="auth")
app.add_typer(config.app, name="config")


ResumeOption = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="DIR", help="Go on with the run in DIR, or with the `latest`."
    ),
]
NewOption = Annotated[bool, typer.Option("--new", help="Start a new run beside an unfinished one.")]
BoundOption = Annotated[
    int | None,
    typer.Option(
        "--max-iterations", metavar="N", min=1, help="Same as --set loop.max_iterations=N."
    ),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option(
        "--replay",
        metavar="DIR",
        help="Run the search in DIR again, with the LLM's kept answers and without an endpoint.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show first proposals, a job, the cost; start nothing.")
]
LogLevelOption = Annotated[
    LogLevel,
    typer.Option("--log-level", help="What goes into logs/run.jsonl.", case_sensitive=False),
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pilothouse {version('pilothouse')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_version, is_eager=True, help="Show the version, and exit."),
]


@app.callback(invoke_without_command=True)
@app.command(epilog="Example: python -m agents.run run --config config.example.yaml")
def run(
    context: typer.Context,
    config: ConfigOption = None,
    resume: ResumeOption = None,
    new: NewOption = False,
    max_iterations: BoundOption = None,
    overrides: SetOption = None,
    replay: ReplayOption = None,
    dry_run: DryRunOption = False,
    background: BackgroundOption = False,
    log_level: LogLevelOption = LogLevel.INFO,
    version: VersionOption = False,
) -> None:
    """Search: propose, run jobs, learn, and again. The same as no verb at all."""
    if context.invoked_subcommand is not None:
        return
    from agents.commands.search import SearchOptions, replayed, run_search

    options = SearchOptions(
        config, resume, new, max_iterations, log_level.value, overrides or [], background
    )
    if replay is not None:
        options = replayed(options, replay)
    if dry_run:
        _dry_run(options)
        return
    raise typer.Exit(run_search(options))


def _dry_run(options: SearchOptions) -> None:
    if options.resume is not None:
        raise ConfigurationError(
            "--dry-run shows how a new search would begin: leave --resume out; `status DIR` says "
            "where a run stands"
        )
    if options.config is None:
        raise ConfigurationError("--dry-run: give --config FILE as well")
    from agents.commands.dry_run import dry_run
    from agents.config import load

    typer.echo(dry_run(load(options.config, options.laid_over)))


@app.command(epilog="Example: python -m agents.run graph > machine.mmd")
def graph() -> None:
    """Print the state machine as Mermaid text."""
    from agents.graph import mermaid

    typer.echo(mermaid())


def main() -> None:
    """Run the command line; errors of ours become one message and an exit code."""
    make_whole()
    _show_every_letter()
    try:
        app()
    except KeyboardInterrupt:
        print("interrupted; a run that had begun can be resumed with --resume", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        last = last_words(error)
        if last is None:
            raise
        print(last.text, file=sys.stderr)
        sys.exit(last.code)


def _show_every_letter() -> None:
    """What the terminal's encoding lacks is shown escaped: an arrow must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
