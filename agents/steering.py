"""What people ask for while a search runs: the words, and what all of it comes to. Pure.

One process writes the ledger. So a request from another terminal is a file (`agents.requests`); the
orchestrator takes it (`agents.helm`), which enters it in the ledger, in the study's attribute
``steering``, a list in the order of taking. What is in force follows from that list alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from agents.trial import Failure, StudyView, Trial, TrialState
from scheduler.job import Cause

Verb = Literal["pause", "continue", "stop", "cancel", "set", "add", "forbid", "note"]
VERBS: tuple[str, ...] = get_args(Verb)

ATTRIBUTE = "steering"
"""Of the study, in the ledger."""

LONGEST_NOTE = 2000
"""Characters of a note, which goes into every prompt."""

SETTABLE: Mapping[str, str] = {
    "loop.max_iterations": "turns of the loop",
    "loop.max_trials": "a bound on trials",
    "loop.jobs_per_iteration": "trials in an iteration (schedule batch)",
    "stop.target": "an objective that is good enough",
    "stop.patience": "iterations without an improvement",
    "stop.minimum_improvement": "what counts as one",
    "stop.wall_clock": "time since the start",
    "stop.node_hours": "node-hours that may be spent",
    "stop.failures_in_a_row": "failed trials in a row",
    "cluster.max_in_flight": "jobs at a time",
    "cluster.max_per_submission": "jobs in one submission",
    "confirm.trials": "how many of the best run again at the end",
    "confirm.seeds": "how often each of them does",
}
"""The keys that may change while a search runs: budgets, rules that stop it, caps. What trials
rest on (space, objective, program, resources) may not."""


@dataclass(frozen=True)
class Request:
    """Something that a person asked for."""

    id: str
    """When it was asked and a nonce: unique, and sorts by time."""
    verb: Verb
    arguments: Mapping[str, Any]
    by: str
    """``user@host``"""
    asked_at: datetime

    @property
    def what(self) -> str:
        """In the words of the command line: ``set loop.max_iterations=40``."""
        return f"{self.verb} {arguments_text(self)}".strip()


def arguments_text(request: Request) -> str:
    """The arguments of a request as they are typed."""
    given = request.arguments
    match request.verb:
        case "cancel":
            trials = given.get("trials")
            return "--all" if trials == "all" else " ".join(map(str, trials or ()))
        case "set":
            return f"{given.get('key')}={given.get('value')}"
        case "add":
            parameters = given.get("parameters") or {}
            return " ".join(f"{name}={_typed(value)}" for name, value in parameters.items())
        case "forbid":
            return str(given.get("expression"))
        case "note":
            return str(given.get("text"))
        case _:
            return ""


def _typed(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Taken:
    """A request that the orchestrator has entered in the ledger."""

    request: Request
    taken_at: datetime
    effect: str
    """What it does, or why it was refused: a sentence."""
    refused: bool = False
    trials: Sequence[int] = ()
    """The trials that a `cancel` means."""
    done: bool = False
    """It lies behind us: a `stop` that has stopped the search."""

    @property
    def id(self) -> str:
        return self.request.id

    def to_json(self) -> dict[str, Any]:
        """As the ledger and the reports have it."""
        request = self.request
        return {
            "id": request.id,
            "verb": request.verb,
            "what": request.what,
            "arguments": dict(request.arguments),
            "by": request.by,
            "asked_at": request.asked_at.isoformat(),
            "taken_at": self.taken_at.isoformat(),
            "effect": self.effect,
            "refused": self.refused,
            "trials": list(self.trials),
            "done": self.done,
        }


def taken_from_json(document: Mapping[str, Any]) -> Taken:
    """What `Taken.to_json` made. Raises KeyError, TypeError or ValueError for anything else."""
    if document["verb"] not in VERBS:
        raise ValueError(f"there is no verb {document['verb']!r}")
    request = Request(
        id=document["id"],
        verb=document["verb"],
        arguments=document["arguments"],
        by=document["by"],
        asked_at=datetime.fromisoformat(document["asked_at"]),
    )
    return Taken(
        request,
        datetime.fromisoformat(document["taken_at"]),
        document["effect"],
        document["refused"],
        tuple(document["trials"]),
        document["done"],
    )


@dataclass(frozen=True)
class Steered:
    """What is in force, after all that was asked for."""

    paused: Taken | None = None
    stop: Taken | None = None
    """The search ends with this iteration."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Configuration keys and their values as YAML."""
    forbidden: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    added: tuple[Taken, ...] = ()
    """Trials that people asked for, whether they have been proposed or not."""
    cancelled: Mapping[int, Taken] = field(default_factory=dict)
    """By the number of the trial."""


def steered(history: Sequence[Taken]) -> Steered:
    """What is in force after `history`, in the order of taking."""
    now = Steered()
    for taken in history:
        if not taken.refused:
            now = _after(now, taken)
    return now


def _after(now: Steered, taken: Taken) -> Steered:
    given = taken.request.arguments
    match taken.request.verb:
        case "pause":
            return replace(now, paused=now.paused or taken)
        case "continue":
            return replace(now, paused=None, stop=None)
        case "stop":
            return now if taken.done else replace(now, stop=now.stop or taken)
        case "cancel":
            return replace(now, cancelled={**dict.fromkeys(taken.trials, taken), **now.cancelled})
        case "set":
            return replace(now, overrides={**now.overrides, given["key"]: given["value"]})
        case "add":
            return replace(now, added=(*now.added, taken))
        case "forbid":
            return replace(now, forbidden=(*now.forbidden, given["expression"]))
        case "note":
            return replace(now, notes=(*now.notes, given["text"]))


def waiting_additions(now: Steered, trials: Sequence[Trial]) -> list[Taken]:
    """Trials that people asked for and nobody has proposed yet, in the order of asking."""
    proposed = {trial.request for trial in trials}
    return [taken for taken in now.added if taken.id not in proposed]


def settled(history: Sequence[Taken], trials: Sequence[Trial]) -> list[Taken]:
    """The history with effects that have come about since: which trial an `add` became."""
    became = {trial.request: trial.number for trial in trials if trial.request is not None}
    return [
        replace(taken, effect=f"trial {became[taken.id]}") if taken.id in became else taken
        for taken in history
    ]


def stops_done(history: Sequence[Taken]) -> list[Taken]:
    """The history after the search has stopped: it does not stop once more when it is resumed."""
    return [
        replace(taken, done=True) if taken.request.verb == "stop" and not taken.refused else taken
        for taken in history
    ]


def too_late(history: Sequence[Taken], trials: Sequence[Trial]) -> list[Taken]:
    """The history with what has become of wishes for trials that the search ended before."""
    left = {taken.id for taken in waiting_additions(steered(history), trials)}
    text = "the search ended before; it is proposed if the search goes on"
    return [replace(taken, effect=text) if taken.id in left else taken for taken in history]


def cancelled_by(person: str) -> str:
    """The message of the failure of a trial that a person cancelled."""
    return f"cancelled on request of {person}"


def lessons(view: StudyView, now: Steered) -> StudyView:
    """The snapshot that proposers learn from.

    A trial that a person cancelled, or that the machine failed, says nothing of its point nor of who
    proposed it, and one that runs another again would teach the same lesson twice: they keep their
    numbers, are nobody's, and teach nothing (`Trial.teaches`).
    """
    trials = [_lesson(trial, now) for trial in view.trials]
    return replace(view, trials=trials, notes=now.notes)


def _lesson(trial: Trial, now: Steered) -> Trial:
    taken = now.cancelled.get(trial.number)
    if taken is not None and trial.state is TrialState.FAILED:
        trial = replace(trial, failure=Failure(Cause.CANCELLED, cancelled_by(taken.request.by)))
    return trial if trial.teaches else replace(trial, origin="user", fallback_reason=None)
