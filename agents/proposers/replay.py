"""A search run again from kept exchanges: they answer in the endpoint's place.

A place in a search is what the LLM was asked about: the trials before (states, values, parameters),
how many were wanted, and what was said in the consultation so far. How long things took, and what
jobs printed, do not count: they differ from run to run and decide nothing. An exchange answers for
its place only; a search that goes another way ends with an error, and never with an answer to
another question.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.errors import ConfigurationError, ReplayDiffers
from agents.proposers.endpoint import METHODS, EndpointAway, Message, Reply
from agents.proposers.exchanges import (
    first_trial,
    read_exchanges,
    state_digest,
    thread_digest,
)
from agents.trial import StudyView

_SECONDS = re.compile(r"[0-9.e+-]+ (?:s|min|h|d)\b")
_SHOWN = 3
"""Lines of a difference that are shown."""


class Replay:
    """Answers like `Endpoint.ask`, from the exchanges in a directory.

    Where the same question was asked twice at a place, as after a crash, the latest answer counts:
    it is the one that the search went on with. Raises ConfigurationError, at construction, where
    there are no exchanges.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: dict[tuple[int, str, str], tuple[Path, Mapping[str, Any]]] = {}
        self._at: dict[int, list[tuple[Path, Mapping[str, Any]]]] = {}
        for path, exchange in read_exchanges(directory):
            if "state" not in exchange or exchange.get("kind") != "answer":
                continue
            place = first_trial(path)
            self._kept[place, str(exchange["state"]), str(exchange["thread"])] = path, exchange
            self._at.setdefault(place, []).append((path, exchange))
        if not self._kept:
            raise ConfigurationError(
                f"llm.replay: {directory} holds no exchanges that a search can be replayed from; "
                "give the directory of a run in which an LLM was asked"
            )
        self._place, self._state = -1, ""
        self.name = f"kept exchanges in {directory}"
        self.last: Path | None = None
        """The exchange that answered last."""

    def turn_to(self, view: StudyView, count: int) -> None:
        """Go to the place in the search at which the next questions are asked."""
        self._place, self._state = len(view.trials), state_digest(view, count)

    def was_asked(self) -> bool:
        """Whether the LLM was asked anything at this place."""
        return self._place in self._at

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any], patient: bool) -> Reply:
        """The kept answer. Raises EndpointAway where there was none then, ReplayDiffers where this
        question was not asked."""
        found = self._kept.get((self._place, self._state, thread_digest(messages)))
        if found is None:
            raise ReplayDiffers(self._difference(messages))
        self.last, exchange = found
        if exchange.get("error"):
            raise EndpointAway(str(exchange["error"]))
        method = exchange.get("method")
        return Reply(
            str(exchange.get("answer", "")),
            next((one for one in METHODS if one == method), METHODS[-1]),
            exchange.get("finish_reason"),
        )

    def hide_secrets(self, text: str) -> str:
        """The text: there is no key here."""
        return text

    def _difference(self, messages: Sequence[Message]) -> str:
        where = f"replay: trial {self._place}: "
        after = (
            "start a new search with an endpoint (leave --replay and llm.replay out), or replay with "
            "the same configuration, seed, and programs that give the same results"
        )
        near = self._at.get(self._place)
        if near is None:
            asked = ", ".join(map(str, sorted(self._at)[:20]))
            return f"{where}the LLM was not asked here (it was for trials {asked}); {after}"
        path, exchange = next((one for one in near if one[1]["state"] == self._state), near[0])
        before = [str(one["content"]) for one in exchange.get("messages", ())]
        now = [str(one["content"]) for one in messages]
        lines = differing(_lines(before), _lines(now))
        shown = "\n".join(f"  {line}" for line in lines[:_SHOWN]) or "  (in nothing that is shown)"
        return f"{where}the question differs from the kept one, {path}:\n{shown}\n  {after}"


def differing(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Lines that only one of both has, each with - (before) or + (now); times do not count."""
    old = {_timeless(line): line for line in before}
    new = {_timeless(line): line for line in now}
    compared = difflib.ndiff(list(old), list(new))
    return [line[:200] for line in compared if line[:1] in "-+"]


def _lines(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines() if line.strip()]


def _timeless(line: str) -> str:
    return _SECONDS.sub("…", line)
