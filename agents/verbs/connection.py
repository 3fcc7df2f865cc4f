"""The connection to the cluster: ``connect``, ``disconnect``, ``connection``."""

import typer

from agents.verbs.options import RequiredConfig

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run connect --config aurora.yaml")
def connect(config: RequiredConfig) -> None:
    """Open the ssh connection to the cluster: here you are asked for password and token."""
    from agents.commands.connection import connect as verb
    from agents.config import load

    typer.echo(verb(load(config)))


@app.command(epilog="Example: python -m agents.run disconnect --config aurora.yaml")
def disconnect(config: RequiredConfig) -> None:
    """Close the connection that `connect` opened; one that you opened yourself is left alone."""
    from agents.commands.connection import disconnect as verb
    from agents.config import load

    typer.echo(verb(load(config)))


@app.command(epilog="Example: python -m agents.run connection --config aurora.yaml")
def connection(config: RequiredConfig) -> None:
    """Say whose connection to the cluster there is, since when, and what it serves."""
    from agents.commands.connection import connection as verb
    from agents.config import load

    typer.echo(verb(load(config)))
