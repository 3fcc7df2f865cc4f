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
