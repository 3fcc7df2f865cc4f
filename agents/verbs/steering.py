"""Steering a running search: ``pause``, ``continue``, ``stop``, ``cancel``, ``set``, ``add``, ``forbid``, ``note``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.verbs.options import JsonOption

if TYPE_CHECKING:
    from agents.commands.steering import Answer
    from agents.steering import Verb

app = typer.Typer()

Run = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory of the search.")]
Wait = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, help="How long to wait until the search has taken it."),
]
WAIT = 5.0


@app.command(epilog="Example: python -m agents.run pause results/20261123_142530_fashion")
def pause(directory: Run, wait: Wait = WAIT, as_json: JsonOption = False) -> None:
    """Submit no new jobs; those that run end, and their results are collected."""
    _ask(directory, "pause", {}, wait, as_json)


@app.command(
    "continue", epilog="Example: python -m agents.run continue results/20261123_142530_fashion"
)
def go_on(directory: Run, wait: Wait = WAIT, as_json: JsonOption = False) -> None:
    """Take back a pause, and a stop that has not come about yet."""
    _ask(directory, "continue", {}, wait, as_json)


@app.command(epilog="Example: python -m agents.run stop results/20261123_142530_fashion")
def stop(directory: Run, wait: Wait = WAIT, as_json: JsonOption = False) -> None:
    """End the search after this iteration: what runs is completed, and the last report written."""
    _ask(directory, "stop", {}, wait, as_json)


@app.command(epilog="Example: python -m agents.run cancel results/20261123_142530_fashion 7 9")
def cancel(
    directory: Run,
    trials: Annotated[
        list[int] | None, typer.Argument(metavar="TRIAL...", help="Numbers of trials.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All trials in flight.")] = False,
    wait: Wait = WAIT,
    as_json: JsonOption = False,
) -> None:
    """Cancel trials: their jobs end on the cluster; the sampler learns nothing from them.

    Also the jobs of a search that was left, and the job of an experiment that was submitted without
    a search.
    """
    from agents.commands.cancel import cancel as verb
    from agents.errors import ConfigurationError
    from agents.interrupts import Interrupted

    if bool(trials) == everything:
        raise ConfigurationError("cancel: name the trials, or give --all")
    try:
        answer = verb(directory, trials or "all", wait)
    except Interrupted as interrupted:
        raise typer.Exit(128 + interrupted.number) from None
    _tell(answer, as_json)


@app.command(
    "set",
    epilog="Example: python -m agents.run set results/20261123_142530_fashion loop.max_iterations=40",
)
def set_value(
    directory: Run,
    setting: Annotated[
        str, typer.Argument(metavar="KEY=VALUE", help="A budget, a stop rule or a cap; null: none.")
    ],
    wait: Wait = WAIT,
    as_json: JsonOption = False,
) -> None:
    """Change a budget, a stop rule or a cap; it stays when the run is resumed."""
    _ask(directory, "set", {"setting": setting}, wait, as_json)


@app.command(
    epilog="Example: python -m agents.run add results/20261123_142530_fashion learning_rate=0.01"
)
def add(
    directory: Run,
    values: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE...", help="What is left out takes its default."),
    ],
    wait: Wait = WAIT,
    as_json: JsonOption = False,
) -> None:
    """Add a trial of your own, which is proposed next."""
    _ask(directory, "add", {"values": values}, wait, as_json)


@app.command(
    epilog="Example: python -m agents.run forbid results/20261123_142530_fashion 'learning_rate > 0.1'"
)
def forbid(
    directory: Run,
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="In the language of `constraints:`.")
    ],
    wait: Wait = WAIT,
    as_json: JsonOption = False,
) -> None:
    """Propose nothing more where the expression is true; trials in flight stay."""
    _ask(directory, "forbid", {"expression": expression}, wait, as_json)


@app.command(
    epilog="Example: python -m agents.run note results/20261123_142530_fashion 'wide nets run out of memory'"
)
def note(
    directory: Run,
    words: Annotated[list[str], typer.Argument(metavar="TEXT...", help="A sentence.")],
    wait: Wait = WAIT,
    as_json: JsonOption = False,
) -> None:
    """Tell the LLM something, from the next proposal on."""
    _ask(directory, "note", {"text": " ".join(words)}, wait, as_json)


def _ask(
    directory: Path, verb: Verb, arguments: Mapping[str, Any], wait: float, as_json: bool
) -> None:
    from agents.commands.steering import ask

    _tell(ask(directory, verb, arguments, wait), as_json)


def _tell(answer: Answer, as_json: bool) -> None:
    from agents.commands.steering import answer_json, answer_text

    is_refused = answer.state == "refused"
    if as_json:
        typer.echo(answer_json(answer))
    else:
        typer.echo(f"{'refused: ' if is_refused else ''}{answer_text(answer)}", err=is_refused)
    if is_refused:
        raise typer.Exit(2)
