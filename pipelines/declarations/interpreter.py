"""A registry file walked statement by statement, its imports inside the user's package followed.

Nothing of the user's is imported or executed. What a call of `register_pipeline` means is not decided here: every such
call is handed over as a `Registration`, which `entries.py` turns into an entry.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.environment import UNDECIDED
from pipesmith.pipelines.declarations.expressions import Expressions
from pipesmith.pipelines.declarations.results import Note
from pipesmith.pipelines.declarations.values import (
    Arguments,
    Atom,
    Choice,
    ClassValue,
    Conditions,
    External,
    Frame,
    Function,
    Identity,
    Instance,
    Method,
    MissingName,
    Module,
    Partial,
    RegisterMethod,
    Registry,
    RegistryKind,
    Unknown,
    Value,
    choose,
    conditions_text,
    conjunction,
    contradicts,
    lift,
    same,
    source_text,
)
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.registry import Place
from pipesmith.pipelines.source import absolute_module, module_file, package_folder, parse

MAX_DEPTH = 5
MAX_MODULES = 200
MAX_BYTES = 1_000_000
MAX_ROUNDS = 1_000  # of a `while`
_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError"}
_ANY_ERRORS = {"Exception", "BaseException", ""}
_BENIGN_DECORATORS = {
    "functools.cache",
    "functools.lru_cache",
    "functools.wraps",
    "functools.cached_property",
    "builtins.staticmethod",
    "typing.no_type_check",
    "typing.final",
}
# Packages whose functions do not register what they are given, so that handing them a class is no reason for a note.
_HARMLESS = {"transformers", "torch", "tensorflow", "numpy", "pipesmith", "datasets", "huggingface_hub", "builtins"}


class Way(Enum):
    """How a block is left early."""

    BREAK = 1
    CONTINUE = 2
    RETURN = 3
    RAISE = 4


@dataclass(frozen=True)
class Outcome:
    """How a block ends.

    Args:
        leaving: the ways in which it may be left early.
        going_on: the conditions under which what follows is reached; None if it never is.
    """

    leaving: frozenset[Way] = frozenset()
    going_on: Conditions | None = ()


GO_ON = Outcome()


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


class Interpreter(Expressions):
    """Walks a file and the files of the same package that it imports.

    Args:
        import_root: a folder in which absolute imports are looked up, too.
        on_registration: what to do with a registration.
    """

    def __init__(
        self, on_registration: Callable[[Registration], None], *, root: Path, import_root: Path | None = None
    ) -> None:
        super().__init__()
        self.on_registration = on_registration
        self.root = root
        self.import_root = import_root
        self.modules: dict[str, Module] = {}
        self.notes: list[Note] = []
        self.position: Place | None = None
        self._evaluated: set[ast.AST] = set()
        self._decided_against: list[tuple[list[ast.stmt], str]] = []
        self._registering: set[ast.AST] = set()
        self._calls: list[tuple[Place, Function]] = []
        self._loops: list[tuple[Place, str]] = []

    def note(self, node: ast.AST, frame: Frame, message: str, *, unread: bool = True) -> None:
        """Note something about a line."""
        self.notes.append(Note(self.place(node, frame), message, unread=unread))

    def place(self, node: ast.AST, frame: Frame) -> Place:
        """Return where the user wrote what happens at a node: the outermost call that leads to it."""
        return self._calls[0][0] if self._calls else Place(frame.module.file, getattr(node, "lineno", 1))

    # Files.

    def load(self, file: Path) -> Module:
        """Walk a file once, and the packages around it first; one that does not parse is noted."""
        key = os.path.realpath(file)
        if key in self.modules:
            return self.modules[key]
        for folder in reversed(file.parents):
            package = folder / "__init__.py"
            if self.root in folder.parents and package != file and package.is_file():
                self.load(package)
        module = self.modules[key] = Module(file, self._module_name(file), self._tree(file))
        self.walk(module)
        return module

    def walk(self, module: Module) -> None:
        """Walk a module's statements; its registrations are placed in itself, whoever imports it."""
        module.frame.names.update(__name__=module.name, __file__=str(module.file), __package__=module.name)
        calls, self._calls = self._calls, []
        try:
            self.run(module.tree.body if module.tree else [], module.frame)
        finally:
            self._calls = calls

    def _tree(self, file: Path) -> ast.Module | None:
        message = None
        line = 1
        try:
            if len(self.modules) >= MAX_MODULES:
                message = f"not read: the registry imports more than {MAX_MODULES} files"
            elif self.modules and file.stat().st_size > MAX_BYTES:
                message = f"not read: larger than {MAX_BYTES:,} bytes"
            else:
                return parse(file)
        except PipelineLoadError as error:
            if not self.modules:
                raise
            cause = error.__cause__
            line = (cause.lineno or 1) if isinstance(cause, SyntaxError) else 1
            detail = cause.msg if isinstance(cause, SyntaxError) else error.message
            message = f"does not parse: {detail}"
        except (RecursionError, MemoryError, OSError) as error:
            if not self.modules:
                raise PipelineLoadError(f"{file} cannot be read: its expressions are nested too deeply.") from error
            message = "not read: its expressions are nested too deeply"
        self.notes.append(Note(Place(file, line), message))
        return None

    def _module_name(self, file: Path) -> str:
        path = file.parent if file.name == "__init__.py" else file.with_suffix("")
        try:
            return ".".join(path.relative_to(self.root.parent).parts)
        except ValueError:
            return path.name

    # Blocks.

    def run(self, statements: Sequence[ast.stmt], frame: Frame) -> Outcome:
        """Execute statements in their order."""
        for index, statement in enumerate(statements):
            outcome = self._execute(statement, frame)
            if not outcome.leaving:
                continue
            if outcome.going_on is None:
                return outcome
            with self.assuming(outcome.going_on):
                rest = self.run(statements[index + 1 :], frame)
            going_on = None if rest.going_on is None else conjunction(outcome.going_on, rest.going_on)
            return Outcome(outcome.leaving | rest.leaving, going_on)
        return GO_ON

    def _execute(self, statement: ast.stmt, frame: Frame) -> Outcome:
        self.step()
        at_top = frame is frame.module.frame
        if at_top:
            self.position = Place(frame.module.file, statement.lineno)
        method: Callable[[ast.stmt, Frame], Outcome | None] | None
        method = getattr(self, f"_{type(statement).__name__}", None)
        if method is None:
            return GO_ON
        try:
            return method(statement, frame) or GO_ON
        except RecursionError:
            if not at_top:
                raise
            self.note(statement, frame, "nested too deeply to be read; what it registers is not listed")
            return GO_ON

    def fork(
        self, branches: Sequence[tuple[Conditions, Callable[[], Outcome]]], node: ast.AST, frame: Frame
    ) -> Outcome:
        """Walk branches of which one is taken, each on its own copy of the names, and unite what they leave."""
        before = frame.names
        ends: list[tuple[Conditions, Outcome, dict[str, Value]]] = []
        for conditions, branch in branches:
            if contradicts(self.conditions, conditions):
                continue
            frame.names = dict(before)
            with self.assuming(conditions):
                outcome = branch()
            ends.append((conditions, outcome, frame.names))
        going = [(c, outcome.going_on, names) for c, outcome, names in ends if outcome.going_on is not None]
        frame.names = _united([(conjunction(c, more), names) for c, more, names in going], node) if going else before
        leaving = frozenset().union(*(outcome.leaving for _, outcome, _ in ends))
        if not leaving:
            return GO_ON
        if not going:
            return Outcome(leaving, None)
        if len(going) == 1:
            return Outcome(leaving, conjunction(*going[0][:2]))
        partly = [(c, more) for c, more, _ in going if more]
        gone = [c for c, outcome, _ in ends if outcome.going_on is None]
        texts = [f"({conditions_text(c)})" for c in gone]
        texts += [f"({conditions_text(c)} and not ({conditions_text(more)}))" for c, more in partly]
        text = " or ".join(texts)
        return Outcome(leaving, (Atom(f"not ({text})", text),))

    def _Expr(self, node: ast.Expr, frame: Frame) -> None:
        self.evaluate(node.value, frame)

    def _If(self, node: ast.If, frame: Frame) -> Outcome:
        verdict, holds, fails = self.decide(node.test, frame)
        if verdict is None:
            return self.fork(
                [(holds, lambda: self.run(node.body, frame)), (fails, lambda: self.run(node.orelse, frame))],
                node,
                frame,
            )
        test = source_text(node.test)
        self._decided_against.append((node.orelse if verdict else node.body, test))
        return self.run(node.body if verdict else node.orelse, frame)

    def _Match(self, node: ast.Match, frame: Frame) -> Outcome:
        subject = source_text(node.subject)
        self.evaluate(node.subject, frame)
        branches: list[tuple[Conditions, Callable[[], Outcome]]] = []
        others: Conditions = ()
        for case in node.cases:
            pattern = source_text(case.pattern)
            atom = Atom(f"{subject} matches {pattern}", f"not ({subject} matches {pattern})")
            conditions = others if pattern == "_" else (*others, atom)
            branches.append((conditions, lambda body=case.body: self.run(body, frame)))  # type: ignore[misc]
            others = (*others, atom.negated())
        return self.fork([*branches, (others, lambda: GO_ON)], node, frame)

    def _With(self, node: ast.With, frame: Frame) -> Outcome:
        for item in node.items:
            value = self.evaluate(item.context_expr, frame)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, Unknown(item.context_expr), frame)
            call = item.context_expr
            if isinstance(value, Unknown) and isinstance(call, ast.Call) and call.args:
                callee = self.evaluate(call.func, frame)
                if isinstance(callee, External) and callee.dotted == "contextlib.suppress":
                    handler = ast.ExceptHandler(call.args[0] if len(call.args) == 1 else None, None, [])
                    return self._try(node, node.body, [handler], [], frame)
        return self.run(node.body, frame)

    def _Try(self, node: ast.Try, frame: Frame) -> Outcome:
        outcome = self._try(node, node.body, node.handlers, node.orelse, frame) if node.handlers else None
        if outcome is None:
            outcome = self.run(node.body, frame)
        final = self.run(node.finalbody, frame)
        return final if final.leaving else outcome

    _TryStar = _Try

    def _try(
        self,
        node: ast.stmt,
        body: list[ast.stmt],
        handlers: list[ast.ExceptHandler],
        orelse: list[ast.stmt],
        frame: Frame,
    ) -> Outcome:
        imports = [(i, self._import_works(s, frame.module)) for i, s in enumerate(body) if _is_import(s)]
        failing = next((index for index, works in imports if works is False), None)
        catching = next((h for h in handlers if _caught(h) & (_IMPORT_ERRORS | _ANY_ERRORS)), None)
        if failing is not None and catching is not None:
            self.run(body[:failing], frame)
            self._decided_against.append((body[failing:], source_text(body[failing])))
            return self.run(catching.body, frame)
        for_imports_only = all(_caught(handler) <= _IMPORT_ERRORS for handler in handlers)
        works = all(verdict for _, verdict in imports) and (for_imports_only or len(imports) == len(body))
        if works or all(handler.body and isinstance(handler.body[-1], ast.Raise) for handler in handlers):
            if works:
                for handler in handlers:
                    test = f"except {source_text(handler.type) if handler.type else ''}".strip()
                    self._decided_against.append((handler.body, test))
            return self.run([*body, *orelse], frame)
        errors = [source_text(h.type) if h.type is not None else "error" for h in handlers]
        atoms = [Atom(f"{error} at line {node.lineno}", f"no {error} at line {node.lineno}") for error in errors]
        branches: list[tuple[Conditions, Callable[[], Outcome]]]
        branches = [(tuple(atom.negated() for atom in atoms), lambda: self.run([*body, *orelse], frame))]
        for atom, handler in zip(atoms, handlers):
            branches.append(((atom,), lambda body=handler.body: self.run(body, frame)))  # type: ignore[misc]
        return self.fork(branches, node, frame)

    # Loops.

    def _For(self, node: ast.For, frame: Frame) -> Outcome:
        iterable = self.evaluate(node.iter, frame)
        if isinstance(iterable, Choice):
            branches: list[tuple[Conditions, Callable[[], Outcome]]] = [
                (conditions, lambda value=value: self._rounds(node, value, frame))  # type: ignore[misc]
                for conditions, value in iterable.alternatives
            ]
            return self.fork(branches, node, frame)
        return self._rounds(node, iterable, frame)

    def _rounds(self, node: ast.For, iterable: Value, frame: Frame) -> Outcome:
        values = self.iterate(iterable)
        if values is None:
            over = iterable.expression if isinstance(iterable, Unknown) else source_text(node.iter)
            text = f"for {source_text(node.target)} in {source_text(node.iter)}"
            return self._unknown_rounds(node, over, text, [node.target], frame)

        def rounds() -> Iterator[None]:
            for value in values:
                self.assign(node.target, value, frame)
                yield

        return self._known_rounds(node, rounds(), frame)

    def _While(self, node: ast.While, frame: Frame) -> Outcome:
        count = 0
        undecided = False

        def rounds() -> Iterator[None]:
            nonlocal count, undecided
            while count < MAX_ROUNDS:
                count += 1
                verdict = self.decide(node.test, frame)[0]
                undecided = verdict is None
                if not verdict:
                    return
                yield
            undecided = True

        outcome = self._known_rounds(node, rounds(), frame)
        if not undecided:
            return outcome
        test = source_text(node.test)
        return self._unknown_rounds(node, f"while {test}", f"while {test}", [], frame)

    def _known_rounds(self, node: ast.For | ast.While, rounds: Iterator[None], frame: Frame) -> Outcome:
        leaving: frozenset[Way] = frozenset()
        going_on: Conditions = ()
        for _ in rounds:
            self.step()
            with self.assuming(going_on):
                outcome = self.run(node.body, frame)
            leaving |= outcome.leaving - {Way.CONTINUE}
            if outcome.going_on is None and Way.CONTINUE not in outcome.leaving:
                left_for_good = Way.BREAK not in leaving
                return _after_loop(leaving, None if left_for_good else going_on)
            if outcome.leaving - {Way.CONTINUE}:
                going_on = conjunction(going_on, outcome.going_on or ())
        with self.assuming(going_on):
            self.run(node.orelse, frame)
        return _after_loop(leaving, going_on)

    def _unknown_rounds(
        self, node: ast.For | ast.While, over: str, text: str, targets: list[ast.expr], frame: Frame
    ) -> Outcome:
        """Walk a loop's body once, with all that it assigns unknown."""

        def body() -> Outcome:
            assigned = [name for name in _names_assigned(node.body)]
            self.unread_loop(over, node, [*targets, *assigned], frame)
            try:
                outcome = self.run(node.body, frame)
            finally:
                self.leave_loop()
            return _after_loop(outcome.leaving, ())

        atom = Atom(text, f"not ({text})")
        return self.fork([((atom,), body), ((atom.negated(),), lambda: GO_ON)], node, frame)

    def unread_loop(self, text: str, node: ast.AST, targets: Sequence[ast.expr], frame: Frame) -> None:
        self._loops.append((self.place(node, frame), text))
        for target in targets:
            self.assign(target, Unknown(target), frame)

    def leave_loop(self) -> None:
        self._loops.pop()

    def _Break(self, node: ast.Break, frame: Frame) -> Outcome:
        return Outcome(frozenset((Way.BREAK,)), None)

    def _Continue(self, node: ast.Continue, frame: Frame) -> Outcome:
        return Outcome(frozenset((Way.CONTINUE,)), None)

    def _Raise(self, node: ast.Raise, frame: Frame) -> Outcome:
        return Outcome(frozenset((Way.RAISE,)), None)

    def _Return(self, node: ast.Return, frame: Frame) -> Outcome:
        value = self.evaluate(node.value, frame) if node.value else None
        frame.returns.append((self.conditions[frame.conditions_before :], value))
        return Outcome(frozenset((Way.RETURN,)), None)

    # Names.

    def _Assign(self, node: ast.Assign, frame: Frame) -> None:
        value = self.evaluate(node.value, frame)
        for target in node.targets:
            self.assign(target, value, frame)

    def _AnnAssign(self, node: ast.AnnAssign, frame: Frame) -> None:
        if node.value is not None:
            self.assign(node.target, self.evaluate(node.value, frame), frame)

    def _AugAssign(self, node: ast.AugAssign, frame: Frame) -> None:
        load = ast.parse(ast.unparse(node.target), mode="eval").body  # the target, as an expression that reads it
        before, value = self.evaluate(load, frame), self.evaluate(node.value, frame)
        if isinstance(before, list) and isinstance(node.op, ast.Add) and isinstance(value, (list, tuple)):
            self._mutate(before, "extend", [value], {}, node)  # in place: other names see it
        elif isinstance(before, dict) and isinstance(node.op, ast.BitOr) and isinstance(value, dict):
            self._mutate(before, "update", [value], {}, node)
        else:
            self.assign(node.target, self.operate(node, node.op, before, value), frame)

    def _Delete(self, node: ast.Delete, frame: Frame) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                frame.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript):
                of, key = self.evaluate(target.value, frame), self.evaluate(target.slice, frame)
                if isinstance(of, dict) and isinstance(key, str) and not self.conditions:
                    of.pop(key, None)

    def _Global(self, node: ast.Global, frame: Frame) -> None:
        frame.global_names.update(node.names)

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        if isinstance(target, ast.Name):
            scope = frame.module.frame if target.id in frame.global_names else frame
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value, frame)
        elif isinstance(target, ast.Subscript):
            self._store(target, value, frame)
        elif isinstance(target, ast.Attribute):
            of = self.evaluate(target.value, frame)
            if isinstance(of, (Instance, ClassValue)):
                of.attributes[target.attr] = value
            elif isinstance(of, Module):
                of.frame.names[target.attr] = value

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, frame: Frame) -> None:
        if isinstance(value, Choice):
            unpacked = [(c, self._unpacked(target, item)) for c, item in value.alternatives]
            columns = [choose([(c, row[i]) for c, row in unpacked], target) for i in range(len(target.elts))]
        else:
            columns = self._unpacked(target, value)
        for part, item in zip(target.elts, columns):
            self.assign(part.value if isinstance(part, ast.Starred) else part, item, frame)

    def _unpacked(self, target: ast.Tuple | ast.List, value: Value) -> list[Value]:
        """Return a value for each part of the target; unknown ones if their number does not fit."""
        items = self.iterate(value)
        star = next((i for i, part in enumerate(target.elts) if isinstance(part, ast.Starred)), None)
        wanted = len(target.elts)
        if items is not None and star is not None and len(items) >= wanted - 1:
            tail = wanted - star - 1
            middle = items[star : len(items) - tail]
            return [*items[:star], middle, *items[len(items) - tail :]]
        if items is not None and star is None and len(items) == wanted:
            return items
        return [value if isinstance(value, Unknown) else Unknown(part) for part in target.elts]

    def _store(self, target: ast.Subscript, value: Value, frame: Frame) -> None:
        of, key = self.evaluate(target.value, frame), self.evaluate(target.slice, frame)
        if isinstance(of, External) and of.dotted.endswith(".SUPPORTED_TASKS"):
            self.note(target, frame, f"writes to {source_text(target)}, not listed")
        elif isinstance(of, dict) and not isinstance(key, (list, dict, Choice)):
            self._mutate(of, "update", [{key: value}], {}, target)
        elif isinstance(of, list) and isinstance(key, int) and -len(of) <= key < len(of):
            of[key] = self._under_conditions(value, of[key], target)

    def _mutate(
        self, of: Value, name: str, positional: list[Value], keywords: dict[str, Value], node: ast.AST
    ) -> Value:
        """Change a container in place; what is added under undecided conditions carries them."""
        if self.conditions:
            if name in ("append", "insert") and positional:
                positional = [*positional[:-1], choose([(self.conditions, positional[-1])], node)]
            elif name == "extend" and positional and (items := self.iterate(positional[0])) is not None:
                positional = [[choose([(self.conditions, item)], node) for item in items]]
            elif name == "update" and positional and isinstance(positional[0], dict):
                new = {**positional[0], **keywords}
                positional = [{k: self._under_conditions(v, of.get(k, UNDECIDED), node) for k, v in new.items()}]
                keywords = {}
            elif name == "pop":
                return UNDECIDED
        if any(isinstance(item, (Unknown, External)) for item in positional) and name in ("extend", "update"):
            return UNDECIDED
        return environment.call_method(of, name, positional, keywords)

    def _under_conditions(self, value: Value, before: Value, node: ast.AST) -> Value:
        if not self.conditions:
            return value
        alternatives = [(self.conditions, value)]
        if before is not UNDECIDED:
            alternatives.append(((*self.conditions[:-1], self.conditions[-1].negated()), before))
        return choose(alternatives, node)

    def module_attribute(self, module: Module, name: str) -> Value:
        if name in module.frame.names:
            return module.frame.names[name]
        if module.file.name == "__init__.py":
            file = module_file(module.file.parent / name)
            loaded = self.modules.get(os.path.realpath(file)) if file is not None else None
            if loaded is not None:
                return loaded
        if module.tree is None and module.file.is_file():
            return MissingName(name, module.file, f"{module.file.name} could not be read")
        if module.stars:
            return environment.external(f"{module.stars[-1]}.{name}")
        return MissingName(name, module.file, f"{module.file.name} has no {name}")

    # Imports.

    def _Import(self, node: ast.Import, frame: Frame) -> None:
        for alias in node.names:
            parts = alias.name.split(".")
            found = self._find(frame.module, 0, alias.name)
            if alias.asname is None and len(parts) > 1:
                found = self._find(frame.module, 0, parts[0])
            frame.names[alias.asname or parts[0]] = found

    def _ImportFrom(self, node: ast.ImportFrom, frame: Frame) -> None:
        found = self._find(frame.module, node.level, node.module)
        for alias in node.names:
            if alias.name == "*":
                self._import_all(found, frame)
            else:
                frame.names[alias.asname or alias.name] = self._imported(found, alias.name)

    def _imported(self, found: Module | External, name: str) -> Value:
        if isinstance(found, External):
            return environment.external(f"{found.dotted}.{name}")
        if name not in found.frame.names and found.file.name == "__init__.py":
            file = module_file(found.file.parent / name)
            if file is not None:
                return self.load(file)
        return self.module_attribute(found, name)

    def _import_all(self, found: Module | External, frame: Frame) -> None:
        if isinstance(found, External):
            frame.module.stars.append(found.dotted)
            return
        names = found.frame.names
        listed = names.get("__all__")
        wanted = listed if isinstance(listed, (list, tuple)) else [name for name in names if not name.startswith("_")]
        for name in wanted:
            if isinstance(name, str):
                frame.names[name] = self._imported(found, name)
        frame.module.stars += found.stars

    def _find(self, module: Module, level: int, dotted: str | None) -> Module | External:
        """Return what an import names: a file of the user's, walked, or a package that is not read."""
        parts = dotted.split(".") if dotted else []
        if module.package is not None:
            package = module.package.split(".")
            around = package[: len(package) - level + 1] if level else []
            return External(".".join([*around, *parts]))
        if not level and parts[0] in _HARMLESS | sys.stdlib_module_names:
            return External(".".join(parts))
        if level:
            path = module.file.parent
            for _ in range(level - 1):
                path = path.parent
            path = path.joinpath(*parts)
            file = module_file(path)
        else:
            found, installed = absolute_module(".".join(parts), module.file)
            file = None if installed else found
            if file is None and self.import_root is not None:
                file = module_file(self.import_root.joinpath(*parts))
            path = next((f.parent for f in module.file.parents if f.name == parts[0]), module.file.parent)
            path = path.joinpath(*parts)
            own = path.parent.is_dir() and len(parts) > 1 or path.is_dir()
            if file is None and (not own or package_folder(parts[0]) is not None):
                return External(".".join(parts))
        if file is not None:
            return self.load(file)
        missing = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return Module(missing, path.name, None)

    def _import_works(self, statement: ast.stmt, module: Module, _depth: int = 0) -> bool | None:
        """Tell whether an import statement works; None if only trying it would tell."""
        verdicts: list[bool | None] = []
        if isinstance(statement, ast.Import):
            imports = [(0, alias.name, ()) for alias in statement.names]
        else:
            assert isinstance(statement, ast.ImportFrom)
            imports = [(statement.level, statement.module, tuple(alias.name for alias in statement.names))]  # type: ignore[list-item]
        for level, dotted, names in imports:
            found = self._find(module, level, dotted)
            if isinstance(found, External):
                verdicts.append(environment.can_import(found.dotted, names))
            elif found.tree is None:
                verdicts.append(None if found.file.is_file() or found.file.parent.is_dir() else False)
            else:
                inner = [s for s in found.tree.body if _is_import(s)] if _depth < MAX_DEPTH else None
                verdicts += [None] if inner is None else [self._import_works(s, found, _depth + 1) for s in inner]
        return False if False in verdicts else None if None in verdicts else True

    def _import_module(self, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        name = arguments.positional[0] if arguments.positional else arguments.keywords.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"\.*\w+(\.\w+)*", name):
            text = name.expression if isinstance(name, Unknown) else source_text(node)
            self.note(node, frame, f"imports a module whose name is decided at run time ({text}); it may register more")
            return Unknown(node)
        level = len(name) - len(name.lstrip("."))
        found: Value = self._find(frame.module, level, name.lstrip("."))
        return found

    # Definitions.

    def _FunctionDef(self, node: ast.FunctionDef, frame: Frame) -> None:
        value: Value = self.function(node, frame)
        for decorator in reversed(node.decorator_list):
            value = self.call(self.evaluate(decorator, frame), Arguments([value]), decorator, frame)
        frame.names[node.name] = value

    def _AsyncFunctionDef(self, node: ast.AsyncFunctionDef, frame: Frame) -> None:
        frame.names[node.name] = Unknown(node)

    def _ClassDef(self, node: ast.ClassDef, frame: Frame) -> None:
        inner = Frame(frame.module, None if frame is frame.module.frame else frame, is_class=True)
        bases = tuple(self.evaluate(base, frame) for base in node.bases if not isinstance(base, ast.Starred))
        self.run(node.body, inner)
        new = ClassValue(node.name, frame.module.file, bases, inner.names, self._fields(node, bases))
        value: Value = new
        for decorator in reversed(node.decorator_list):
            result = self.call(self.evaluate(decorator, frame), Arguments([value]), decorator, frame)
            value = result if isinstance(result, (ClassValue, Choice)) else value
        frame.names[node.name] = value

    def _fields(self, node: ast.ClassDef, bases: tuple[Value, ...]) -> tuple[str, ...]:
        decorators = [source_text(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
        is_data = any(name.rpartition(".")[2] == "dataclass" for name in decorators)
        is_tuple = any(isinstance(base, External) and base.dotted == "typing.NamedTuple" for base in bases)
        if not (is_data or is_tuple):
            return ()
        inherited = [name for base in bases if isinstance(base, ClassValue) for name in base.fields]
        own = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
        return tuple(dict.fromkeys([*inherited, *own]))

    # Calls.

    def call(self, callee: Value, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        self._evaluated.add(node)
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
            values |= {name: callee.attribute(name)[1] for name in callee.fields if name not in values}
            return Instance(callee, values)
        if isinstance(callee, Method):
            return self._call_method(callee, arguments, node)
        if isinstance(callee, External):
            return self._call_external(callee.dotted, arguments, node, frame)
        return self._call_unknown(callee, arguments, node, frame)

    def _register(self, kind: RegistryKind, arguments: Arguments, node: ast.AST, frame: Frame) -> None:
        self._registering.update(function.node for _, function in self._calls)
        loop = self._loops[-1] if self._loops else None
        place = self.place(node, frame)
        self.on_registration(Registration(kind, arguments, node, place, frame.module, self.conditions, loop))

    def _call_function(self, function: Function, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        if len(self._calls) >= MAX_DEPTH:
            if _mentions_registration(function.node):
                self.note(node, frame, f"not listed: {source_text(node)} is called more than {MAX_DEPTH} calls deep")
            return Unknown(node)
        inner = Frame(function.module, function.frame, conditions_before=len(self.conditions))
        inner.names = _bound(function, arguments, node)
        self._calls.append((Place(frame.module.file, getattr(node, "lineno", 1)), function))
        try:
            if isinstance(function.node, ast.Lambda):
                return self.evaluate(function.node.body, inner)
            if _is_generator(function.node):
                inner.yields = []
            self.run(function.node.body, inner)
        finally:
            self._calls.pop()
        if inner.yields is not None:
            return inner.yields
        returns = inner.returns
        return choose(returns if len(returns) > 1 else [((), value) for _, value in returns], node) if returns else None

    def _call_method(self, method: Method, arguments: Arguments, node: ast.AST) -> Value:
        if arguments.rest is not None:
            return Unknown(node)
        if isinstance(method.of, (list, dict)):
            answer = self._mutate(method.of, method.name, arguments.positional, arguments.keywords, node)
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
            return self._import_module(arguments, node, frame)
        if dotted == "builtins.getattr" and len(positional) > 1 and isinstance(positional[1], str):
            name: str = positional[1]
            return lift(node, lambda of: self.attribute(of, name, node), positional[0])
        if dotted == "builtins.map" and len(positional) == 2 and (items := self.iterate(positional[1])) is not None:
            return [self.call(positional[0], Arguments([item]), node, frame) for item in items]
        if arguments.rest is None:
            answer = self._lifted(arguments, node, lambda given, named: environment.call_external(dotted, given, named))
            if not isinstance(answer, Unknown):
                return answer
        return self._call_unknown(External(dotted), arguments, node, frame)

    def _call_unknown(self, callee: Value, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        """Note a call that is not followed if it can register something."""
        text = source_text(node.func if isinstance(node, ast.Call) else node)
        first = callee.dotted.partition(".")[0] if isinstance(callee, External) else ""
        outside = bool(first) and first not in _HARMLESS and first not in sys.stdlib_module_names
        given = [value.function if isinstance(value, Partial) else value for value in arguments]
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
        against = {id(n): test for body, test in self._decided_against for s in body for n in ast.walk(s)}
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
                    yield Note(place, f"not registered here: decided by `{against[id(node)]}`", unread=False)
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


def _united(ends: list[tuple[Conditions, dict[str, Value]]], node: ast.AST) -> dict[str, Value]:
    """Unite the names that branches leave; one that differs becomes a choice."""
    if len(ends) == 1:
        return ends[0][1]
    united: dict[str, Value] = {}
    for name in dict.fromkeys(name for _, names in ends for name in names):
        values = [(conditions, names[name]) for conditions, names in ends if name in names]
        first = values[0][1]
        alike = len(values) == len(ends) and all(same(first, value) for _, value in values)
        united[name] = first if alike else choose(values, node)
    return united


def _after_loop(leaving: frozenset[Way], going_on: Conditions | None) -> Outcome:
    """Return how a loop ends that its rounds leave in these ways."""
    further = leaving - {Way.BREAK, Way.CONTINUE}
    return Outcome(further, going_on) if further else GO_ON


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


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def _caught(handler: ast.ExceptHandler) -> set[str]:
    """Return the names of the errors that a handler catches; "" for all."""
    if handler.type is None:
        return {""}
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {source_text(kind) for kind in types}


def _names_assigned(body: list[ast.stmt]) -> list[ast.Name]:
    nodes = (node for statement in body for node in ast.walk(statement))
    return [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


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
        if isinstance(node, ast.Call):
            yield node, function
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _is_supported_tasks(node.value):
            yield node, function
        inside = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else ""
        name = ".".join(part for part in (function, inside) if part)
        decorators = getattr(node, "decorator_list", [])
        children = list(ast.iter_child_nodes(node))
        stack.extend((child, function if child in decorators else name) for child in reversed(children))


def _is_supported_tasks(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "supported_tasks"


def _updates_supported_tasks(call: ast.Call) -> bool:
    function = call.func
    writes = isinstance(function, ast.Attribute) and function.attr in ("update", "setdefault", "__setitem__")
    return writes and isinstance(function, ast.Attribute) and _is_supported_tasks(function.value)
