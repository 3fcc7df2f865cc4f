"""The login of an LLM endpoint: ``auth login``, ``status``, ``token``, ``logout``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import JsonOption

app = typer.Typer(help="Log in for an LLM endpoint behind Globus.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="A configuration with llm.globus."),
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="A known service: alcf.")
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Look at the file only; do not ask the service.")
]


@app.command(epilog="Example: python -m agents.run auth login --preset alcf")
def login(config: ConfigOption = None, preset: PresetOption = None) -> None:
    """Log in: open the address that is shown in any browser, and type the code it gives here."""
    from agents.commands.auth import log_in, login_of

    typer.echo(log_in(login_of(config, preset)))


@app.command(epilog="Example: python -m agents.run auth status --preset alcf")
def status(
    config: ConfigOption = None,
    preset: PresetOption = None,
    as_json: JsonOption = False,
    offline: OfflineOption = False,
) -> None:
    """Say whose login there is, until when, and whether the service still renews it.

    Exit code 0 if it can be used without a person, else 1; where the service cannot be reached, that
    is said, and the login is held to be good.
    """
    from agents.commands.auth import login_of, login_status

    text, usable = login_status(login_of(config, preset), as_json, offline)
    typer.echo(text)
    raise typer.Exit(0 if usable else 1)


@app.command(epilog="Example: python -m agents.run auth token --preset alcf")
def token(config: ConfigOption = None, preset: PresetOption = None) -> None:
    """Print an access token that is good for the next minutes, for other programs.

    Hand it over on standard input (curl: -K -): everybody sees the arguments of a command.
    """
    from agents.commands.auth import login_of

    typer.echo(login_of(config, preset).access_token())


@app.command(epilog="Example: python -m agents.run auth logout --preset alcf")
def logout(config: ConfigOption = None, preset: PresetOption = None) -> None:
    """Forget the login, here and at the service."""
    from agents.commands.auth import login_of

    was_there = login_of(config, preset).log_out()
    typer.echo("logged out" if was_there else "nobody was logged in")
