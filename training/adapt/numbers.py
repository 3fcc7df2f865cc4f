"""From what the program says to numbers."""

import math
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

from training.adapt.options import Wanted

MOST_OF_A_LINE = 10000
MOST_NAMES = 200
"""That are remembered, to say what there was where a metric is missing."""

_NUMBER = r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?|nan\b|inf(?:inity)?\b))"
_BETWEEN = r"[\"'\])]*\s*[:=]?\s*(?:[A-Za-z_][\w.]*\(|[\[(])?\s*"
_ANY_NAME = re.compile(r"([A-Za-z][\w./-]*)" + _BETWEEN + _NUMBER)
_ALL_OF_IT = re.compile(_NUMBER, re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Epoch(NamedTuple):
    """One step of the curve."""

    step: int
    time: float
    values: "dict[str, float]"


class Reader:
    """Finds the numbers in lines, and which of them belong to one step.

    A step is over when it has all metrics, and later ones of the same names (a summary's) are no
    part of it; or when the next begins.
    """

    def __init__(self, wanted: Wanted, began: float) -> None:
        self._metrics = {name: _finder(name, text) for name, text in wanted.metrics.items()}
        self._step = _finder(*wanted.step) if wanted.step else None
        self._step_name = wanted.step[0] if wanted.step else None
        self._began = began
        self._at = None  # type: float | None
        self._open = {}  # type: dict[str, float]
        self._is_over = False
        self.epochs = []  # type: list[Epoch]
        self.lines = 0
        self.names = set()  # type: set[str]
        self.unplaced = set()  # type: set[str]
        self.last = ""

    def line(self, line: str) -> None:
        """Take a line of text."""
        line = _COLOURS.sub("", line[:MOST_OF_A_LINE]).strip()
        if not line:
            return
        self.lines += 1
        self.last = line
        if len(self.names) < MOST_NAMES:
            self.names.update(match.group(1) for match in _ANY_NAME.finditer(line[:500]))
        found = {name: _number(find.search(line)) for name, find in self._metrics.items()}
        self._take(found, _number(self._step.search(line)) if self._step else None)

    def row(self, row: "Mapping[str, str]") -> None:
        """Take a row of a table."""
        self.lines += 1
        self.names.update(name for name in row if name)
        found = {name: _cell(row, name) for name in self._metrics}
        self._take(found, _cell(row, self._step_name or ""))

    def _take(self, found: "Mapping[str, float | None]", step: "float | None") -> None:
        if step is not None and step != self._at:
            if self._at is not None and not step > self._at:
                return  # `best epoch: 3`, after the last
            self.end()
            self._at, self._is_over = step, False
        new = {name: value for name, value in found.items() if value is not None}
        if self._step_name is not None and self._at is None:
            self.unplaced.update(new)
        elif new and not self._is_over:
            self._open.update(new)
            if len(self._open) == len(self._metrics):
                self.end()
                self._is_over = self._step_name is not None

    def end(self) -> None:
        """Nothing more belongs to this step."""
        if not self._open:
            return
        last = self.epochs[-1].step if self.epochs else None
        at = self._at
        if at is not None and math.isfinite(at) and at == int(at) and (last is None or at > last):
            step = int(at)
        else:
            step = (last or 0) + 1
        self.epochs.append(Epoch(step, time.time() - self._began, self._open))
        self._open = {}


def _finder(name: str, pattern: str) -> "re.Pattern[str]":
    if pattern:
        return re.compile(pattern)
    name = r"\s+".join(re.escape(part) for part in name.split())
    return re.compile(r"(?<![\w./-])" + name + _BETWEEN + _NUMBER, re.IGNORECASE)


def _cell(row: "Mapping[str, str]", name: str) -> "float | None":
    return _number(_ALL_OF_IT.fullmatch((row.get(name) or "").strip()))


def _number(match: "re.Match[str] | None") -> "float | None":
    if match is None or match.group(1) is None:
        return None
    text = match.group(1).strip()
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(re.sub("[dD]", "e", text))  # Fortran's 1.0D-05
    except ValueError:
        return None
