"""Configuration files: ``config schema``, ``check``, ``show``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import SetOption

app = typer.Typer(help="About configuration files.", no_args_is_help=True)


@app.command(epilog="Example: python -m agents.run config schema > pilothouse.schema.json")
def schema() -> None:
    """Print the JSON schema of the configuration file, for editors."""
    import json

    from agents.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command(epilog="Example: python -m agents.run config check my.yaml")
def check(
    config: Annotated[Path, typer.Argument(metavar="FILE")], overrides: SetOption = None
) -> None:
    """Check a configuration file; says all that is wrong with it at once."""
    from agents.config import load

    load(config, overrides or [])
    typer.echo(f"{config}: valid")


@app.command(epilog="Example: python -m agents.run config show config.example.yaml")
def show(
    config: Annotated[Path, typer.Argument(metavar="FILE")], overrides: SetOption = None
) -> None:
    """Print a configuration as it is resolved: defaults, references and overrides filled in."""
    from agents.config import load

    typer.echo(load(config, overrides or []).resolved)
