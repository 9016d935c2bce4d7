"""The keys that a method reads of an argument: what tells that it is a dict where no annotation does."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

_ASKS = ("isinstance", "type", "hasattr", "callable")


def read_keys(method: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, name: str) -> tuple[str, ...]:
    """Return the keys that a method reads of its argument, in order; none if it asks first what the argument is."""
    nodes = sorted(
        (node for node in ast.walk(method) if isinstance(node, ast.expr)),
        key=lambda node: (node.lineno, node.col_offset),
    )
    if any(isinstance(node, ast.Try) for node in ast.walk(method)) or any(_asks(node, name) for node in nodes):
        return ()
    until = min(_rebound(method, name), default=(math.inf, 0))
    keys = [key for node in nodes if (node.lineno, node.col_offset) <= until for key in _key(node, name)]
    return tuple(dict.fromkeys(keys))


def _rebound(method: ast.AST, name: str) -> Iterator[tuple[int, int]]:
    """Yield where statements end that give the name another value."""
    for node in ast.walk(method):
        if isinstance(node, ast.stmt) and any(
            isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Store)
            for target in _targets(node)
            for one in ast.walk(target)
        ):
            last = node.iter if isinstance(node, (ast.For, ast.AsyncFor)) else node
            yield last.end_lineno or 0, last.end_col_offset or 0


def _targets(statement: ast.stmt) -> list[ast.AST]:
    if isinstance(statement, ast.Assign):
        return list(statement.targets)
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
        return [statement.target]
    return list(statement.items) if isinstance(statement, (ast.With, ast.AsyncWith)) else []


def _asks(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _ASKS
        and bool(node.args)
        and _is(node.args[0], name)
    )


def _key(node: ast.expr, name: str) -> Iterator[str]:
    key: ast.expr | None = None
    if isinstance(node, ast.Subscript) and _is(node.value, name) and isinstance(node.ctx, ast.Load):
        key = node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is(node.func.value, name):
        key = node.args[0] if node.func.attr in ("get", "pop") and node.args else None
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield key.value


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
