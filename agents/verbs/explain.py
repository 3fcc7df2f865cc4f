"""What the LLM is asked, and what came of it: ``explain``, ``prompt``."""

from pathlib import Path
from typing import Annotated

import typer

from agents.verbs.options import ConfigOption, JsonOption, SetOption

app = typer.Typer()


@app.command(epilog="Example: python -m agents.run explain results/20261123_142530_fashion 7")
def explain(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    trial: Annotated[
        int | None, typer.Argument(metavar="TRIAL", min=0, help="Its number; else the best so far.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a trial was proposed: by whom, on what grounds, and what became of it."""
    from agents.commands.explain import explain as verb

    typer.echo(verb(directory, trial, as_json=as_json))


@app.command(epilog="Example: python -m agents.run prompt > my_prompt.md.j2")
def prompt(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Print the default prompt, to make your own of it; with --config, the LLM's first question."""
    from agents.commands.explain import first_question
    from agents.config import load
    from agents.proposers.template import default_prompt

    text = default_prompt() if config is None else first_question(load(config, overrides or []))
    typer.echo(text, nl=False)
