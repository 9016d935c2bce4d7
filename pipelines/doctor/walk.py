"""One walk over a file's tree that collects what rules ask for: imports, classes, calls, attributes, by name.

A walk costs nearly as much as parsing does, so in a long file it looks only into statements on one of whose lines a
word stands that it is asked for.
"""

from __future__ import annotations

import ast
import re
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef
_GUARDS = {
    "is_tf_available",
    "is_flax_available",
    "TYPE_CHECKING",
    "hasattr",
    "__version__",
    "version",
    "Version",
    "getattr",
}
GUARD_WORDS = frozenset(guard.encode() for guard in (*_GUARDS, "suppress"))
_NAMES = re.compile(r"[\w.\[\], |]+")  # a string that may name something: in `__all__`, in an annotation
_ABSENT = {"ImportError", "ModuleNotFoundError", "AttributeError", "TypeError"}


class Scope(NamedTuple):
    """Where a node stands.

    Args:
        cls: the class around it.
        function: the innermost function around it.
        guarded: whether its author expects that it may not work: under `except ImportError`, `if is_tf_available()`,
            `if hasattr(...)`, or a comparison of versions.
    """

    cls: ast.ClassDef | None = None
    function: Function | None = None
    guarded: bool = False


def _child_fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Return the fields of a kind of node that may hold nodes which a rule looks at."""
    fields = kind.__dict__.get("_fields", ())
    return tuple(field for field in fields if field not in _WITHOUT_NODES.get(kind, _LEAVES))


# Fields that hold names, numbers, operators and contexts.
_LEAVES = {"ctx", "op", "ops", "id", "attr", "arg", "kind", "n", "s", "asname", "module", "level", "type_comment"}
_LEAVES |= {"simple", "conversion", "type_ignores", "tag", "lineno", "name", "rest", "is_async"}
_WITHOUT_NODES: dict[type, set[str]] = {
    ast.Import: {"names"}, ast.ImportFrom: {"names", "module", "level"}, ast.Global: {"names"},
    ast.Nonlocal: {"names"}, ast.Constant: {"value", "kind"}, ast.Name: {"id", "ctx"}, ast.arg: {"arg", "type_comment"},
    ast.MatchSingleton: {"value"}, ast.MatchClass: {"kwd_attrs"}, ast.MatchMapping: {"rest"},
}  # fmt: skip
CHILDREN: dict[type, tuple[str, ...]] = {
    kind: _child_fields(kind) for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)
}
CHILDREN[type(None)] = ()  # {**a} has None for a key


class Use(NamedTuple):
    """A place where a name is used.

    Args:
        node: the name, or the string that names it.
        real: whether more is done with it than `isinstance` and annotations: it is called, inherited from, exported.
        apart: whether that is in a function, or under a guard: not when the file is imported.
    """

    node: ast.AST
    real: bool
    apart: bool


# Fields whose value is called, looked into or inherited from.
_ACTING: dict[type[ast.AST], tuple[str, ...]] = {
    ast.Attribute: ("value",), ast.Call: ("func",), ast.ClassDef: ("bases", "decorator_list"),
}  # fmt: skip
_ANNOTATIONS = ("annotation", "returns")


class Nodes:
    """What a walk has found.

    Args:
        tree: the file's tree.
        lines: the lines on which something is looked for, in order; statements without one of them are passed over.
            None to visit all.
        guards: names which a condition that asks what there is may ask; None if the file has no such condition.
    """

    def __init__(self, tree: ast.Module, lines: Sequence[int] | None, guards: frozenset[str] | None) -> None:
        self.imports: list[tuple[ast.Import | ast.ImportFrom, Scope]] = []
        self.classes: dict[str, ast.ClassDef] = {}
        self.attributes: defaultdict[str, list[tuple[ast.Attribute, Scope]]] = defaultdict(list)
        self.calls: defaultdict[str, list[tuple[ast.Call, Scope]]] = defaultdict(list)
        self.keywords: defaultdict[str, list[tuple[ast.Call, ast.keyword, Scope]]] = defaultdict(list)
        self.subscripts: list[tuple[ast.Subscript, Scope]] = []
        if lines is None or lines:
            self._walk(tree, lines, guards)

    def _walk(self, tree: ast.Module, lines: Sequence[int] | None, guards: frozenset[str] | None) -> None:
        """Visit every node of the statements once; nodes under one scope in no particular order."""
        attributes, calls, keywords, children = self.attributes, self.calls, self.keywords, CHILDREN
        special = _SPECIAL if guards is not None else _SPECIAL_UNGUARDED
        waiting: list[tuple[list[Any], Scope]] = [(touched(tree.body, lines), Scope())]
        while waiting:
            stack, scope = waiting.pop()
            pop, push, extend = stack.pop, stack.append, stack.extend
            while stack:
                node = pop()
                kind = node.__class__
                if kind is ast.Name or kind is ast.Constant:
                    continue
                while kind is ast.Attribute:
                    attributes[node.attr].append((node, scope))
                    node = node.value
                    kind = node.__class__
                if kind is ast.Name or kind is ast.Constant:
                    continue
                if kind is ast.Call:
                    func = node.func
                    if func.__class__ is ast.Name:
                        calls[func.id].append((node, scope))
                    else:
                        if func.__class__ is ast.Attribute:
                            calls[func.attr].append((node, scope))
                        push(func)
                    for keyword in node.keywords:
                        if keyword.arg is not None:
                            keywords[keyword.arg].append((node, keyword, scope))
                        push(keyword.value)
                    if node.args:
                        extend(node.args)
                    continue
                if kind in special:
                    if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                        if node.decorator_list:
                            extend(node.decorator_list)
                        extend(_of_signature(node))
                        waiting.append((touched(node.body, lines), Scope(scope.cls, node, scope.guarded)))
                        continue
                    if kind is ast.ClassDef:
                        self.classes.setdefault(node.name, node)
                        extend(node.bases)
                        extend(keyword.value for keyword in node.keywords)
                        extend(node.decorator_list)
                        waiting.append((touched(node.body, lines), Scope(node, None, scope.guarded)))
                        continue
                    if kind is ast.Import or kind is ast.ImportFrom:
                        self.imports.append((node, scope))
                        continue
                    if kind is ast.Subscript:
                        self.subscripts.append((node, scope))
                    elif not scope.guarded:
                        inner = _guarded(node, guards or frozenset())
                        if inner:
                            waiting.append((inner, Scope(scope.cls, scope.function, True)))
                            extend(one for one in ast.iter_child_nodes(node) if one not in inner)
                            continue
                for field in children[kind]:
                    value = getattr(node, field)
                    if value.__class__ is list:
                        extend(touched(value, lines) if lines is not None and field in _BODIES else value)
                    elif value is not None:
                        push(value)


_BODIES = {"body", "orelse", "finalbody"}


def touched(body: list[Any], lines: Sequence[int] | None) -> list[Any]:
    """Return the statements that stand on one of some lines, which are in order; all of them for None."""
    if lines is None:
        return list(body)
    found = []
    for node in body:
        first = node.lineno
        kind = node.__class__
        if (kind is ast.FunctionDef or kind is ast.ClassDef or kind is ast.AsyncFunctionDef) and node.decorator_list:
            first = node.decorator_list[0].lineno
        at = bisect_left(lines, first)
        if at < len(lines) and lines[at] <= node.end_lineno:
            found.append(node)
    return found


def lines_with(data: bytes, words: Iterable[bytes]) -> list[int]:
    """Return the numbers of the lines of a file on which one of some words stands, as part of another one too."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    places = set()
    for word in words:
        at = data.find(word)
        while at >= 0:
            places.add(at)
            at = data.find(word, at + 1)
    lines: list[int] = []
    line, before = 1, 0
    for at in sorted(places):
        line += data.count(b"\n", before, at)
        before = at
        if not lines or lines[-1] != line:
            lines.append(line)
    return lines


def uses(tree: ast.Module, name: str, lines: Sequence[int]) -> Iterator[Use]:
    """Yield where a name is used: as such, or in strings that may name something.

    Args:
        tree: a file's tree.
        name: an identifier.
        lines: those on which it stands, in order.
    """
    waiting: list[tuple[Any, bool, bool, bool]] = [(tree, False, False, False)]
    while waiting:
        node, is_acted_on, is_annotation, apart = waiting.pop()
        kind = node.__class__
        if kind is ast.Name:
            if node.id == name:
                yield Use(node, is_acted_on and not is_annotation, apart)
            continue
        if kind is ast.Constant:
            if name in names_in_text(node):
                yield Use(node, not is_annotation, apart)
            continue
        if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef or (kind is ast.If and is_guard(node.test)):
            apart = True
        acting = _ACTING.get(kind, ())
        if kind is ast.Attribute and node.attr.startswith("__"):
            acting = ()
        for field in CHILDREN[kind]:
            value = getattr(node, field)
            noted = is_annotation or field in _ANNOTATIONS
            if value.__class__ is list:
                several = touched(value, lines) if field in _BODIES else value
                waiting += [(one, field in acting, noted, apart) for one in several]
            elif value is not None:
                waiting.append((value, field in acting, noted, apart))


def names_in_text(node: ast.Constant) -> list[str]:
    """Return the names in a string that may be an annotation or stand in `__all__`, none in any other."""
    text = node.value
    return re.findall(r"\w+", text) if isinstance(text, str) and _NAMES.fullmatch(text) else []


def _of_signature(function: Function) -> list[ast.expr]:
    """Return the defaults and annotations of a function."""
    args = function.args
    found = [*args.defaults] if function.returns is None else [*args.defaults, function.returns]
    for one in args.args:
        if one.annotation is not None:
            found.append(one.annotation)
    if args.kwonlyargs or args.posonlyargs:
        found += [default for default in args.kw_defaults if default is not None]
        found += [one.annotation for one in (*args.kwonlyargs, *args.posonlyargs) if one.annotation is not None]
    for more in (args.vararg, args.kwarg):
        if more is not None and more.annotation is not None:
            found.append(more.annotation)
    return found


_TRYING: set[type[ast.AST]] = {ast.Try, ast.TryStar} if sys.version_info >= (3, 11) else {ast.Try}
_SPECIAL_UNGUARDED = _TRYING | {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
_SPECIAL_UNGUARDED |= {ast.Import, ast.ImportFrom, ast.Subscript}
_SPECIAL = _SPECIAL_UNGUARDED | {ast.If, ast.IfExp, ast.With}  # what the walk does not simply go through


def _guarded(node: Any, guards: frozenset[str]) -> list[ast.AST]:
    """Return the parts of an `if`, a `try` or a `with` whose author expects that they may not work; none otherwise."""
    if isinstance(node, ast.If):
        return [*node.body, *node.orelse] if is_guard(node.test, guards) else []
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse] if is_guard(node.test, guards) else []
    if isinstance(node, ast.With):
        calls = [one.context_expr for one in node.items if isinstance(one.context_expr, ast.Call)]
        absent = [one for call in calls for one in call.args if isinstance(one, ast.Name) and one.id in _ABSENT]
        return [*node.body] if absent else []
    return [*node.body, *node.handlers] if _expects_absence(node) else []


def is_guard(test: ast.expr, guards: frozenset[str] = frozenset()) -> bool:
    """Tell whether a condition asks what there is: `is_tf_available()`, `hasattr(...)`, a version, or a name for it."""
    stack: list[Any] = [test]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            if node.id in _GUARDS or node.id in guards:
                return True
            continue
        if isinstance(node, ast.Attribute) and node.attr in _GUARDS:
            return True
        for field in CHILDREN[node.__class__]:
            value = getattr(node, field)
            if isinstance(value, list):
                stack += value
            elif value is not None:
                stack.append(value)
    return False


def _expects_absence(node: ast.AST) -> bool:
    """Tell whether a `try` catches that something is missing; a catch-all does if it holds imports alone."""
    for handler in node.handlers:  # type: ignore[attr-defined]
        names = {one.id for one in ast.walk(handler.type) if isinstance(one, ast.Name)} if handler.type else set()
        if names & _ABSENT:
            return True
        if not names or "Exception" in names:
            return all(isinstance(one, (ast.Import, ast.ImportFrom)) for one in node.body)  # type: ignore[attr-defined]
    return False
