"""Runs that there are: ``status``, ``watch``, ``resume``, ``list``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import BackgroundOption, ConfigOption, JsonOption, SetOption

app = typer.Typer()

RESULTS = Path("results")
"""Where runs are unless a configuration says otherwise; that there are none yet is no fault."""

Run = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]


@app.command(epilog="Example: python -m agents.run status results/20261123_142530_fashion")
def status(directory: Run, as_json: JsonOption = False) -> None:
    """Say where a run stands, from any terminal; the run is not disturbed."""
    from agents.commands.status import run_state, to_json
    from agents.commands.status_lines import status_text
    from agents.workspace import run_at

    state = run_state(run_at(directory))
    typer.echo(to_json([state]) if as_json else status_text(state))


@app.command(epilog="Example: python -m agents.run watch results/20261123_142530_fashion")
def watch(directory: Run) -> None:
    """Follow a run, from any terminal, until it ends; Ctrl-C leaves, and the run goes on."""
    from agents.commands.watch import watch as verb

    try:
        verb(directory)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command(epilog="Example: python -m agents.run resume results/20261123_142530_fashion")
def resume(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="A run directory, or `latest` with --config.")
    ],
    config: ConfigOption = None,
    max_iterations: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Same as --set loop.max_iterations=N.")
    ] = None,
    overrides: SetOption = None,
    background: BackgroundOption = False,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Go on with a search that was left, or with a finished one that may have more."""
    from agents.commands.search import SearchOptions, run_search
    from agents.errors import ConfigurationError
    from agents.journal import LEVELS

    if log_level not in LEVELS:
        raise ConfigurationError(f"--log-level {log_level}: one of {', '.join(LEVELS)}")
    options = SearchOptions(
        config, directory, False, max_iterations, log_level, overrides or [], background
    )
    raise typer.Exit(run_search(options))


@app.command(name="list", epilog="Example: python -m agents.run list results")
def list_runs(
    base: Annotated[Path, typer.Argument(metavar="BASE")] = RESULTS,
    as_json: JsonOption = False,
) -> None:
    """List all runs under a directory with their state and best value, and which are broken."""
    from agents.commands.listing import list_json, list_text
    from agents.errors import ConfigurationError
    from agents.home import expanded

    if base != RESULTS and not expanded(base).is_dir():
        raise ConfigurationError(
            f"{base}: there is no such directory; give the one that holds runs"
        )
    typer.echo(list_json(base) if as_json else list_text(base))
