"""Text that programs wrote, made fit for a terminal or a page. Pure."""

from __future__ import annotations

import re

_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# What neither HTML nor XML may hold: controls but tab and newline, lone surrogates, noncharacters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Marks that turn the reading direction of what follows: a text could fake its surroundings.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text without terminal colours, with what cannot be shown replaced by a mark."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("\ufffd", _DIRECTION.sub("\ufffd", _TERMINAL.sub("", text)))


def in_one_line(text: str, longest: int = 500) -> str:
    """What a command said, each thing once: qstat says it for each job, and in two lines."""
    lines = (line.strip() for line in text.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line))[-longest:]
