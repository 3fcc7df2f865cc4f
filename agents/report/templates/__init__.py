"""The templates of the reports, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@cache
def environment(finalize: Callable[[Any], Any]) -> Environment:
    """A Jinja environment in which a missing name is an error.

    `finalize` sees every value that a template puts out, so that nothing goes out as it came in.
    HTML templates (``.html.j2``) are escaped besides.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    return Environment(
        loader=DictLoader(sources()),
        autoescape=lambda name: name is None or name.endswith(".html.j2"),
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def text(name: str) -> str:
    """A style sheet or a script that goes into a page as it is."""
    return sources()[name]


@cache
def sources() -> dict[str, str]:
    """The texts of all of them by name, read once: as old as the code that fills them in, also after
    the checkout has changed under a search of days."""
    files = (file for file in _HERE.iterdir() if file.suffix in (".j2", ".css", ".js"))
    return {file.name: file.read_text(encoding="utf-8") for file in files}
