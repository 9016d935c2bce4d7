"""A registry file walked, the user's functions followed where they are called.

Nothing of the user's is imported or executed. What a call of `register_pipeline` means is not decided here: every such
call is handed over as a `Registration`, which `entries.py` turns into an entry.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.environment import UNDECIDED
from pipesmith.pipelines.declarations.imports import HARMLESS, MAX_DEPTH
from pipesmith.pipelines.declarations.results import Note
from pipesmith.pipelines.declarations.statements import Statements
from pipesmith.pipelines.declarations.values import (
    Arguments,
    Choice,
    ClassValue,
    Conditions,
    External,
    Frame,
    Function,
    Identity,
    Instance,
    Local,
    Method,
    Module,
    Partial,
    RegisterMethod,
    Registry,
    RegistryKind,
    Unknown,
    Value,
    choose,
    contradicts,
    lift,
    local,
    source_text,
)
from pipesmith.pipelines.entries import Place

_BENIGN_DECORATORS = {
    "functools.cache",
    "functools.lru_cache",
    "functools.wraps",
    "functools.cached_property",
    "builtins.staticmethod",
    "typing.no_type_check",
    "typing.final",
}


@dataclass(frozen=True)
class Registration:
    """One call of `register_pipeline`.

    Args:
        place: the line to name: of the call, or of the outermost call of a helper that makes it.
        module: the file that holds the call.
        conditions: what was assumed on the way to it.
        loop: the innermost loop around it whose rounds are unknown: its line and what it runs over.
    """

    kind: RegistryKind
    arguments: Arguments
    node: ast.AST
    place: Place
    module: Module
    conditions: Conditions
    loop: tuple[Place, str] | None


class Interpreter(Statements):
    """Walks a file and the files of the same package that it imports.

    Args:
        on_registration: what to do with a registration.
        root: the folder of the registry's main file.
        import_root: a folder in which absolute imports are looked up, too.
    """

    def __init__(
        self, on_registration: Callable[[Registration], None], root: Path, import_root: Path | None = None
    ) -> None:
        super().__init__(root, import_root)
        self.on_registration = on_registration
        self._evaluated: set[ast.AST] = set()
        self._registering: set[ast.AST] = set()

    def call(self, callee: Value, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        self._evaluated.add(node)
        if isinstance(callee, Local):
            return local(self.call(callee.value, arguments, node, frame), node)
        if isinstance(callee, Choice):
            results = []
            for conditions, alternative in callee.alternatives:
                if not contradicts(self.conditions, conditions):
                    with self.assuming(conditions):
                        results.append((conditions, self.call(alternative, arguments, node, frame)))
            return choose(results, node)
        if isinstance(callee, RegisterMethod):
            return self._register(callee.kind, arguments, node, frame)
        if isinstance(callee, Partial):
            given = callee.arguments
            positional = [*given.positional, *arguments.positional] if given.rest is None else given.positional
            merged = Arguments(positional, {**given.keywords, **arguments.keywords}, given.rest or arguments.rest)
            return self.call(callee.function, merged, node, frame)
        if isinstance(callee, Function):
            return self._call_function(callee, arguments, node, frame)
        if isinstance(callee, Identity):
            return arguments.positional[0] if arguments.positional else Unknown(node)
        if isinstance(callee, ClassValue) and callee.fields and arguments.rest is None:
            values = dict(zip(callee.fields, arguments.positional)) | arguments.keywords
            values |= {n: self.class_attribute(callee, n, node) for n in callee.fields if n not in values}
            return Instance(callee, values)
        if isinstance(callee, Method):
            return self._call_method(callee, arguments, node)
        if isinstance(callee, External):
            return self._call_external(callee.dotted, arguments, node, frame)
        return self._call_unknown(callee, arguments, node, frame)

    def _register(self, kind: RegistryKind, arguments: Arguments, node: ast.AST, frame: Frame) -> None:
        self._registering.update(function.node for _, function in self.calls)
        loop = self.loops[-1] if self.loops else None
        place = self.place(node, frame)
        self.on_registration(Registration(kind, arguments, node, place, frame.module, self.conditions, loop))

    def _call_function(self, function: Function, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        if len(self.calls) >= MAX_DEPTH:
            if _mentions_registration(function.node):
                self.note(node, frame, f"not listed: {source_text(node)} is called more than {MAX_DEPTH} calls deep")
            return Unknown(node)
        inner = Frame(function.module, function.frame, conditions_before=len(self.conditions))
        inner.names = _bound(function, arguments, node)
        self.calls.append((Place(frame.module.file, getattr(node, "lineno", 1)), function))
        try:
            if isinstance(function.node, ast.Lambda):
                return self.evaluate(function.node.body, inner)
            if _is_generator(function.node):
                inner.yields = []
            self.run(function.node.body, inner)
        finally:
            self.calls.pop()
        if inner.yields is not None:
            return inner.yields
        returns = inner.returns
        return choose(returns if len(returns) > 1 else [((), value) for _, value in returns], node) if returns else None

    def _call_method(self, method: Method, arguments: Arguments, node: ast.AST) -> Value:
        if arguments.rest is not None:
            return Unknown(node)
        if isinstance(method.of, (list, dict)):
            answer = self.mutate(method.of, method.name, arguments.positional, arguments.keywords, node)
            return Unknown(node) if answer is UNDECIDED else answer
        return self._lifted(
            arguments,
            node,
            lambda positional, keywords: environment.call_method(method.of, method.name, positional, keywords),
        )

    def _call_external(self, dotted: str, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        positional = arguments.positional
        last = dotted.rpartition(".")[2]
        if dotted == "functools.partial" and positional:
            return Partial(positional[0], Arguments(positional[1:], arguments.keywords, arguments.rest))
        if dotted in _BENIGN_DECORATORS:
            decorates = len(positional) == 1 and isinstance(positional[0], Function) and last != "wraps"
            return positional[0] if decorates else Identity()
        if dotted in ("builtins.exec", "builtins.eval", "builtins.compile"):
            self.note(node, frame, f"{last}() may register more")
            return Unknown(node)
        if dotted in ("importlib.import_module", "builtins.__import__"):
            return self.import_module(arguments, node, frame)
        if dotted == "builtins.getattr" and len(positional) > 1 and isinstance(positional[1], str):
            name: str = positional[1]
            return lift(node, lambda of: self.attribute(of, name, node), positional[0])
        if dotted == "builtins.map" and len(positional) == 2 and (items := self.iterate(positional[1])) is not None:
            return [self.call(positional[0], Arguments([item]), node, frame) for item in items]
        if arguments.rest is None:
            answer = self._lifted(arguments, node, lambda given, named: environment.call_external(dotted, given, named))
            if not isinstance(answer, Unknown):
                return local(answer, node) if environment.depends_on_machine(dotted) else answer
        return self._call_unknown(External(dotted), arguments, node, frame)

    def _call_unknown(self, callee: Value, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        """Note a call that is not followed if it can register something."""
        text = source_text(node.func if isinstance(node, ast.Call) else node)
        first = callee.dotted.partition(".")[0] if isinstance(callee, External) else ""
        outside = bool(first) and first not in HARMLESS and first not in sys.stdlib_module_names
        given = [value.function if isinstance(value, Partial) else value for value in arguments]
        if callee is None:  # fails when it runs, and registers nothing
            return Unknown(node)
        if text.rpartition(".")[2] == "register_pipeline":
            self.note(node, frame, f"registers with {text}, which is no registry that is known here; not listed")
        elif isinstance(callee, External) and ".SUPPORTED_TASKS." in callee.dotted:
            self.note(node, frame, f"{text}() may register tasks, not listed")
        elif any(isinstance(value, RegisterMethod) for value in given):
            self.note(node, frame, f"{text}() is given register_pipeline and may register more")
        elif outside and any(isinstance(value, Registry) for value in given):
            self.note(node, frame, f"{text}() is given the registry and may register more")
        elif any(isinstance(value, ClassValue) for value in given) and "regist" in text.lower():
            classes = ", ".join(value.name for value in given if isinstance(value, ClassValue))
            self.note(node, frame, f"{text}() is given {classes} and may register it")
        elif outside and isinstance(node, ast.Call) and any(isinstance(value, ClassValue) for value in given):
            classes = ", ".join(value.name for value in given if isinstance(value, ClassValue))
            self.note(node, frame, f"{text}() of another package is given {classes} and may register it")
        return Unknown(node)

    def _lifted(
        self, arguments: Arguments, node: ast.AST, function: Callable[[list[Value], dict[str, Value]], Value]
    ) -> Value:
        """Call a function with every combination of the alternatives of its arguments."""
        count = len(arguments.positional)
        names = list(arguments.keywords)

        def apply(*values: Value) -> Value:
            answer = function(list(values[:count]), dict(zip(names, values[count:])))
            return Unknown(node) if answer is UNDECIDED else answer

        return lift(node, apply, *arguments)

    # What was not reached.

    def unreached(self) -> list[Note]:
        """Return notes on calls that register but were never walked, in all files that were read."""
        against = {id(n): test for body, test in self.decided_against for s in body for n in ast.walk(s)}
        return [
            note
            for module in self.modules.values()
            if module.tree is not None
            for note in self._unreached_in(module, module.tree, against)
        ]

    def _unreached_in(self, module: Module, tree: ast.Module, against: dict[int, str]) -> Iterator[Note]:
        for node, function in _calls_and_writes(tree):
            place = Place(module.file, node.lineno)
            if not isinstance(node, ast.Call):
                yield Note(place, f"writes to {source_text(node)}, not listed")
            elif _updates_supported_tasks(node):
                yield Note(place, f"{source_text(node.func)}() registers tasks, not listed")
            elif node not in self._evaluated and self._registers(node, module):
                if id(node) in against:
                    yield Note(place, f"not registered here, because {against[id(node)]}", unread=False)
                elif function:
                    yield Note(place, f"not listed: inside {function}, which was not followed")
                else:
                    yield Note(place, "not listed: not reached when the file is read from the top")

    def _registers(self, call: ast.Call, module: Module) -> bool:
        """Tell whether a call that was not walked registers: by its name, an alias, or a helper seen to do so."""
        function = call.func
        if isinstance(function, ast.Attribute):
            if function.attr == "register_pipeline":
                return True
            of = module.frame.names.get(function.value.id) if isinstance(function.value, ast.Name) else None
            value = of.frame.names.get(function.attr) if isinstance(of, Module) else None
        else:
            value = module.frame.names.get(function.id) if isinstance(function, ast.Name) else None
        while isinstance(value, Partial):
            value = value.function
        return isinstance(value, RegisterMethod) or (isinstance(value, Function) and value.node in self._registering)


def _bound(function: Function, arguments: Arguments, node: ast.AST) -> dict[str, Value]:
    """Return the names that a function sees for its arguments."""
    spec = function.node.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
    bound: dict[str, Value] = dict(zip(names, arguments.positional))
    keywords = dict(arguments.keywords)
    names += [argument.arg for argument in spec.kwonlyargs]
    for name in names:
        if name in keywords:
            bound[name] = keywords.pop(name)
        elif name not in bound:
            bound[name] = arguments.rest or function.defaults.get(name, Unknown(node))
    if spec.vararg:
        extra = arguments.positional[len(spec.posonlyargs) + len(spec.args) :]
        bound[spec.vararg.arg] = arguments.rest or tuple(extra)
    if spec.kwarg:
        bound[spec.kwarg.arg] = arguments.rest or keywords
    return bound


def _is_generator(function: ast.FunctionDef) -> bool:
    """Tell whether a function yields; functions inside it do not count."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))
    return False


def _mentions_registration(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "register_pipeline" for node in ast.walk(tree))


def _calls_and_writes(tree: ast.Module) -> Iterator[tuple[ast.Call | ast.Subscript, str]]:
    """Yield every call, and every write to `X.supported_tasks[...]`, with the function or class that it is in."""
    stack: list[tuple[ast.AST, str]] = [(tree, "")]
    while stack:
        node, function = stack.pop()
        if isinstance(node, ast.Call) or (isinstance(node, ast.Subscript) and _is_supported_task_written(node)):
            yield node, function
        inside = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else ""
        name = ".".join(part for part in (function, inside) if part)
        decorators = getattr(node, "decorator_list", [])
        children = list(ast.iter_child_nodes(node))
        stack.extend((child, function if child in decorators else name) for child in reversed(children))


def _is_supported_task_written(node: ast.Subscript) -> bool:
    return isinstance(node.ctx, ast.Store) and _is_supported_tasks(node.value)


def _is_supported_tasks(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "supported_tasks"


def _updates_supported_tasks(call: ast.Call) -> bool:
    function = call.func
    writes = isinstance(function, ast.Attribute) and function.attr in ("update", "setdefault", "__setitem__")
    return writes and isinstance(function, ast.Attribute) and _is_supported_tasks(function.value)
