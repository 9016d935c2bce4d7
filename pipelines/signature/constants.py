"""Constants of source code: literals, arithmetic on them, names of other constants. Nothing is executed."""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class _Unknown:
    """The value of an expression that only running it would tell."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


@dataclass(frozen=True, eq=False)
class EnumMember:
    """A member of an enumeration that is found in source.

    Args:
        enum: the enumeration's class statement.
        name: the member's name.
        value: what it holds, or UNKNOWN.
    """

    enum: ast.ClassDef
    name: str
    value: object


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_LARGEST = 10**6  # a string or list that a multiplication would make longer is not computed

Lookup = Callable[[ast.expr], object]  # what a name or an attribute stands for


def constant(node: ast.expr, lookup: Lookup | None = None) -> object:
    """Return the constant that an expression stands for, or UNKNOWN.

    Args:
        node: the expression.
        lookup: gives the value of names and attributes; without it they are unknown.
    """
    if isinstance(node, ast.Constant):
        return node.value if node.value is not Ellipsis else UNKNOWN
    if isinstance(node, (ast.Name, ast.Attribute)):
        return lookup(node) if lookup else UNKNOWN
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        items = [constant(item, lookup) for item in node.elts]
        if any(item is UNKNOWN for item in items):
            return UNKNOWN
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        return _dict(node, lookup)
    if isinstance(node, ast.UnaryOp):
        return _unary(node, constant(node.operand, lookup))
    if isinstance(node, ast.BinOp):
        return _binary(node.op, constant(node.left, lookup), constant(node.right, lookup))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _built(node, lookup)
    return UNKNOWN


def _dict(node: ast.Dict, lookup: Lookup | None) -> object:
    found: dict[object, object] = {}
    for key_node, value_node in zip(node.keys, node.values, strict=True):
        key = constant(key_node, lookup) if key_node is not None else UNKNOWN
        value = constant(value_node, lookup)
        if key is UNKNOWN or value is UNKNOWN or isinstance(key, (list, dict)):
            return UNKNOWN
        found[key] = value
    return found


def _unary(node: ast.UnaryOp, value: object) -> object:
    if isinstance(node.op, ast.Not):
        return UNKNOWN if value is UNKNOWN else not value
    if isinstance(value, (int, float)):
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.UAdd):
            return +value
    return UNKNOWN


def _binary(op: ast.operator, left: object, right: object) -> object:
    compute = _ARITHMETIC.get(type(op))
    if compute is None or left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if isinstance(op, ast.Mult) and not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
        return UNKNOWN
    if isinstance(op, ast.Mod) and isinstance(left, str):
        return UNKNOWN
    try:
        value = compute(left, right)
    except (TypeError, ArithmeticError):
        return UNKNOWN
    return value if not isinstance(value, (str, list, tuple)) or len(value) < _LARGEST else UNKNOWN


def _built(node: ast.Call, lookup: Lookup | None) -> object:
    """`list(X)`, `tuple(X)`, `frozenset(X)`, `dict()` and the like, of constants."""
    assert isinstance(node.func, ast.Name)
    makers: dict[str, Callable[[Any], object]] = {"list": list, "tuple": tuple, "set": list, "frozenset": list}
    if node.func.id == "dict" and not node.args:
        return {}
    if node.func.id not in makers or len(node.args) > 1:
        return UNKNOWN
    if not node.args:
        return makers[node.func.id](())
    value = constant(node.args[0], lookup)
    return makers[node.func.id](value) if isinstance(value, (list, tuple, dict, str)) else UNKNOWN


def as_json(value: object) -> object:
    """Return a constant as a JSON value; None for UNKNOWN, and for what JSON has no value for."""
    value = value.value if isinstance(value, EnumMember) else value
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return None


def as_typed(value: object) -> str | None:
    """Write a constant as a reader would type it; None stays None, UNKNOWN is "computed"."""
    if value is None:
        return None
    if value is UNKNOWN:
        return "computed"
    if isinstance(value, EnumMember):
        return json.dumps(value.value, ensure_ascii=False) if isinstance(value.value, str) else value.name
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)
