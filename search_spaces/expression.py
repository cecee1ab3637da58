"""Short expressions over a configuration, such as "model.width * model.depth <= 256".

They are read by Python's parser and evaluated here, node by node: nothing but what this module names can be written,
and nothing that it can compute is large.
"""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from search_spaces.errors import SpaceError, shorten
from search_spaces.values import same

Values = Mapping[str, Any]
Step = Callable[[Values], Any]
LONGEST = 500  # characters
LARGEST_POWER = 64
LITERALS = {"true": True, "false": False, "null": None}  # as YAML writes them

ALLOWED = (
    "may hold parameters, numbers, text, true, false, null, lists, + - * / // % **, comparisons, `in` a list, and, or, "
    "not, min, max and abs"
)


def parse(text: str) -> tuple[Step, frozenset[str]]:
    """The function from a configuration to the expression's value, and the parameters that it names.

    Raises SpaceError for text that is no such expression. The function raises ArithmeticError and TypeError where the
    values do not suit.
    """
    if len(text) > LONGEST:
        raise SpaceError(f"must have at most {LONGEST} characters, but got {len(text)}: {shorten(text, 40)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        return _step(tree), frozenset(_names(tree))
    except SyntaxError as error:
        raise SpaceError(f"must be an expression, but {error.msg} in {shorten(text)}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(f"must be an expression, but Python cannot read {shorten(text)}") from None


def _step(node: ast.expr) -> Step:
    """What evaluates one node; its parts are made once, here."""
    name = _dotted(node)
    if name is not None:
        return _constant(LITERALS[name]) if name in LITERALS else operator.itemgetter(name)
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, str | bool | int | float):
            return _constant(value)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _applied(_UNARY[type(op)], operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _applied(_BINARY[type(op)], left, right)
        case ast.Call(func=ast.Name(id=called), args=arguments, keywords=[]) if called in _CALLS and arguments:
            return _applied(_CALLS[called], *arguments)
        case ast.BoolOp(op=op, values=values):
            return _joined([_step(value) for value in values], until=isinstance(op, ast.Or))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
            return _compared(ops, [left, *others])
        case ast.List(elts=elements):
            return _applied(lambda *parts: list(parts), *elements)
        case ast.Tuple(elts=elements):
            return _applied(lambda *parts: parts, *elements)
    raise SpaceError(f"{ALLOWED}, but got {shorten(ast.unparse(node))}")


def _constant(value: object) -> Step:
    return lambda values: value


def _applied(function: Callable[..., Any], *nodes: ast.expr) -> Step:
    steps = [_step(node) for node in nodes]
    return lambda values: function(*(step(values) for step in steps))


def _joined(steps: list[Step], *, until: bool) -> Step:
    """`or` looks until one is true, `and` until one is false."""

    def evaluate(values: Values) -> bool:
        return until if any(_truth(step(values)) is until for step in steps) else not until

    return evaluate


def _compared(ops: list[ast.cmpop], nodes: list[ast.expr]) -> Step:
    """A comparison or a chain of them; the right side of `in` is a list."""
    tests = [_COMPARISONS[type(op)] for op in ops]
    steps = [_step(nodes[0])]
    for op, node in zip(ops, nodes[1:], strict=True):
        steps.append(_listed(node) if isinstance(op, ast.In | ast.NotIn) else _step(node))

    def evaluate(values: Values) -> bool:
        left = steps[0](values)
        for test, step in zip(tests, steps[1:], strict=True):
            right = step(values)
            if not test(left, right):
                return False
            left = right
        return True

    return evaluate


def _listed(node: ast.expr) -> Step:
    if not isinstance(node, ast.List | ast.Tuple):
        raise SpaceError(f"`in` must be followed by a list such as [1, 2], but got {shorten(ast.unparse(node))}")
    steps = [_step(element) for element in node.elts]
    return lambda values: [step(values) for step in steps]


def _dotted(node: ast.expr) -> str | None:
    """The name of a parameter, such as "optimizer.lr"; None if the node is something else."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else None
    return None if inner is None or not isinstance(node, ast.Attribute) else f"{inner}.{node.attr}"


def _names(node: ast.AST) -> Iterator[str]:
    name = _dotted(node) if isinstance(node, ast.expr) else None
    if name is not None:
        yield from () if name in LITERALS else (name,)
        return
    for inner in node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node):
        yield from _names(inner)


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{shorten(value)} is not a number")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{shorten(value)} is neither true nor false")
    return value


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic on numbers whose result is a number that fits into a float; infinite only where an operand is."""

    def compute(*operands: object) -> Any:
        numbers = [_number(operand) for operand in operands]
        result = function(*numbers)
        if result != result:
            raise ArithmeticError("a result is not a number")
        if not abs(result) <= sys.float_info.max and not any(number in (math.inf, -math.inf) for number in numbers):
            raise OverflowError("a number is too large")
        return result

    return compute


def _power(base: float, exponent: float) -> Any:
    if abs(exponent) > LARGEST_POWER:
        raise OverflowError(f"an exponent is beyond {LARGEST_POWER}")
    result = base**exponent
    if isinstance(result, complex):
        raise ArithmeticError("a root of a negative number is asked for")
    return result


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    return lambda a, b: test(_number(a), _number(b))


def _contained(value: object, listed: list[object]) -> bool:
    return any(same(value, one) for one in listed)


_UNARY: dict[type[ast.unaryop], Callable[..., Any]] = {
    ast.Not: lambda value: not _truth(value),
    ast.USub: _bounded(operator.neg),
    ast.UAdd: _bounded(operator.pos),
}
_BINARY: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: _bounded(operator.add),
    ast.Sub: _bounded(operator.sub),
    ast.Mult: _bounded(operator.mul),
    ast.Div: _bounded(operator.truediv),
    ast.FloorDiv: _bounded(operator.floordiv),
    ast.Mod: _bounded(operator.mod),
    ast.Pow: _bounded(_power),
}
_CALLS: dict[str, Callable[..., Any]] = {
    "min": _bounded(lambda *numbers: min(numbers)),
    "max": _bounded(lambda *numbers: max(numbers)),
    "abs": _bounded(abs),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: same,
    ast.NotEq: lambda a, b: not same(a, b),
    ast.Lt: _ordered(operator.lt),
    ast.LtE: _ordered(operator.le),
    ast.Gt: _ordered(operator.gt),
    ast.GtE: _ordered(operator.ge),
    ast.In: _contained,
    ast.NotIn: lambda value, listed: not _contained(value, listed),
}
