"""The default configuration, also where constraints forbid the plain defaults. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agents.config.model import Parameter
from agents.errors import ConfigurationError
from agents.space import values
from agents.space.constraint import Constraint
from training.contract import ParameterValue

if TYPE_CHECKING:
    from agents.space.space import SearchSpace

Point = dict[str, ParameterValue]

DRAWS = 2000
"""Random points that are looked at for one that keeps the constraints, where the defaults do not."""
HALVINGS = 12
"""Of the way from such a point back to the defaults, parameter by parameter."""


def default_point(space: SearchSpace) -> Point:
    """The defaults; where they break a constraint, a point near them that does not.

    The same for the same space. Defaults that the person chose stay. Raises ConfigurationError
    where these contradict a constraint, or where no point is found that keeps all of them.
    """
    plain = space.complete({})
    broken = [
        constraint for constraint in space.constraints if constraint.text in space.holds(plain)
    ]
    if not broken:
        return plain
    problems = [*_faults_of_defaults(space, plain, broken)]
    if problems:
        raise ConfigurationError(problems)
    found = _found(space)
    if found is None:
        texts = ", ".join(_with_reason(constraint, plain) for constraint in broken)
        raise ConfigurationError(
            f"constraints: none of {DRAWS} random points of the space keeps {texts}: they "
            "contradict the ranges or each other; if there is such a point, give it as defaults"
        )
    for name in space.names:
        if name in found:
            found = _with_nearer(space, found, name)
    return found


def _faults_of_defaults(
    space: SearchSpace, plain: Point, broken: Sequence[Constraint]
) -> Iterator[str]:
    for constraint in broken:
        if all(values.has_default(space.parameters[name]) for name in constraint.names):
            text = _with_reason(constraint, plain)
            yield f"constraints: the defaults break {text}: change one of them"


def _found(space: SearchSpace) -> Point | None:
    """A point that keeps the constraints and the person's own defaults."""
    chance = random.Random(0)
    concerned = _concerned(space)
    free = {name: p for name, p in concerned.items() if not values.has_default(p)}
    for _ in range(DRAWS):
        point = space.active_part({name: values.drawn(p, chance) for name, p in free.items()})
        if space.allows(point):
            return point
    return None


def _concerned(space: SearchSpace) -> dict[str, Parameter]:
    """The parameters that constraints speak of, and those that switch them on and off."""
    ahead = [name for constraint in space.constraints for name in constraint.names]
    names: set[str] = set()
    while ahead:
        name = ahead.pop()
        if name not in names:
            names.add(name)
            ahead += space.conditions.get(name, {})
    return {name: parameter for name, parameter in space.parameters.items() if name in names}


def _with_nearer(space: SearchSpace, point: Point, name: str) -> Point:
    """`point`, with `name` taken back towards its default as far as constraints let it."""
    parameter, far = space.parameters[name], point[name]
    near = values.default(parameter)
    broken, kept, share = 0.0, 1.0, 0.0
    for _ in range(1 + HALVINGS):
        value = values.between(parameter, near, far, share)
        moved = space.active_part({**point, name: value})
        if not space.allows(moved):
            broken = share
        elif share == 0:
            return moved
        else:
            point, kept = moved, share
        share = (broken + kept) / 2
    return point


def _with_reason(constraint: Constraint, point: Point) -> str:
    """A broken constraint in quotes, and whether it says anything at all."""
    if constraint.computable(point):
        return f"`{constraint.text}`"
    known = ", ".join(f"{name} = {point[name]!r}" for name in sorted(constraint.names))
    return f"`{constraint.text}` (it cannot be computed where {known})"
