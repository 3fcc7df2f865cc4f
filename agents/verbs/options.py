"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration (YAML).")
]
RequiredConfig = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration (YAML).")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as loop.max_trials=20."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]
BackgroundOption = Annotated[
    bool,
    typer.Option("--background", help="Go on without this terminal; say where the log is."),
]


def seconds(text: str, option: str) -> float:
    """Seconds from ``90s``, ``15m``, ``30d`` … as it was given for `option`.

    Raises ConfigurationError.
    """
    from agents.errors import ConfigurationError
    from scheduler.units import parse_duration

    try:
        value = parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text}: {error}") from None
    assert isinstance(value, float)
    return value
