"""Configuration files: ``config schema``, ``check``, ``show``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import ConfigOption, JsonOption, SetOption

app = typer.Typer(help="About configuration files.", no_args_is_help=True)


FileArgument = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="The configuration; or by --config.")
]


def _file(argument: Path | None, option: Path | None) -> Path:
    """The one that was given: other verbs take it by option only."""
    from agents.errors import ConfigurationError

    given = [path for path in (argument, option) if path is not None]
    if len(given) != 1:
        raise ConfigurationError("config: name one FILE, such as: config check my.yaml")
    return given[0]


@app.command(epilog="Example: python -m agents.run config schema > pilothouse.schema.json")
def schema() -> None:
    """Print the JSON schema of the configuration file, for editors."""
    import json

    from agents.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command(epilog="Example: python -m agents.run config check my.yaml")
def check(
    file: FileArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration file; says all that is wrong with it at once.

    Exit codes: 0 it is valid, 2 it is not.
    """
    import json

    from agents.config import load
    from agents.errors import ConfigurationError

    path = _file(file, config)
    problems: list[str] = []
    try:
        load(path, overrides or [])
    except ConfigurationError as error:
        if not as_json:
            raise
        problems = error.problems
    if not as_json:
        typer.echo(f"{path}: valid")
        return
    document = {"file": str(path), "valid": not problems, "problems": problems}
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    raise typer.Exit(2 if problems else 0)


@app.command(epilog="Example: python -m agents.run config show config.example.yaml")
def show(
    file: FileArgument = None, config: ConfigOption = None, overrides: SetOption = None
) -> None:
    """Print a configuration as it is resolved: defaults, references and overrides filled in."""
    from agents.config import load

    typer.echo(load(_file(file, config), overrides or []).resolved)
