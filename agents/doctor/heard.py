"""What an examining script on the cluster says: one framed word for each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.shell import FRAMES, parse_frames


@dataclass(frozen=True)
class Word:
    """The answer to one question."""

    code: int
    """Exit code of what was asked; 124 and 137: it hung and was ended, 127: there is no such
    program."""
    text: str

    @property
    def hung(self) -> bool:
        return self.code in (124, 137)


Heard = Mapping[str, Word]
"""Answers by question; one that was not asked is absent."""

# A hung file system or scheduler must not hang the examination. What the batch system's own
# fragments define as `ph_timed` is kept.
SHELL = (
    FRAMES
    + """
command -v ph_timed > /dev/null 2>&1 || {
  if command -v timeout > /dev/null 2>&1; then
    ph_timed() { timeout -k 5 "$ph_limit" "$@"; }
  else
    ph_timed() { "$@"; }
  fi
}
ph_limit=LIMIT
ph_hear() {
  ph_what=$1
  shift
  ph_out=$(ph_timed "$@" 2>&1 < /dev/null)
  ph_code=$?
  ph_text "$ph_what" "$ph_code" "$ph_out"
  return "$ph_code"
}
"""
)
"""Defines ``ph_hear QUESTION COMMAND...``: asks with a time limit of LIMIT seconds, frames what was
said on both outputs, and returns the command's exit code."""


def shell(limit: int) -> str:
    """`SHELL` with its time limit (s)."""
    return SHELL.replace("LIMIT", str(limit))


def heard(output: bytes, nonce: str) -> dict[str, Word]:
    """The words in a script's output."""
    return {
        frame.kind: Word(int(frame.name), frame.content.decode(errors="replace").strip())
        for frame in parse_frames(output, nonce)
        if frame.name.isdigit()
    }
