"""Constraints between parameters: expressions that are read and computed here, never executed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import ConfigurationError
from training.contract import ParameterValue

MAX_LENGTH = 500
MAX_NODES = 100
MAX_EXPONENT = 64
LARGEST = 1e300
"""Powers and results beyond these are refused: a constraint must be quick."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}


def _rounded(number: float, digits: int = 0) -> float:
    # With as many digits as one likes, Python would be at it for hours.
    if abs(digits) > MAX_EXPONENT:
        raise OverflowError("digits")
    return round(number, digits)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": _rounded,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "floor": math.floor,
    "ceil": math.ceil,
}
_MOST_ARGUMENTS = {"min": MAX_NODES, "max": MAX_NODES, "round": 2, "log": 2}
"""Of the functions that take more than one."""

_UNCOMPUTABLE = (ArithmeticError, ValueError, TypeError)


@dataclass(frozen=True)
class Constraint:
    """An expression over parameters that must be true, such as ``batch_size * width <= 4096``.

    Comparisons, ``and``, ``or``, ``not``, ``if else``, arithmetic, ``in`` and the functions in
    `FUNCTIONS`. Nothing else: no attributes, no subscripts, no other calls.
    """

    text: str
    names: frozenset[str]
    """Parameters it speaks of."""
    _tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read an expression. Raises ConfigurationError that quotes it."""
        if len(text) > MAX_LENGTH:
            raise ConfigurationError(f"`{text[:40]}…` is longer than {MAX_LENGTH} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ConfigurationError(f"`{text}` is no expression: {reason}") from error
        if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
            raise ConfigurationError(f"`{text[:40]}…` is too long: split it into several")
        names: set[str] = set()
        _check(tree, text, names)
        return cls(text.strip(), frozenset(names), tree)

    def holds(self, values: Mapping[str, ParameterValue]) -> bool:
        """Whether it is true of `values`, which have all its names.

        An expression that cannot be computed (division by zero, text compared with a number) is
        not true.
        """
        try:
            return bool(_value(self._tree, values))
        except _UNCOMPUTABLE:
            return False

    def computable(self, values: Mapping[str, ParameterValue]) -> bool:
        """Whether it can be computed of `values` at all: text is not compared with a number."""
        try:
            _value(self._tree, values)
        except _UNCOMPUTABLE:
            return False
        return True


def _check(node: ast.expr, text: str, names: set[str]) -> None:
    match node:
        case ast.Constant(value=value) if isinstance(value, (bool, int, float, str, type(None))):
            return
        case ast.Name(id=name):
            names.add(name)
            return
        case ast.BoolOp(values=values):
            parts = values
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            parts = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            parts = [left, *comparators]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            parts = [test, body, orelse]
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            parts = elements
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            if function not in FUNCTIONS:
                known = ", ".join(FUNCTIONS)
                raise ConfigurationError(
                    f"`{text}` calls {function}; a constraint may call {known}"
                )
            if not 1 <= len(arguments) <= _MOST_ARGUMENTS.get(function, 1):
                raise ConfigurationError(f"`{text}`: {function} takes another number of arguments")
            parts = arguments
        case _:
            piece = ast.unparse(node)
            raise ConfigurationError(
                f"`{text}`: `{piece}` is not allowed; use comparisons, and, or, not, arithmetic, in"
            )
    for part in parts:
        _check(part, text, names)


def _value(node: ast.expr, values: Mapping[str, ParameterValue]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.UnaryOp(operand=operand):
            return +_value(operand, values)
        case ast.BinOp(left=left, op=op, right=right):
            return _computed(type(op), _value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _compared(left, ops, comparators, values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, values) else orelse, values)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return [_value(part, values) for part in parts]
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return FUNCTIONS[function](*(_value(argument, values) for argument in arguments))
    raise TypeError(ast.dump(node))  # `_check` lets nothing else through


def _computed(kind: type[ast.operator], left: Any, right: Any) -> Any:
    if not all(isinstance(side, (int, float)) for side in (left, right)):
        raise TypeError("arithmetic is for numbers")
    if kind is ast.Pow and abs(right) > MAX_EXPONENT:
        raise OverflowError("exponent")
    result = _ARITHMETIC[kind](left, right)
    if isinstance(result, complex) or abs(result) > LARGEST:
        raise OverflowError("result")
    return result


def _compared(
    left: ast.expr,
    ops: list[ast.cmpop],
    comparators: list[ast.expr],
    values: Mapping[str, ParameterValue],
) -> bool:
    first = _value(left, values)
    for op, comparator in zip(ops, comparators, strict=True):
        second = _value(comparator, values)
        if not _COMPARISONS[type(op)](first, second):
            return False
        first = second
    return True
