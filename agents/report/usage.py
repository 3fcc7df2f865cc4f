"""What the LLM was asked and what it cost, as the kept exchanges tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.metrics import as_float


@dataclass(frozen=True)
class Usage:
    """Sums over exchanges."""

    exchanges: int = 0
    unanswered: int = 0
    """Exchanges that ended in an error."""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    """Until the answers were there."""
    money: Mapping[str, float] = field(default_factory=dict)
    """By currency; ``""`` where none is named."""
    unpriced: int = 0
    """Answers without a price."""


@dataclass
class UsageReader:
    """Adds up the exchanges in a directory. Each file is read once: it never changes."""

    directory: Path
    _known: dict[str, Usage] = field(default_factory=dict)

    def read(self) -> Usage:
        """The sum over all exchanges; files that cannot be read do not count."""
        for path in sorted(self.directory.glob("trial_*.json")):
            if path.name not in self._known:
                found = _read(path)
                if found is not None:
                    self._known[path.name] = found
        return total(list(self._known.values()))


def _read(path: Path) -> Usage | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return usage_of(document) if isinstance(document, dict) else None


def usage_of(exchange: Mapping[str, Any]) -> Usage:
    """What one exchange used. Pure."""
    answered = not exchange.get("error")
    told = exchange.get("usage")
    used: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    money = _money(exchange.get("cost"))
    return Usage(
        exchanges=1,
        unanswered=int(not answered),
        input_tokens=_tokens(used, "input_tokens", "prompt_tokens"),
        output_tokens=_tokens(used, "output_tokens", "completion_tokens"),
        seconds=as_float(exchange.get("seconds")) or 0.0,
        money=money,
        unpriced=int(answered and not money),
    )


def _tokens(used: Mapping[str, Any], *names: str) -> int:
    return next((int(found) for name in names if (found := as_float(used.get(name)))), 0)


def _money(cost: Any) -> dict[str, float]:
    """A plain number, or ``{"amount": …, "currency": …}``."""
    if isinstance(cost, Mapping):
        amount, currency = as_float(cost.get("amount")), str(cost.get("currency") or "")
    else:
        amount, currency = as_float(cost), ""
    return {} if amount is None else {currency: amount}


def total(parts: Sequence[Usage]) -> Usage:
    """The sum. Pure."""
    money: dict[str, float] = {}
    for part in parts:
        for currency, amount in part.money.items():
            money[currency] = money.get(currency, 0.0) + amount
    return Usage(
        exchanges=sum(part.exchanges for part in parts),
        unanswered=sum(part.unanswered for part in parts),
        input_tokens=sum(part.input_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        seconds=sum(part.seconds for part in parts),
        money=money,
        unpriced=sum(part.unpriced for part in parts),
    )
