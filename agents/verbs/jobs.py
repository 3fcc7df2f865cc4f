"""Job scripts: ``render``."""

import typer

from agents.verbs.options import JsonOption, RequiredConfig, SetOption

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run render --config config.example.yaml")
def render(
    config: RequiredConfig, overrides: SetOption = None, as_json: JsonOption = False
) -> None:
    """Print the first job's script and files as they would be submitted; submit nothing."""
    from agents.commands.dry_run import rendered, rendered_json
    from agents.config import load

    loaded = load(config, overrides or [])
    typer.echo(rendered_json(loaded) if as_json else rendered(loaded))
