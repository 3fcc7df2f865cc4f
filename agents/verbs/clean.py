"""Old runs: ``clean``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import JsonOption, seconds

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run clean results --older-than 30d --keep-best 3")
def clean(
    base: Annotated[
        Path, typer.Argument(metavar="BASE", help="The directory that holds runs.")
    ] = Path("results"),
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="Since the last sign of life, such as 30d.")
    ] = "30d",
    keep_best: Annotated[
        int, typer.Option(metavar="N", min=0, help="Keep the N best runs of each experiment.")
    ] = 0,
    remote: Annotated[
        bool, typer.Option("--remote", help="Delete their directories on the cluster as well.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show old runs and how large they are, ask, and delete them.

    Never a run that is in use or may have jobs, never a directory that is no run, never staged code.
    Exit codes: 0 done, 1 a run could not be deleted, 2 bad input (or nobody to ask).
    """
    from agents.commands.clean import Wanted
    from agents.commands.clean import clean as verb

    age = seconds(older_than, "--older-than")
    raise typer.Exit(verb(Wanted(base, age, keep_best, remote, dry_run, yes, as_json)))
