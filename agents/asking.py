"""Whether what a person asks of a running search can be done.

Both sides look: the terminal before it asks, so that a mistake is told at once, and the
orchestrator before it does it. Everything here raises ConfigurationError in plain words.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.config import LoadedConfig, load
from agents.config.model import Settings
from agents.config.node import data_of
from agents.config.yaml_text import parse
from agents.errors import ConfigurationError, ProposalRejected
from agents.space import SearchSpace
from agents.space.checks import constraint_problems
from agents.space.constraint import Constraint
from agents.space.values import drawn, evenly
from agents.steering import LONGEST_NOTE, SETTABLE
from training.contract import ParameterValue

LEAST = 0.01
"""Of the space that must be left: samplers draw until they hit it."""
POINTS = 2000
"""Random points that are looked at to see how much a region holds."""


# -- set -----------------------------------------------------------------------------------------


def key_and_value(text: str) -> tuple[str, str]:
    """``loop.max_iterations=40`` in two; the key is one that may change."""
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator or not key:
        raise ConfigurationError(
            f"set {text}: write KEY=VALUE, with the key's whole path, such as loop.max_iterations=40"
        )
    if key not in SETTABLE:
        near = difflib.get_close_matches(key, SETTABLE, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigurationError(
            f"set {key}: this cannot change while a search runs; {meant}"
            f"these can: {', '.join(SETTABLE)}{'' if near else _otherwise(key)}"
        )
    return key, value


def _otherwise(key: str) -> str:
    """How a key changes that is read when a run is taken up again."""
    if not key.startswith(("cluster.", "llm.", "pruner.", "training.command", "training.budget")):
        return ""
    return f"; for {key} leave the search (Ctrl-C, `kill`), and `resume DIR --set {key}=VALUE`"


def with_overrides(configuration: Path, overrides: Mapping[str, str]) -> LoadedConfig:
    """The configuration of a run with other values of some keys, validated as a whole."""
    return load(configuration, [f"{key}={value}" for key, value in overrides.items()])


def value_of(settings: Settings, key: str) -> Any:
    """The value of a key, such as ``loop.max_iterations``."""
    found: Any = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def checked_setting(configuration: Path, key: str, value: str) -> LoadedConfig:
    """The configuration with this key at this value."""
    key_and_value(f"{key}={value}")
    loaded = with_overrides(configuration, {key: value})
    if key == "loop.jobs_per_iteration" and loaded.settings.loop.schedule != "batch":
        raise ConfigurationError(
            "set loop.jobs_per_iteration: in schedule steady it counts the iterations, and cannot "
            "change; cluster.max_in_flight bounds the jobs that run at a time"
        )
    return loaded


# -- add -----------------------------------------------------------------------------------------


def parameters_of(texts: Sequence[str]) -> dict[str, Any]:
    """``learning_rate=0.01 optimizer=adam`` as values; each is read as YAML."""
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise ConfigurationError(f"add {text}: write NAME=VALUE, such as learning_rate=0.01")
        if name.strip() in found:
            raise ConfigurationError(f"add: {name.strip()} is there twice")
        found[name.strip()] = data_of(parse(value, None, name=f"add {text}"))
    return found


def checked_point(space: SearchSpace, parameters: Mapping[str, Any]) -> dict[str, ParameterValue]:
    """The whole point, what was left out at its default."""
    try:
        return space.validate(space.complete(parameters))
    except ProposalRejected as error:
        raise ConfigurationError([f"add: {reason}" for reason in error.reasons]) from None


# -- forbid --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Region:
    """A part of the space that nobody may propose from any more."""

    space: SearchSpace
    """What is left."""
    share: float
    """Of the space as it was before, roughly: from random points."""


def without(space: SearchSpace, expressions: Sequence[str]) -> SearchSpace:
    """The space without the points of which one of the expressions is true."""
    negated = [Constraint.parse(f"not ({text})") for text in expressions]
    return SearchSpace(space.parameters, [*space.constraints, *negated])


def checked_region(space: SearchSpace, expression: str) -> Region:
    """What `expression` takes from `space`, which must leave something."""
    try:
        constraint = Constraint.parse(expression)
        faults = [*constraint_problems(space.parameters, constraint)]
    except ConfigurationError as error:
        faults = list(error.problems)
    if faults:
        raise ConfigurationError([f"forbid: {fault}" for fault in faults])
    left = without(space, [expression])
    allowed = _allowed_points(space)
    kept = sum(left.allows(point) for point in allowed)
    if kept < LEAST * len(allowed):
        raise ConfigurationError(
            f"forbid `{expression}`: {kept} of {len(allowed)} random points of the space would be "
            "left; forbid less"
        )
    return Region(left, 1 - kept / len(allowed) if allowed else 0.0)


def _allowed_points(space: SearchSpace) -> list[dict[str, Any]]:
    """Points drawn evenly; where hardly one keeps the constraints, ends of ranges more often."""
    chance = random.Random(0)
    found: list[dict[str, Any]] = []
    for draw in (evenly, drawn):
        points = (
            space.active_part({name: draw(p, chance) for name, p in space.parameters.items()})
            for _ in range(POINTS)
        )
        found = [point for point in points if space.allows(point)]
        if len(found) >= LEAST * POINTS:
            break
    return found


# -- note ----------------------------------------------------------------------------------------


def checked_note(text: str) -> str:
    """The note in one piece."""
    note = " ".join(text.split())
    if not note:
        raise ConfigurationError("note: say something, such as: note DIR 'try smaller batches'")
    if len(note) > LONGEST_NOTE:
        raise ConfigurationError(
            f"note: {len(note)} characters; at most {LONGEST_NOTE}, since every prompt holds it"
        )
    return note
