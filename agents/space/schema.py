"""The search space in words and as a JSON schema, both for an LLM. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from agents.space.constraint import Constraint
from agents.space.values import choice_text, count, grid_value, shown

MOST_LISTED = 64
"""Values of a range in steps that are listed one by one."""


def json_schema(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """JSON schema of one configuration.

    As "strict" servers want it: every property is required, no others are allowed. A conditional
    parameter may be null, which says that it does not apply. Fixed parameters are left out.
    """
    free = {n: p for n, p in parameters.items() if not isinstance(p, FixedParameter)}
    return {
        "type": "object",
        "properties": {name: _property(parameter) for name, parameter in free.items()},
        "required": list(free),
        "additionalProperties": False,
    }


def _property(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any]
    match parameter:
        case FloatParameter() | IntParameter() if grid := _grid(parameter):
            schema = {"enum": grid}
        case FloatParameter(low=low, high=high):
            schema = {"type": "number", "minimum": low, "maximum": high}
        case IntParameter(low=low, high=high):
            schema = {"type": "integer", "minimum": low, "maximum": high}
        case CategoricalParameter(choices=choices):
            schema = {"enum": list(choices)}
        case FixedParameter(value=value):
            schema = {"const": value}
    schema["description"] = _sentence(parameter)
    if not parameter.when:
        return schema
    described = schema.pop("description")
    return {"anyOf": [schema, {"type": "null"}], "description": f"{described}; null elsewhere"}


def _grid(parameter: FloatParameter | IntParameter) -> list[float | int]:
    """The values of a range in steps, where they are few: `multipleOf` counts from 0, and servers that
    guide an answer leave it out. Empty for other ranges."""
    amount = count(parameter)
    if amount is None or amount > MOST_LISTED or parameter.step in (None, 1):
        return []
    if isinstance(parameter, IntParameter):
        return [parameter.low + place * parameter.step for place in range(amount)]
    return [grid_value(parameter, place) for place in range(amount)]


def describe(parameters: Mapping[str, Parameter], constraints: Sequence[Constraint]) -> str:
    """The space, a line a parameter and a line a constraint."""
    lines = [f"- {name}: {_sentence(parameter)}" for name, parameter in parameters.items()]
    if constraints:
        lines.append("These must hold:")
        lines += [f"- {constraint.text}" for constraint in constraints]
    return "\n".join(lines)


def _sentence(parameter: Parameter) -> str:
    match parameter:
        case FloatParameter() | IntParameter():
            kind = "float" if isinstance(parameter, FloatParameter) else "whole number"
            text = f"{kind} from {shown(parameter.low)} to {shown(parameter.high)}"
            if parameter.scale == "log":
                text += ", log scale"
            if parameter.step is not None and parameter.step != 1:
                text += f", in steps of {shown(parameter.step)}"
        case CategoricalParameter(choices=choices):
            text = f"one of {', '.join(map(choice_text, choices))}"
        case FixedParameter(value=value):
            text = f"always {choice_text(value)}"
    if parameter.when:
        text += f"; only when {_condition(parameter)}"
    if parameter.description:
        text += f". {' '.join(parameter.description.split())}"
    return text


def _condition(parameter: Parameter) -> str:
    parts = []
    for parent, wanted in parameter.when.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        parts.append(f"{parent} is {' or '.join(map(choice_text, values))}")
    return " and ".join(parts)
