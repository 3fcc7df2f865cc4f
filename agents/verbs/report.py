"""What a run has found, for people and programs: ``report``, ``export``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import JsonOption

app = typer.Typer()


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command(epilog="Example: python -m agents.run report results/20261123_142530_fashion")
def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="A run, or several to compare.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The page; left out: reports/report.html in the run, or comparison.html here.",
        ),
    ] = None,
    open_dashboard: Annotated[
        bool, typer.Option("--open-dashboard", help="Serve the study in optuna-dashboard instead.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of the dashboard, on this machine alone.")
    ] = 8080,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a run again, from any state of it; or compare several runs."""
    from agents.commands import report as verb
    from agents.errors import ConfigurationError

    if open_dashboard:
        if len(directories) > 1 or output is not None:
            raise ConfigurationError("--open-dashboard: give one run directory, and no --output")
        from agents.commands.dashboard import serve

        serve(directories[0], port, typer.echo)
        return
    one = len(directories) == 1
    said = verb.report(directories[0], output) if one else verb.comparison(directories, output)
    typer.echo(said.to_json() if as_json else said.text())


@app.command(
    epilog="Example: python -m agents.run export results/20261123_142530_fashion -o trials.csv"
)
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    form: Annotated[
        Format, typer.Option("--format", "-f", help="csv, json (curves as well) or parquet.")
    ] = Format.CSV,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Left out: the screen."),
    ] = None,
) -> None:
    """Write all trials of a run as a table or a document. The run is not disturbed."""
    from agents.commands.export import export as verb

    content = verb(directory, form.value, output)
    typer.echo(content.decode() if content is not None else f"{form.value}: {output}", nl=False)
    if content is None:
        typer.echo()
