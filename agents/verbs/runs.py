"""Runs that there are: ``status``, ``list``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import JsonOption

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run status results/20261123_142530_fashion")
def status(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    as_json: JsonOption = False,
) -> None:
    """Say where a run stands, from any terminal; the run is not disturbed."""
    from agents.commands.status import run_state, status_text, to_json
    from agents.workspace import Workspace

    state = run_state(Workspace(directory.absolute()))
    typer.echo(to_json([state]) if as_json else status_text(state))


@app.command(name="list", epilog="Example: python -m agents.run list results")
def list_runs(
    base: Annotated[Path, typer.Argument(metavar="BASE")] = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """List all runs under a directory with their state and best value."""
    from agents.commands.status import list_text, run_state, to_json
    from agents.workspace import runs

    typer.echo(to_json([run_state(run) for run in runs(base)]) if as_json else list_text(base))
