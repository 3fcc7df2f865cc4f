"""Single experiments: ``submit``, ``harvest``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import JsonOption, RequiredConfig, SetOption

app = typer.Typer()


@app.command(
    epilog="Example: python -m agents.run submit --config templates/experiment.yaml learning_rate=0.01"
)
def submit(
    config: RequiredConfig,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="Hyperparameters; others: their defaults."),
    ] = None,
    overrides: SetOption = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the experiment has ended.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run one experiment, without a search: one job, its directory and its id.

    Exit codes: 0 submitted (with --wait: it ended well), 1 not, 2 bad input.
    """
    from agents.commands.submit import Submission
    from agents.commands.submit import submit as verb

    raise typer.Exit(verb(Submission(config, overrides or [], pairs or [], wait, as_json)))


@app.command(epilog="Example: python -m agents.run harvest results")
def harvest(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Experiments, or directories that hold some."),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until all of them have ended.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Put those that have ended together there, for a search to begin with.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how experiments are, and enter the results of those that have ended in their ledgers.

    As often as you like. Exit codes: 0 all well so far, 1 one failed or cannot be asked, 2 bad input.
    """
    from agents.commands.harvest import harvest as verb

    raise typer.Exit(verb(places, wait=wait, into=into, as_json=as_json))
