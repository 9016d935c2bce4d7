"""The statements of a registry file, walked in their order under the conditions that were not decided.

Both branches of an `if` or `try` are walked, each on its own copy of the names, unless constants decide it: what the
machine decides, such as `sys.platform` or an import, is a condition that knows whether it holds here. A loop over
something unknown is walked once, its targets unknown. `Statements` is the upper middle of `interpreter.Interpreter`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.environment import UNDECIDED
from pipesmith.pipelines.declarations.imports import Imports, is_import
from pipesmith.pipelines.declarations.values import (
    RANKS,
    Arguments,
    Atom,
    Choice,
    ClassValue,
    Conditions,
    External,
    Frame,
    Instance,
    Module,
    Unknown,
    Value,
    choose,
    condition,
    conditions_text,
    conjunction,
    contradicts,
    holds_here,
    same,
    source_text,
)
from pipesmith.pipelines.entries import Place

MAX_ROUNDS = 1_000  # of a `while`
_ANY_ERRORS = {"Exception", "BaseException", ""}
_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError"}


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


class Statements(Imports):
    """Executes statements, as far as that is possible without running anything."""

    def __init__(self, root: Path, import_root: Path | None) -> None:
        super().__init__(root, import_root)
        self.position: Place | None = None
        self.loops: list[tuple[Place, str]] = []  # those whose rounds are unknown, innermost last
        self.decided_against: list[tuple[list[ast.stmt], str]] = []  # statements that do not run, and why

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
        # What is true here comes first: a file that several branches import is walked under the conditions of one.
        for conditions, branch in sorted(branches, key=lambda each: RANKS[holds_here(each[0])]):
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
        verdicts = [holds_here(c) for c in gone]
        verdicts += [holds_here(c) and (None if (v := holds_here(more)) is None else not v) for c, more in partly]
        is_gone = True if True in verdicts else None if None in verdicts else False
        return Outcome(leaving, (Atom(f"not ({text})", text, here=None if is_gone is None else not is_gone),))

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
        reason = f"`{source_text(node.test)}` is {'true' if verdict else 'false'}"
        self.decided_against.append((node.orelse if verdict else node.body, reason))
        return self.run(node.body if verdict else node.orelse, frame)

    def _Match(self, node: ast.Match, frame: Frame) -> Outcome:
        subject = source_text(node.subject)
        self.evaluate(node.subject, frame)
        branches: list[tuple[Conditions, Callable[[], Outcome]]] = []
        others: Conditions = ()
        for case in node.cases:
            pattern = source_text(case.pattern)
            atom = condition(f"{subject} matches {pattern}")
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
        imports = [(i, self.import_works(s, frame.module.file)) for i, s in enumerate(body) if is_import(s)]
        failing = next((index for index, works in imports if works is False), None)
        catching = next((h for h in handlers if _caught(h) & (_IMPORT_ERRORS | _ANY_ERRORS)), None)
        for_imports_only = all(_caught(handler) <= _IMPORT_ERRORS for handler in handlers)
        works = all(verdict for _, verdict in imports) and (for_imports_only or len(imports) == len(body))
        fails = failing is not None and catching is not None
        of_pipesmith = bool(imports) and all(_is_of_pipesmith(body[index]) for index, _ in imports)
        if not fails and (
            (works and of_pipesmith) or all(h.body and isinstance(h.body[-1], ast.Raise) for h in handlers)
        ):
            if works:
                for handler in handlers:
                    self.decided_against.append((handler.body, f"the imports at line {node.lineno} work"))
            return self.run([*body, *orelse], frame)
        errors = [source_text(h.type) if h.type is not None else "error" for h in handlers]
        happens = [h is catching if fails else False if works else None for h in handlers]
        if imports and len(handlers) == 1 and for_imports_only:
            single = f"`{source_text(body[imports[0][0]])}`" if len(imports) == 1 else ""
            several = f"the imports at line {node.lineno}"
            texts = (f"{single} fails", f"{single} works") if single else (f"{several} fail", f"{several} work")
            atoms = [Atom(*texts, here=happens[0])]
        else:
            atoms = [
                Atom(f"{error} at line {node.lineno}", f"no {error} at line {node.lineno}", here=here)
                for error, here in zip(errors, happens)
            ]
        self.run(body[:failing] if fails else [], frame)
        rest = body[failing:] if fails else body
        branches: list[tuple[Conditions, Callable[[], Outcome]]]
        branches = [(tuple(atom.negated() for atom in atoms), lambda: self.run([*rest, *orelse], frame))]
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
            self.unread_loop(over, node, [*targets, *_names_assigned(node.body)], frame)
            try:
                outcome = self.run(node.body, frame)
            finally:
                self.leave_loop()
            return _after_loop(outcome.leaving, ())

        atom = condition(text)
        return self.fork([((atom,), body), ((atom.negated(),), lambda: GO_ON)], node, frame)

    def unread_loop(self, text: str, node: ast.AST, targets: Sequence[ast.expr], frame: Frame) -> None:
        self.loops.append((self.place(node, frame), text))
        for target in targets:
            self.assign(target, Unknown(target), frame)

    def leave_loop(self) -> None:
        self.loops.pop()

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
        before, value = self.evaluate(node.target, frame), self.evaluate(node.value, frame)
        if isinstance(before, list) and isinstance(node.op, ast.Add) and isinstance(value, (list, tuple)):
            self.mutate(before, "extend", [value], {}, node)  # in place: other names see it
        elif isinstance(before, dict) and isinstance(node.op, ast.BitOr) and isinstance(value, dict):
            self.mutate(before, "update", [value], {}, node)
        else:
            self.assign(node.target, self.operate(node, node.op, before, value), frame)

    def _Delete(self, node: ast.Delete, frame: Frame) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                frame.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript):
                of, key = self.evaluate(target.value, frame), self.evaluate(target.slice, frame)
                if isinstance(of, dict) and isinstance(key, str):
                    self._remove(of, key, target)

    def _Global(self, node: ast.Global, frame: Frame) -> None:
        frame.global_names.update(node.names)

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        if isinstance(target, ast.Name):
            scope = frame.module.frame if target.id in frame.global_names else frame
            if scope is not frame:  # not one of the names that `fork` copies
                value = self._under_conditions(value, scope.names.get(target.id, UNDECIDED), target)
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value, frame)
        elif isinstance(target, ast.Subscript):
            self._store(target, value, frame)
        elif isinstance(target, ast.Attribute):
            of = self.evaluate(target.value, frame)
            if isinstance(of, (Instance, ClassValue, Module)):
                names = of.frame.names if isinstance(of, Module) else of.attributes
                names[target.attr] = self._under_conditions(value, names.get(target.attr, UNDECIDED), target)

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
            self.mutate(of, "update", [{key: value}], {}, target)
        elif isinstance(of, list) and isinstance(key, int) and -len(of) <= key < len(of):
            of[key] = self._under_conditions(value, of[key], target)

    def mutate(self, of: Value, name: str, positional: list[Value], keywords: dict[str, Value], node: ast.AST) -> Value:
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
                if isinstance(of, dict) and positional and isinstance(positional[0], str):
                    self._remove(of, positional[0], node)
                return UNDECIDED
        if any(isinstance(item, (Unknown, External)) for item in positional) and name in ("extend", "update"):
            return UNDECIDED
        return environment.call_method(of, name, positional, keywords)

    def _remove(self, of: dict[Value, Value], key: str, node: ast.AST) -> None:
        """Remove a key; under an undecided condition it stays, bound to the opposite."""
        if not self.conditions:
            of.pop(key, None)
        elif key in of:
            of[key] = choose([((*self.conditions[:-1], self.conditions[-1].negated()), of[key])], node)

    def _under_conditions(self, value: Value, before: Value, node: ast.AST) -> Value:
        if not self.conditions:
            return value
        alternatives = [(self.conditions, value)]
        if before is not UNDECIDED:
            alternatives.append(((*self.conditions[:-1], self.conditions[-1].negated()), before))
        return choose(alternatives, node)

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
        # A base that is only a name is not looked into: walking its file for it would read whole libraries.
        bases = tuple(
            self.lookup(base.id, base, frame) if isinstance(base, ast.Name) else self.evaluate(base, frame)
            for base in node.bases
        )
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
        known = [self.resolve(base, node) for base in bases]
        inherited = [name for base in known if isinstance(base, ClassValue) for name in base.fields]
        own = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
        return tuple(dict.fromkeys([*inherited, *own]))


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


def _caught(handler: ast.ExceptHandler) -> set[str]:
    """Return the names of the errors that a handler catches; "" for all."""
    if handler.type is None:
        return {""}
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {source_text(kind) for kind in types}


def _is_of_pipesmith(statement: ast.stmt) -> bool:
    """Tell whether an import is of pipesmith, which is there wherever `pipe` reads this."""
    if isinstance(statement, ast.ImportFrom):
        return not statement.level and (statement.module or "").partition(".")[0] == "pipesmith"
    return isinstance(statement, ast.Import) and all(a.name.partition(".")[0] == "pipesmith" for a in statement.names)


def _names_assigned(body: list[ast.stmt]) -> list[ast.Name]:
    nodes = (node for statement in body for node in ast.walk(statement))
    return [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
