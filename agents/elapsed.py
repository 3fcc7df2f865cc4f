"""How long a search was at work: from its beginning on, without the time in which nobody did anything.

Where a search is left and taken up again, the time between is idle. Jobs that go on without an
orchestrator are work all the same, until the last of them has ended (`agents.unattended`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.progress import read_heartbeat
from agents.workspace import Workspace

ATTRIBUTE = "idle"
"""Of the study: a list of ``[since, until]``, each in ISO format."""
OPEN = "unattended"
"""Of the study: likewise, of times of which it is not known yet how long jobs went on in them. Until it
is they do not count: a rule that holds too early would end the search."""

Span = tuple[datetime, datetime]


def elapsed_seconds(kept: Mapping[str, Any], started: datetime, until: datetime) -> float:
    """Seconds at work from `started` to `until`; `kept` is what is kept with the study."""
    return seconds_at_work(spans(kept), started, until)


def seconds_at_work(idle: Sequence[Span], started: datetime, until: datetime) -> float:
    """Seconds from `started` to `until` that are not of the `idle` times."""
    rest = sum((_within(span, started, until) for span in idle), timedelta())
    return max(0.0, (until - started - rest).total_seconds())


def with_idle(kept: Mapping[str, Any], since: datetime, until: datetime) -> list[list[str]]:
    """The idle times and one more. One that began at the same moment is replaced: the process that
    entered it died before it did anything."""
    known = spans({ATTRIBUTE: kept.get(ATTRIBUTE, ())})
    others = [span for span in known if span[0] != since]
    return [[moment.isoformat() for moment in span] for span in (*others, (since, until))]


def spans(kept: Mapping[str, Any]) -> Sequence[Span]:
    """The idle times that are kept, and those that may have been idle."""
    return [
        (datetime.fromisoformat(since), datetime.fromisoformat(until))
        for since, until, *_ in (*kept.get(ATTRIBUTE, ()), *kept.get(OPEN, ()))
    ]


def _within(span: Span, started: datetime, until: datetime) -> timedelta:
    return max(timedelta(), min(span[1], until) - max(span[0], started))


def left_at(workspace: Workspace) -> datetime | None:
    """When somebody last worked on the run (UTC); None where nothing tells."""
    known = (ended_at(workspace), last_sign(workspace))
    return max((moment for moment in known if moment is not None), default=None)


def ended_at(workspace: Workspace) -> datetime | None:
    """When the search came to its end, as its summary has it (UTC)."""
    try:
        document = json.loads(workspace.summary_file.read_bytes())
        return moment_of(document["run"]["updated_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_sign(workspace: Workspace) -> datetime | None:
    """The last sign of life (UTC)."""
    return moment_of((read_heartbeat(workspace.progress_file) or {}).get("updated_at"))


def moment_of(text: object) -> datetime | None:
    """A moment in ISO format (UTC); None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.astimezone(UTC)
