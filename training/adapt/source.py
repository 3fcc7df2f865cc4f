"""A file with numbers that the program writes."""

import csv
import os
import time

from training.adapt.numbers import Reader


class Source:
    """The file with the numbers. It is read anew when it has changed: some loggers rewrite theirs."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._before = self._seen = self._state()
        self._next = 0.0

    def _state(self) -> "tuple[int, int] | None":
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    @property
    def is_untouched(self) -> bool:
        """Whether the program has not written it, though it may be there."""
        return self._state() == self._before

    def read(self, fresh: Reader, is_last: bool = False) -> "Reader | None":
        """All of it, in a reader that has seen nothing; None where there is no news."""
        state, began = self._state(), time.time()
        if (
            state is None
            or self.is_untouched
            or (not is_last and (state == self._seen or began < self._next))
        ):
            return None
        try:
            with open(self.path, encoding="utf-8", errors="replace", newline="") as stream:
                text = stream.read()
        except OSError:
            return None
        self._seen = state
        whole = text if is_last else text[: text.rfind("\n") + 1]
        if self.path.endswith((".csv", ".tsv")):
            for row in _rows(whole):
                fresh.row(row)
        else:
            for line in whole.splitlines():
                fresh.line(line)
        self._next = time.time() + 10 * (time.time() - began)
        return fresh


def _rows(text: str) -> "list[dict[str, str]]":
    lines = text.splitlines()
    head = lines[0].lstrip("# \ufeff") if lines else ""
    mark = max(",;\t", key=head.count)
    return [
        {(name or "").strip(): value for name, value in row.items() if isinstance(value, str)}
        for row in csv.DictReader([head, *lines[1:]], delimiter=mark)
    ]
