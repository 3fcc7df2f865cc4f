"""The connection to the cluster: ``connect``, ``disconnect``, ``connection``."""

import typer

from agents.verbs.options import JsonOption, RequiredConfig

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run connect --config aurora.yaml")
def connect(config: RequiredConfig, as_json: JsonOption = False) -> None:
    """Open the ssh connection to the cluster: here you are asked for password and token."""
    from agents.commands.connection import connect as verb
    from agents.commands.connection import to_json
    from agents.config import load

    status = verb(load(config))
    typer.echo(to_json(status) if as_json else status)


@app.command(epilog="Example: python -m agents.run disconnect --config aurora.yaml")
def disconnect(config: RequiredConfig, as_json: JsonOption = False) -> None:
    """Close the connection that `connect` opened; one that you opened yourself is left alone."""
    from agents.commands.connection import disconnect as verb
    from agents.commands.connection import to_json
    from agents.config import load

    said, status = verb(load(config))
    typer.echo(to_json(status, said=said) if as_json else said)


@app.command(epilog="Example: python -m agents.run connection --config aurora.yaml")
def connection(config: RequiredConfig, as_json: JsonOption = False) -> None:
    """Say whose connection to the cluster there is, since when, and what it serves.

    Exit codes: 0 it is open, 1 there is none or it does not answer, 2 bad configuration.
    """
    from agents.commands.connection import connection as verb
    from agents.commands.connection import is_open, to_json
    from agents.config import load

    status = verb(load(config))
    typer.echo(to_json(status) if as_json else status)
    raise typer.Exit(0 if is_open(status) else 1)
