"""The search space as a whole: conditions, constraints, the validator, Optuna's view of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from agents.errors import ConfigurationError, ProposalRejected
from agents.space import schema, values
from agents.space.checks import (
    condition_problems,
    constraint_problems,
    nearest,
    parameter_problems,
)
from agents.space.constraint import Constraint
from agents.space.default import default_point
from training.contract import ParameterValue

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Point = dict[str, ParameterValue]


class SearchSpace:
    """What may be tried. Make it with `build`."""

    def __init__(
        self, parameters: Mapping[str, Parameter], constraints: Sequence[Constraint]
    ) -> None:
        self.parameters = dict(parameters)
        """As configured, in the order of the configuration."""
        self.constraints = tuple(constraints)
        self.conditions = _conditions(parameters)
        """By parameter: the parents it depends on, and the values that make it active."""
        self.names = tuple(parameters)
        self._order = _parents_first(self.names, self.conditions)

    @classmethod
    def build(cls, parameters: Mapping[str, Parameter], constraints: Sequence[str]) -> SearchSpace:
        """Make the space. Raises ConfigurationError with all that is wrong with it."""
        problems = [*parameter_problems(parameters)]
        problems += condition_problems(parameters, _conditions(parameters))
        parsed = []
        for position, text in enumerate(constraints):
            where = f"constraints[{position}]"
            try:
                constraint = Constraint.parse(text)
            except ConfigurationError as error:
                problems += [f"{where}: {problem}" for problem in error.problems]
                continue
            problems += [
                f"{where}: {fault}" for fault in constraint_problems(parameters, constraint)
            ]
            parsed.append(constraint)
        if problems:
            raise ConfigurationError(problems)
        space = cls(parameters, parsed)
        space.default()
        return space

    # -- the validator ---------------------------------------------------------------------------

    def validate(self, parameters: Mapping[str, Any]) -> Point:
        """A whole configuration in exact types, fixed values filled in.

        The one validator for every proposal, whoever made it. A null for a parameter that does not
        apply is left out. Raises ProposalRejected with every reason.
        """
        reasons = [
            f"{name}: there is no such parameter{nearest(str(name), self.parameters)}"
            for name in parameters
            if name not in self.parameters
        ]
        point: Point = {}
        for name in self._order:
            if not self._is_active(name, point):
                if parameters.get(name) is not None:
                    reasons.append(f"{name}: does not apply here ({self._condition_text(name)})")
                continue
            self._validate_one(name, parameters, point, reasons)
        if not reasons:
            point = self._ordered(point)
            reasons = [f"breaks the constraint `{text}`" for text in self.holds(point)]
        if reasons:
            raise ProposalRejected(reasons)
        return point

    def contains(self, parameters: Mapping[str, Any]) -> bool:
        """Whether `validate` takes them; not those of trials from before the space was changed."""
        try:
            self.validate(parameters)
        except ProposalRejected:
            return False
        return True

    def _validate_one(
        self, name: str, given: Mapping[str, Any], point: Point, reasons: list[str]
    ) -> None:
        parameter = self.parameters[name]
        if name not in given:
            if isinstance(parameter, FixedParameter):
                point[name] = parameter.value
            else:
                reasons.append(f"{name}: is missing")
            return
        try:
            point[name] = values.checked(parameter, given[name])
        except values.NotAllowed as error:
            reasons.append(f"{name}: {error}")

    def holds(self, parameters: Mapping[str, ParameterValue]) -> list[str]:
        """The constraints that `parameters` break, as text; none where all hold.

        A constraint that speaks of a parameter which does not apply is kept.
        """
        return [
            constraint.text
            for constraint in self.constraints
            if constraint.names <= parameters.keys() and not constraint.holds(parameters)
        ]

    def allows(self, point: Point) -> bool:
        """Whether no constraint is broken; done at the first that is."""
        return all(
            not constraint.names <= point.keys() or constraint.holds(point)
            for constraint in self.constraints
        )

    def active(self, parameters: Mapping[str, ParameterValue]) -> set[str]:
        """Names of the parameters that apply, as the values of their parents say."""
        fixed = {n: p.value for n, p in self.parameters.items() if isinstance(p, FixedParameter)}
        point: Point = {}
        for name in self._order:
            if self._is_active(name, point):
                point[name] = fixed.get(name, parameters.get(name))
        return set(point)

    def _is_active(self, name: str, known: Mapping[str, ParameterValue]) -> bool:
        return all(
            parent in known and values.among(known[parent], wanted)
            for parent, wanted in self.conditions.get(name, {}).items()
        )

    def _condition_text(self, name: str) -> str:
        parts = [
            f"{parent} must be {' or '.join(map(values.choice_text, wanted))}"
            for parent, wanted in self.conditions[name].items()
        ]
        return ", ".join(parts)

    # -- points ----------------------------------------------------------------------------------

    def default(self) -> Point:
        """The default configuration; where that breaks a constraint, a point near it that does not.

        The same for the same space. Raises ConfigurationError where the person's own defaults contradict a constraint, or where
        no point is found that keeps all of them.
        """
        return dict(self._default)

    @cached_property
    def _default(self) -> Point:
        return default_point(self)

    def complete(self, partial: Mapping[str, Any]) -> dict[str, Any]:
        """`partial` with the defaults of what it leaves out. Does not validate."""
        point = self.active_part(partial)
        return {**point, **{name: value for name, value in partial.items() if name not in point}}

    def active_part(self, partial: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that apply, from `partial` or else from the defaults."""
        point: dict[str, Any] = {}
        for name in self._order:
            if self._is_active(name, point):
                given = name in partial
                point[name] = partial[name] if given else values.default(self.parameters[name])
        return self._ordered(point)

    def same(self, one: Mapping[str, ParameterValue], other: Mapping[str, ParameterValue]) -> bool:
        """Whether two configurations are the same point, rounding aside."""
        return one.keys() == other.keys() and all(
            _close(value, other[name]) for name, value in one.items()
        )

    def cardinality(self) -> int | None:
        """Points of the full product, conditions and constraints aside; None where infinite."""
        counts = [values.count(parameter) for parameter in self.parameters.values()]
        known = [count for count in counts if count is not None]
        return math.prod(known) if len(known) == len(counts) else None

    def _ordered(self, point: Mapping[str, ParameterValue]) -> Point:
        return {name: point[name] for name in self.names if name in point}

    # -- for an LLM ------------------------------------------------------------------------------

    def json_schema(self) -> dict[str, Any]:
        """JSON schema of a proposal; see `agents.space.schema.json_schema`."""
        return schema.json_schema(self.parameters)

    def describe(self) -> str:
        """The space in words, for a prompt."""
        return schema.describe(self.parameters, self.constraints)

    # -- for Optuna ------------------------------------------------------------------------------

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions of all parameters that are not fixed."""
        return dict(self._distributions)

    @cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        free = {n: p for n, p in self.parameters.items() if not isinstance(p, FixedParameter)}
        return {name: _distribution(parameter) for name, parameter in free.items()}

    def suggest(self, trial: BaseTrial) -> Point:
        """Ask an Optuna trial for the parameters that apply, parents first; fixed ones added."""
        point: Point = {}
        for name in self._order:
            if self._is_active(name, point):
                point[name] = _suggested(trial, name, self.parameters[name])
        return self._ordered(point)


def _conditions(
    parameters: Mapping[str, Parameter],
) -> dict[str, dict[str, tuple[ParameterValue, ...]]]:
    return {
        name: {
            parent: tuple(wanted) if isinstance(wanted, list) else (wanted,)
            for parent, wanted in parameter.when.items()
        }
        for name, parameter in parameters.items()
        if parameter.when
    }


def _parents_first(
    names: Sequence[str], conditions: Mapping[str, Mapping[str, object]]
) -> tuple[str, ...]:
    ordered: list[str] = []
    left = list(names)
    while left:
        ready = next(
            name for name in left if all(parent in ordered for parent in conditions.get(name, {}))
        )
        left.remove(ready)
        ordered.append(ready)
    return tuple(ordered)


def _close(one: ParameterValue, other: ParameterValue) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-300)
    return values.same_value(one, other)


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    match parameter:
        case FloatParameter(low=low, high=high, step=step):
            return FloatDistribution(low, high, log=parameter.scale == "log", step=step)
        case IntParameter(low=low, high=high, step=step):
            return IntDistribution(low, high, log=parameter.scale == "log", step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution(tuple(choices))
        case FixedParameter():
            raise TypeError("a fixed parameter has no distribution")


def _suggested(trial: BaseTrial, name: str, parameter: Parameter) -> ParameterValue:
    match parameter:
        case FloatParameter(low=low, high=high, step=step):
            return trial.suggest_float(name, low, high, step=step, log=parameter.scale == "log")
        case IntParameter(low=low, high=high, step=step):
            return trial.suggest_int(name, low, high, step=step, log=parameter.scale == "log")
        case CategoricalParameter(choices=choices):
            return trial.suggest_categorical(name, choices)
        case FixedParameter(value=value):
            return value
