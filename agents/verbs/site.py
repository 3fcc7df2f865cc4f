"""What a cluster has and who waits for it: ``resources``, ``queue``."""

from typing import Annotated

import typer

from agents.verbs.options import JsonOption, RequiredConfig, SetOption

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run resources --config delta.yaml")
def resources(
    config: RequiredConfig, overrides: SetOption = None, as_json: JsonOption = False
) -> None:
    """Show free, busy and broken nodes and GPUs, when a trial would start, and what to change."""
    from agents.commands.resources import resources as verb
    from agents.config import load

    verb(load(config, overrides or []), as_json)


@app.command(epilog="Example: python -m agents.run queue --config delta.yaml --all")
def queue(
    config: RequiredConfig,
    everybody: Annotated[
        bool, typer.Option("--all", help="Everybody's jobs, not only mine.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show jobs that wait and run: what they need, and when they may start. Mine have a star."""
    from agents.commands.resources import queue as verb
    from agents.config import load

    verb(load(config), as_json, everybody)
