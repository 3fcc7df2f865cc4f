"""Job scripts: ``render``."""

import typer

from agents.verbs.options import RequiredConfig, SetOption

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run render --config config.example.yaml")
def render(config: RequiredConfig, overrides: SetOption = None) -> None:
    """Print the first job's script and files as they would be submitted; submit nothing."""
    from agents.commands.dry_run import rendered
    from agents.config import load

    typer.echo(rendered(load(config, overrides or [])))
