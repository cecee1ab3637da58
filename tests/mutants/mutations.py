"""Small faults in Python source, one at a time, after the mutation operators of Offutt et al. (1996)."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One changed place: its line in the original, the change in words, the whole mutated source."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines. Annotations, docstrings and messages are left alone."""
    tree = ast.parse(source)
    for node, field, index in sorted(_places(tree), key=lambda place: _position(_at(*place))):
        old = _at(node, field, index)
        for new in _changes(old):
            before, after = _text(old), _text(new)
            _put(node, field, index, new)
            mutated = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
            _put(node, field, index, old)
            yield Mutant(old.lineno, f"{before}  ->  {after}", mutated)


Place = tuple[ast.AST, str, int | None]


def _places(node: ast.AST) -> Iterator[Place]:
    """Every expression and statement that can change, by its parent, field and index there."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params") or _is_text(node):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_skipped(child):
                continue
            if hasattr(child, "lineno"):
                yield node, field, index
            yield from _places(child)


def _position(node: Any) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _is_skipped(node: ast.AST) -> bool:
    """Docstrings, imports, blocks for the type checker, and the texts of errors."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    checking = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    dunder = isinstance(node, ast.Assign) and any(_named(one, "__all__") for one in node.targets)
    return checking or dunder or isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr | ast.FormattedValue)


def _named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[only], left=left, comparators=right) if type(only) in _COMPARISONS:
            yield _like(node, ast.Compare(left, [_COMPARISONS[type(only)]()], right))
        case ast.BoolOp(op=op, values=values):
            yield _like(node, ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC and not _text_or_union(left, right):
            yield _like(node, ast.BinOp(left, _ARITHMETIC[type(op)](), right))
        case ast.Constant(value=bool(value)):
            yield _like(node, ast.Constant(not value))
        case ast.Constant(value=int() | float() as value):
            yield _like(node, ast.Constant(value + 1))
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            changed = copy.copy(node)
            changed.func = _like(node, ast.Name(_CALLS[name], ast.Load()))
            yield changed
        case ast.AugAssign(target=target, value=value):
            yield _like(node, ast.Assign([target], value))
        case ast.If(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            changed = copy.copy(node)
            changed.test = _like(test, ast.UnaryOp(ast.Not(), test))
            yield changed
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield _like(node, ast.Pass())
        case ast.Return(value=ast.AST() as value) if not _named(value, "self"):
            yield _like(node, ast.Return(_like(node, ast.Constant(None))))
    if isinstance(node, ast.Call):
        yield from _without_a_keyword(node)


def _without_a_keyword(call: ast.Call) -> Iterator[ast.Call]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            changed = copy.copy(call)
            changed.keywords = [other for other in call.keywords if other is not keyword]
            yield changed


def _text_or_union(*operands: ast.AST) -> bool:
    """Operands that make + a concatenation of texts."""
    return any(
        isinstance(one, ast.JoinedStr) or (isinstance(one, ast.Constant) and isinstance(one.value, str | bytes))
        for one in operands
    )


def _like(node: ast.AST, new: ast.AST) -> ast.AST:
    return ast.copy_location(new, node)


def _at(node: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(node, field)
    return value if index is None else value[index]


def _put(node: ast.AST, field: str, index: int | None, new: ast.AST) -> None:
    if index is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[index] = new


def _text(node: ast.AST) -> str:
    """The first line of a node's code, shortened."""
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split("\n")[0]
    return text if len(text) <= 70 else f"{text[:69]}…"
