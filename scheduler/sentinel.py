"""What the job script writes last: an exit code, and who ended the job with it. Pure.

A code alone does not tell a program that ends with 96 from a module that could not be loaded. The words
are the script's: it writes them where no program has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PROGRAM = "program"
WALLTIME = "walltime"
"""`timeout`, when the time was up."""
FAULTS: Mapping[str, str] = {
    "module": "a module could not be loaded",
    "directory": "a directory is missing",
    "setup": "a line of the setup (cluster.modules, cluster.setup) ended the job's script",
}
"""Parts of the script that end it before the program begins."""
_BARE = {96: "module", 97: "directory", 98: "setup", 124: WALLTIME}
"""Codes without a word: of jobs that an older version submitted, or of a person's own template."""


@dataclass(frozen=True)
class Sentinel:
    """One job's ``exit_code``."""

    code: int
    by: str = PROGRAM
    """`PROGRAM`, `WALLTIME`, ``stopped`` (by a signal, before the program began) or one of `FAULTS`."""


def read_sentinel(text: str) -> Sentinel | None:
    """The sentinel in the file's text; None where it holds none (it is being written)."""
    said = re.fullmatch(r"([0-9]{1,3})(?: ([a-z]+))?", text.strip())
    if said is None:
        return None
    code = int(said[1])
    return Sentinel(code, said[2] or _BARE.get(code, PROGRAM))
