"""What a class keeps on itself from one row for another, or from one stage for the next.

`self.text = text` in preprocess and `self.text` in postprocess is right as long as a row has gone through all stages
before the next begins, and so is a counter. In batches it would mix rows up without a word: such a class runs row by
row. It is read from source: what is kept elsewhere (a global, a file) is not seen.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# Rows go through the first in their order, through the others in batches.
_STAGES = ("preprocess", "_forward", "postprocess")
_CHANGES = frozenset(
    ("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popleft", "remove", "update")
)
_READ, _SET, _CHANGED = "read", "set", "changed"
_Use = tuple[str, str]  # an attribute, and what is done with it


@lru_cache(maxsize=16)  # a class is read once, not with every run
def why_alone(kind: type) -> str:
    """Return what a class keeps between rows, as a reason to run them one by one; "" if nothing is found."""
    methods = _methods(kind)
    uses = {stage: list(_uses_of(methods, stage, set())) for stage in _STAGES}
    for stage, used in uses.items():
        kept = dict.fromkeys(name for name, use in used if use != _READ)
        for reader in _STAGES[1:] if stage == _STAGES[0] else _STAGES:
            for name in kept:
                # What a stage sets itself before it reads it is of this row.
                own = next((use for other, use in uses[reader] if other == name and use != _CHANGED), None)
                if own == _READ:
                    return f"{reader} reads self.{name}, which {stage} changes with every row"
    return ""


def _methods(kind: type) -> dict[str, list[ast.FunctionDef]]:
    """Return the methods of a class that are not transformers' own, by name: each, and what it calls by super()."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for one in kind.__mro__:
        if one.__module__.partition(".")[0] in ("transformers", "builtins", "abc", "typing"):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        except (OSError, TypeError, SyntaxError, IndexError):  # there is no source
            continue
        for node in body.body if isinstance(body, ast.ClassDef) else ():
            if isinstance(node, ast.FunctionDef) and node.args.args:
                known = found.setdefault(node.name, [])
                if not known or "id='super'" in ast.dump(known[-1]):
                    known.append(node)
    return found


def _uses_of(methods: dict[str, list[ast.FunctionDef]], name: str, seen: set[str]) -> Iterator[_Use]:
    """Yield what a method, and those that it calls, read, set and change of the instance, in order."""
    if name in methods and name not in seen:
        seen.add(name)
        for method in methods[name]:
            for used, use in _uses(method, method.args.args[0].arg, frozenset()):
                yield used, use
                yield from _uses_of(methods, used, seen)


def _uses(node: ast.AST, myself: str, tested: frozenset[str]) -> Iterator[_Use]:
    """Yield what a node does with attributes; not what it sets only if it is not set (`if self.x is None:`)."""
    if isinstance(node, (ast.If, ast.IfExp)):
        yield from _uses(node.test, myself, tested)
        names = {one.attr for one in ast.walk(node.test) if isinstance(one, ast.Attribute)}
        names |= {str(one.value) for one in ast.walk(node.test) if isinstance(one, ast.Constant)}
        branches: list[Any] = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [*node.body, *node.orelse]
        for part in branches:
            yield from _uses(part, myself, tested | names)
        return
    changed, parts = _changed(node, myself)
    for part in parts:
        yield from _uses(part, myself, tested)
    if changed and changed not in tested:
        yield changed, _CHANGED
    name = _attribute(node, myself)
    if name and isinstance(node, ast.Attribute):
        if isinstance(node.ctx, ast.Load):
            yield name, _READ
        elif name not in tested:
            yield name, _SET


def _changed(node: ast.AST, myself: str) -> tuple[str, list[ast.AST]]:
    """Return the attribute that a node changes or "", and what else is in the node, as it is evaluated."""
    found, parts = "", list(ast.iter_child_nodes(node))
    rest: list[ast.AST] = []
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
        parts.reverse()  # the value comes before the target
    elif isinstance(node, ast.AugAssign):
        found, rest = _attribute(node.target, myself), [node.value]
    elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        found, rest = _attribute(node.value, myself), [node.slice]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
        found, rest = _attribute(node.func.value, myself), [*node.args, *node.keywords]
        if node.func.attr.startswith("pop"):  # it is read as well
            rest.append(node.func.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "next" and node.args:
        found, rest = _attribute(node.args[0], myself), [*node.args]
    return found, list(rest) if found else parts


def _attribute(node: ast.AST, myself: str) -> str:
    """Return the name in `self.name`; "" for what is none."""
    is_mine = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == myself
    return node.attr if is_mine and isinstance(node, ast.Attribute) else ""
