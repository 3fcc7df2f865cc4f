"""What can be wrong with a search space before anything is proposed. Pure; all faults at once."""

from __future__ import annotations

import difflib
import keyword
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from agents.space.constraint import FUNCTIONS, Constraint
from agents.space.values import NotAllowed, checked, has_default, shown

MOST_STEPS = 10**9
"""Of a float's range; a finer grid is no grid."""

Conditions = Mapping[str, Mapping[str, tuple[object, ...]]]


def parameter_problems(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Faults of single parameters, each with its key."""
    for name, parameter in parameters.items():
        yield from (f"search_space.{name}: {fault}" for fault in _faults(name, parameter))


def _faults(name: str, parameter: Parameter) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        yield "a name has letters, digits and _, and does not begin with a digit"
    if keyword.iskeyword(name) or name in FUNCTIONS:
        yield f"{name} has a meaning of its own in constraints: choose another name"
    match parameter:
        case FloatParameter() | IntParameter():
            faults = [*_range_faults(parameter)]
        case CategoricalParameter(choices=choices):
            faults = [*_choice_faults(choices)]
        case FixedParameter(value=value):
            faults = [] if _is_finite(value) else ["value must be a finite number"]
    yield from faults
    if not faults and not isinstance(parameter, FixedParameter) and has_default(parameter):
        try:
            checked(parameter, parameter.default)
        except NotAllowed as error:
            yield f"default: {error}"


def _range_faults(parameter: FloatParameter | IntParameter) -> Iterator[str]:
    low, high, step = parameter.low, parameter.high, parameter.step
    if not (math.isfinite(low) and math.isfinite(high)):
        yield "low and high must be finite numbers"
        return
    if not math.isfinite(high - low):
        yield "the range from low to high is too large for a number"
        return
    if low >= high:
        yield (
            f"low ({shown(low)}) must be less than high ({shown(high)}); for one value write "
            "type: fixed"
        )
        return
    if parameter.scale == "log":
        if low <= 0:
            yield f"with scale: log, low must be more than 0, and it is {shown(low)}"
        if step is not None and "step" in parameter.model_fields_set:
            yield "scale: log takes no step"
        return
    if step is not None:
        yield from _step_faults(low, high, step)


def _step_faults(low: float, high: float, step: float) -> Iterator[str]:
    where = f"from {shown(low)} to {shown(high)}"
    # In decimals, as the numbers are written and as Optuna checks them.
    exact_low, exact_high, exact_step = (Decimal(str(number)) for number in (low, high, step))
    ratio = (exact_high - exact_low) / exact_step
    if ratio < 1:
        yield f"step {shown(step)} is larger than the range {where}"
        return
    if isinstance(step, float) and ratio > MOST_STEPS:
        yield f"step {shown(step)} makes more than {MOST_STEPS} values {where}: leave it out"
        return
    last = exact_low + int(ratio) * exact_step
    if last != exact_high:
        yield f"step {shown(step)} does not lead {where}: set high to {shown(float(last))}"


def _choice_faults(choices: Sequence[object]) -> Iterator[str]:
    seen: list[object] = []
    for choice in choices:
        if not _is_finite(choice):
            yield f"the choice {choice} is not a finite number"
        # 1, 1.0 and true are one choice to Optuna's storage.
        if choice in seen:
            yield f"the choice {choice!r} is there twice"
        seen.append(choice)


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def condition_problems(
    parameters: Mapping[str, Parameter], conditions: Conditions
) -> Iterator[str]:
    """Faults of `when:` entries."""
    for name, wanted in conditions.items():
        for parent, values in wanted.items():
            where = f"search_space.{name}.when.{parent}"
            if parent == name:
                yield f"{where}: a parameter cannot depend on itself"
            elif parent not in parameters:
                yield f"{where}: there is no parameter {parent}{nearest(parent, parameters)}"
            elif isinstance(parameters[parent], FloatParameter):
                yield f"{where}: {parent} is a float; a condition needs a categorical, int or fixed one"
            else:
                yield from _impossible(where, parent, parameters[parent], values)
    yield from (
        f"search_space.{name}.when: the conditions go round in a circle"
        for name in _in_circles(conditions)
    )


def _impossible(
    where: str, parent: str, parameter: Parameter, values: tuple[object, ...]
) -> Iterator[str]:
    if not values:
        yield f"{where}: name at least one value"
    for value in values:
        try:
            checked(parameter, value)
        except NotAllowed as error:
            yield f"{where}: {parent} never has this value: {error}"


def _in_circles(conditions: Conditions) -> list[str]:
    def ancestors(name: str) -> set[str]:
        found: set[str] = set()
        ahead = list(conditions.get(name, {}))
        while ahead:
            parent = ahead.pop()
            if parent not in found:
                found.add(parent)
                ahead += conditions.get(parent, {})
        return found

    return [
        name
        for name, wanted in conditions.items()
        if name not in wanted and name in ancestors(name)
    ]


_LITERALS = {"true": "True", "false": "False", "null": "None"}
"""YAML's spelling, and that of an expression."""


def constraint_problems(
    parameters: Mapping[str, Parameter], constraint: Constraint
) -> Iterator[str]:
    """Faults of a constraint that could be read."""
    for name in sorted(constraint.names - parameters.keys()):
        meant = _LITERALS.get(name)
        hint = f"; write {meant} for that value" if meant else nearest(name, parameters)
        yield f"`{constraint.text}`: there is no parameter {name}{hint}"
    if not constraint.names:
        yield f"`{constraint.text}` names no parameter"


def nearest(name: str, known: Mapping[str, object]) -> str:
    """``; did you mean …?`` where something is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f" (there are {', '.join(known)})"
