"""The exchanges with an LLM, each kept as a file of its own. Secrets never."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.config.model import PriceSettings
from agents.trial import StudyView


class ExchangeLog:
    """Writes `trial_0007_01.json`, …: by the first trial that was asked for, and a count.

    The directory is made at the first exchange, for the owner only. A file is written once and
    never replaced: after a crash the same question gets the next count.
    """

    def __init__(self, directory: Path, prices: PriceSettings | None = None) -> None:
        """`prices`: what each exchange cost is kept with it."""
        self._directory = directory
        self._prices = prices or PriceSettings()

    def keep(self, first_trial: int, exchange: Mapping[str, Any]) -> Path:
        """Write one exchange. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        document = {
            "schema": 1,
            "time": datetime.now(UTC).isoformat(),
            "first_trial": first_trial,
            **exchange,
        }
        cost = cost_of(exchange.get("usage") or {}, self._prices)
        if cost is not None:
            document["cost"] = cost
        data = json.dumps(document, indent=1, default=str).encode()
        count = 1
        while True:
            path = self._directory / f"trial_{first_trial:04d}_{count:02d}.json"
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                count += 1
                continue
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            return path


def read_exchanges(directory: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The kept exchanges in the order of their trials and counts; what cannot be read is left
    out (a file that a crash cut short)."""
    found = []
    for path in sorted(directory.glob("trial_*.json"), key=_place):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            found.append((path, document))
    return found


def first_trial(path: Path) -> int:
    """The trial that an exchange was about, or the first of several, by its file's name."""
    return _place(path)[0]


def _place(path: Path) -> tuple[int, int]:
    """``trial_0012_03.json`` as numbers, which may have more digits than the pattern."""
    parts = path.stem.split("_")[1:]
    numbers = [int(part) for part in parts if part.isdecimal()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (-1, 0)


def cost_of(usage: Mapping[str, Any], prices: PriceSettings) -> dict[str, Any] | None:
    """``{"amount": …, "currency": …}`` of so many tokens; None where there is no price for them."""
    parts = [
        tokens * price / 1e6
        for tokens, price in (
            (usage.get("input_tokens"), prices.prompt),
            (usage.get("output_tokens"), prices.completion),
        )
        if isinstance(tokens, int) and price is not None
    ]
    return {"amount": sum(parts), "currency": prices.currency} if parts else None


def state_digest(view: StudyView, count: int) -> str:
    """What decides a question to the LLM, apart from times and a job's own words: two searches
    with the same digest stand at the same place."""
    trials = [
        [
            trial.state.value,
            trial.value,
            trial.failure.cause.value if trial.failure is not None else None,
            sorted(trial.parameters.items()),
        ]
        for trial in view.trials
    ]
    return _digest([view.metric, view.direction, count, trials])


def thread_digest(messages: Sequence[Mapping[str, Any]]) -> str:
    """What was said in a consultation since its first question."""
    return _digest([[one["role"], one["content"]] for one in messages[1:]])


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
