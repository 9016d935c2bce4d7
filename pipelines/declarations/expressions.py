"""The value of an expression, found by walking its syntax tree.

Statements, imports and the registry are not here: `Expressions` is the lower half of `interpreter.Interpreter`, which
supplies them.
"""

from __future__ import annotations

import ast
import builtins
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.environment import UNDECIDED
from pipesmith.pipelines.declarations.values import (
    Arguments,
    Atom,
    Choice,
    ClassValue,
    Conditions,
    Deferred,
    External,
    Frame,
    Function,
    Identity,
    Instance,
    Local,
    Method,
    MissingName,
    Module,
    Partial,
    RegisterMethod,
    Registry,
    Unknown,
    Value,
    Version,
    choose,
    condition,
    contradicts,
    here,
    holds_here,
    is_plain,
    lift,
    local,
    same,
    source_text,
    truth,
)

_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}
_CERTAIN = (Registry, RegisterMethod, Module, ClassValue, Function, Partial, Instance, Version)  # never None
_BUILTINS = frozenset(dir(builtins))

MAX_STEPS = 200_000
MAX_HOPS = 20  # from file to file, or from class to base


class TooMuch(Exception):
    """The bound on the work spent on one registry is reached."""


class Expressions(ABC):
    """Evaluates expressions; what is called, imported and registered is up to the subclass."""

    def __init__(self) -> None:
        self.conditions: Conditions = ()
        self.steps = 0

    @abstractmethod
    def call(self, callee: Value, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        """Return what a call gives back; follows the user's functions and notes registrations."""

    @abstractmethod
    def module_attribute(self, module: Module, name: str) -> Value:
        """Return a name of a module of the user's, submodules included."""

    @abstractmethod
    def imported(self, module: Module, name: str) -> Value:
        """Return a name as `from module import name` would bind it."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Bind a target."""

    @abstractmethod
    def unread_loop(self, text: str, node: ast.AST, targets: Sequence[ast.expr], frame: Frame) -> None:
        """Enter a loop whose rounds are unknown: its targets become unknown."""

    @abstractmethod
    def leave_loop(self) -> None:
        """Leave the loop entered by `unread_loop`."""

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooMuch

    @contextmanager
    def assuming(self, conditions: Conditions) -> Iterator[None]:
        """Evaluate under further conditions."""
        before = self.conditions
        self.conditions = before + tuple(atom for atom in conditions if atom not in before)
        try:
            yield
        finally:
            self.conditions = before

    def possible(self, value: Value) -> Value:
        """Drop the alternatives of a value that the present conditions exclude."""
        if not isinstance(value, Choice):
            return value
        left = [(c, item) for c, item in value.alternatives if not contradicts(self.conditions, c)]
        for conditions, item in left:
            if set(conditions) <= set(self.conditions):
                return item
        return Choice(tuple(left)) if left else value

    def decide(self, test: ast.expr, frame: Frame) -> tuple[bool | None, Conditions, Conditions]:
        """Decide a test: its truth, or None and the conditions under which it holds and does not.

        What depends on the machine is not decided, but its conditions know whether they hold here.
        """
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            verdict, holds, fails = self.decide(test.operand, frame)
            return (None if verdict is None else not verdict), fails, holds
        value = self.evaluate(test, frame)
        atom = _condition(test, value)
        if atom in self.conditions or atom.negated() in self.conditions:
            return atom in self.conditions, (), ()
        holds, fails = (atom,), (atom.negated(),)
        if not isinstance(value, Choice):
            return truth(value), holds, fails
        verdicts = [(truth(item), conditions) for conditions, item in value.alternatives]
        if len({verdict for verdict, _ in verdicts}) == 1 and len(verdicts) > 1:
            return verdicts[0][0], holds, fails
        # The test repeats a condition that is known by another name: use that, so that contradictions are seen.
        true, false = ([c for verdict, c in verdicts if verdict is wanted] for wanted in (True, False))
        if len(verdicts) == 2 and len(true) == len(false) == 1:
            return None, true[0], false[0]
        return None, holds, fails

    def evaluate(self, node: ast.expr, frame: Frame) -> Value:
        """Return the value of an expression, `Unknown` if only running it would tell."""
        self.step()
        if isinstance(node, ast.Constant):
            return node.value
        method: Callable[[ast.expr, Frame], Value] | None = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            return Unknown(node)
        value = method(node, frame)
        return Unknown(node) if value is UNDECIDED else self.possible(value)

    def resolve(self, value: Value, node: ast.AST) -> Value:
        """Return the value behind a name that was imported from a file not walked at that time."""
        if isinstance(value, Choice):
            return choose([(conditions, self.resolve(item, node)) for conditions, item in value.alternatives], node)
        for _ in range(MAX_HOPS):
            if not isinstance(value, Deferred):
                return value
            value = self.imported(value.module, value.name)
        return Unknown(node)

    def lookup(self, name: str, node: ast.AST, frame: Frame) -> Value:
        """Return the value of a name as Python's scopes find it; possibly a `Deferred`."""
        scope: Frame | None = frame
        while scope is not None:
            if name in scope.names and name not in scope.global_names:
                return scope.names[name]
            scope = scope.parent
        names = frame.module.frame.names
        if name in names:
            return names[name]
        if name in _BUILTINS:
            return environment.external(f"builtins.{name}")
        if frame.module.stars:
            return environment.external(f"{frame.module.stars[-1]}.{name}")
        return Unknown(node)

    def _Name(self, node: ast.Name, frame: Frame) -> Value:
        return self.resolve(self.lookup(node.id, node, frame), node)

    def _Attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        return lift(node, lambda of: self.attribute(of, node.attr, node), self.evaluate(node.value, frame))

    def attribute(self, of: Value, name: str, node: ast.AST) -> Value:
        """Return an attribute of a value."""
        if isinstance(of, External):
            return environment.external(f"{of.dotted}.{name}")
        if isinstance(of, Module):
            return self.resolve(self.module_attribute(of, name), node)
        if of is None:  # an error when it runs: nothing of it registers anything
            return None
        if isinstance(of, Registry):
            return RegisterMethod(of.kind) if name == "register_pipeline" else Unknown(node)
        if isinstance(of, (ClassValue, MissingName)) and name in ("__name__", "__qualname__"):
            return of.name
        if isinstance(of, ClassValue):
            return self.class_attribute(of, name, node)
        if isinstance(of, Instance):
            return of.attributes[name] if name in of.attributes else self.attribute(of.of, name, node)
        if isinstance(of, (str, int)) and name == "value":  # members of an Enum are read as their values
            return of
        if environment.has_method(of, name):
            return Method(of, name)
        value = environment.attribute(of, name)
        return Unknown(node) if value is UNDECIDED else value

    def class_attribute(self, of: ClassValue, name: str, node: ast.AST, _depth: int = 0) -> Value:
        """Return an attribute of a class of the user's, or of a base of it."""
        if name in of.attributes:
            return self.resolve(of.attributes[name], node)
        for base in of.bases if _depth < MAX_HOPS else ():
            inherited = self.resolve(base, node)
            if isinstance(inherited, ClassValue):
                value = self.class_attribute(inherited, name, node, _depth + 1)
                if not isinstance(value, Unknown):
                    return value
        return Unknown(node)

    def _Subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        value, index = self.evaluate(node.value, frame), self.evaluate(node.slice, frame)

        def item(of: Value, key: Value) -> Value:
            if isinstance(of, ClassValue) and isinstance(key, str):  # a member of an Enum
                return self.class_attribute(of, key, node)
            if not (isinstance(of, (str, list, tuple, dict)) and (is_plain(key) or isinstance(key, slice))):
                return Unknown(node)
            try:
                return of[key]
            except (LookupError, TypeError, ValueError):
                return Unknown(node)

        return lift(node, item, value, index)

    def _Slice(self, node: ast.Slice, frame: Frame) -> Value:
        bounds = [None if part is None else self.evaluate(part, frame) for part in (node.lower, node.upper, node.step)]
        return slice(*bounds) if all(bound is None or isinstance(bound, int) for bound in bounds) else Unknown(node)

    def _Tuple(self, node: ast.Tuple, frame: Frame) -> Value:
        items = self._items(node.elts, frame)
        return Unknown(node) if items is None else tuple(items)

    def _List(self, node: ast.List, frame: Frame) -> Value:
        items = self._items(node.elts, frame)
        return Unknown(node) if items is None else items

    def _Set(self, node: ast.Set, frame: Frame) -> Value:
        return self._List(ast.List(node.elts), frame)

    def _items(self, nodes: list[ast.expr], frame: Frame) -> list[Value] | None:
        items: list[Value] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                more = self.iterate(self.evaluate(node.value, frame))
                if more is None:
                    return None
                items += more
            else:
                items.append(self.evaluate(node, frame))
        return items

    def _Dict(self, node: ast.Dict, frame: Frame) -> Value:
        result: dict[Value, Value] = {}
        for key, item in zip(node.keys, node.values):
            value = self.evaluate(item, frame)
            if key is None and not isinstance(value, dict):
                return Unknown(node)
            try:
                result.update(value if key is None else {self.evaluate(key, frame): value})
            except TypeError:  # an unhashable key
                return Unknown(node)
        return result

    def _JoinedStr(self, node: ast.JoinedStr, frame: Frame) -> Value:
        parts = [self.evaluate(part, frame) for part in node.values]

        def join(*texts: Value) -> Value:
            return "".join(texts) if all(isinstance(text, str) for text in texts) else Unknown(node)

        return lift(node, join, *parts)

    def _FormattedValue(self, node: ast.FormattedValue, frame: Frame) -> Value:
        spec = self.evaluate(node.format_spec, frame) if node.format_spec else ""

        def text(value: Value, spec: Value) -> Value:
            result = environment.formatted(value, node.conversion, spec) if isinstance(spec, str) else UNDECIDED
            return Unknown(node) if result is UNDECIDED else result

        return lift(node, text, self.evaluate(node.value, frame), spec)

    def _BinOp(self, node: ast.BinOp, frame: Frame) -> Value:
        return self.operate(node, node.op, self.evaluate(node.left, frame), self.evaluate(node.right, frame))

    def operate(self, node: ast.AST, symbol: ast.operator, left: Value, right: Value) -> Value:
        """Apply a binary operator."""
        function = _BINARY.get(type(symbol))
        if function is None:
            return Unknown(node)

        def apply(one: Value, other: Value) -> Value:
            result = environment.operate(function, one, other)
            return Unknown(node) if result is UNDECIDED else result

        return lift(node, apply, left, right)

    def _UnaryOp(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self.evaluate(node.operand, frame)

        def apply(operand: Value) -> Value:
            if isinstance(node.op, ast.Not):
                verdict = truth(operand)
                return Unknown(node) if verdict is None else not verdict
            return -operand if isinstance(node.op, ast.USub) and isinstance(operand, (int, float)) else Unknown(node)

        return lift(node, apply, value)

    def _BoolOp(self, node: ast.BoolOp, frame: Frame) -> Value:
        stops_at = isinstance(node.op, ast.Or)
        undecided: Conditions = ()
        value: Value = None
        result: Value = UNDECIDED  # what the first operand that stops it here is here
        for operand in node.values:
            with self.assuming(undecided):  # a registration behind `flag and ...` depends on the flag
                value = self.evaluate(operand, frame)
            verdict = truth(value)
            if result is UNDECIDED and truth(here(value)) is stops_at:
                result = here(value)
            if verdict is None:
                atom = _condition(operand, value)
                undecided += (atom.negated() if stops_at else atom,)
            elif verdict is stops_at:
                break
        if not undecided or (isinstance(value, bool) and value is stops_at):
            return value
        if result is UNDECIDED:
            return local(here(value), node) if holds_here(undecided) else Unknown(node)
        return local(result, node) if isinstance(result, bool) or holds_here(undecided) is not None else Unknown(node)

    def _Compare(self, node: ast.Compare, frame: Frame) -> Value:
        if len(node.ops) > 1:
            return Unknown(node)
        left, right = self.evaluate(node.left, frame), self.evaluate(node.comparators[0], frame)

        def compare(one: Value, other: Value) -> Value:
            symbol = node.ops[0]
            if isinstance(symbol, (ast.Is, ast.IsNot)):
                verdict = _is(one, other)
                return Unknown(node) if verdict is None else verdict is isinstance(symbol, ast.Is)
            if isinstance(one, Version) and isinstance(other, Version):
                one, other = one.release, other.release
            if not (is_plain(one) and is_plain(other)):
                return Unknown(node)
            try:
                return bool(_COMPARE[type(symbol)](one, other))
            except TypeError:
                return Unknown(node)

        return lift(node, compare, left, right)

    def _IfExp(self, node: ast.IfExp, frame: Frame) -> Value:
        verdict, holds, fails = self.decide(node.test, frame)
        if verdict is not None:
            return self.evaluate(node.body if verdict else node.orelse, frame)
        alternatives = []
        for conditions, branch in ((holds, node.body), (fails, node.orelse)):
            with self.assuming(conditions):
                alternatives.append((conditions, self.evaluate(branch, frame)))
        return choose(alternatives, node)

    def _NamedExpr(self, node: ast.NamedExpr, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame)
        self.assign(node.target, value, frame)
        return value

    def _Lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        return self.function(node, frame)

    def function(self, node: ast.FunctionDef | ast.Lambda, frame: Frame) -> Function:
        """Return the function that a definition makes, its defaults evaluated."""
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults))
        pairs += [(arg, default) for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults) if default]
        defaults = {argument.arg: self.evaluate(default, frame) for argument, default in pairs}
        enclosing = frame.parent if frame.is_class else frame
        return Function(node, frame.module, None if enclosing is frame.module.frame else enclosing, defaults)

    def _Starred(self, node: ast.Starred, frame: Frame) -> Value:
        return Unknown(node)

    def _Yield(self, node: ast.Yield, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame) if node.value else None
        scope: Frame | None = frame
        while scope is not None and scope.yields is None:
            scope = scope.parent
        if scope is not None and scope.yields is not None:
            extra = tuple(atom for atom in self.conditions[scope.conditions_before :])
            scope.yields.append(choose([(extra, value)], node) if extra else value)
        return None

    def _ListComp(self, node: ast.ListComp, frame: Frame) -> Value:
        return self._comprehension(node, [node.elt], frame)

    def _SetComp(self, node: ast.SetComp, frame: Frame) -> Value:
        return self._comprehension(node, [node.elt], frame)

    def _GeneratorExp(self, node: ast.GeneratorExp, frame: Frame) -> Value:
        return self._comprehension(node, [node.elt], frame)

    def _DictComp(self, node: ast.DictComp, frame: Frame) -> Value:
        pairs = self._comprehension(node, [node.key, node.value], frame)
        if isinstance(pairs, Unknown):
            return pairs
        try:
            return dict(pairs)
        except TypeError:
            return Unknown(node)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, parts: list[ast.expr], frame: Frame
    ) -> Value:
        """Return the items of a comprehension; a tuple for each if it has several parts."""
        inner = Frame(frame.module, frame, conditions_before=len(self.conditions))
        items: list[Value] = []
        known = True

        def element() -> None:
            values = [self.evaluate(part, inner) for part in parts]
            items.append(values[0] if len(values) == 1 else tuple(values))

        def rounds(index: int) -> None:
            nonlocal known
            if index == len(node.generators):
                element()
                return
            generator = node.generators[index]
            iterable = self.evaluate(generator.iter, frame if index == 0 else inner)
            values = self.iterate(iterable)
            if values is None:  # evaluated once for what it may register
                known = False
                text = f"for {source_text(generator.target)} in {source_text(generator.iter)}"
                self.unread_loop(source_text(generator.iter), node, [generator.target], inner)
                try:
                    with self.assuming((Atom(text, f"not ({text})"),)):
                        rounds(index + 1)
                finally:
                    self.leave_loop()
                return
            for value in values:
                self.step()
                self.assign(generator.target, value, inner)
                conditions: Conditions = ()
                wanted = True
                for test in generator.ifs:
                    verdict, holds, _ = self.decide(test, inner)
                    wanted = wanted and verdict is not False
                    conditions += holds if verdict is None else ()
                if wanted:
                    before = len(items)
                    with self.assuming(conditions):
                        rounds(index + 1)
                    if conditions:
                        items[before:] = [choose([(conditions, item)], node) for item in items[before:]]

        rounds(0)
        return items if known else Unknown(node)

    def _Call(self, node: ast.Call, frame: Frame) -> Value:
        callee = self.evaluate(node.func, frame)
        return self.call(callee, self.arguments(node, frame), node, frame)

    def arguments(self, node: ast.Call, frame: Frame) -> Arguments:
        """Evaluate the arguments of a call, with `*` and `**` spread."""
        arguments = Arguments()
        for positional in node.args:
            if not isinstance(positional, ast.Starred):
                arguments.positional.append(self.evaluate(positional, frame))
                continue
            items = self.iterate(self.evaluate(positional.value, frame))
            if items is None:
                arguments.rest = Unknown(positional.value)
                break  # what follows has no known position
            arguments.positional += items
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, frame)
            if keyword.arg is not None:
                arguments.keywords[keyword.arg] = value
            elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
                arguments.keywords.update(value)
            else:
                arguments.rest = value if isinstance(value, Unknown) else Unknown(keyword.value)
        return arguments

    def iterate(self, value: Value) -> list[Value] | None:
        """Return what a loop over a value sees; None if it is unknown."""
        if isinstance(value, Local):
            items = self.iterate(value.value)
            return None if items is None else [Local(item, value.source) for item in items]
        if isinstance(value, ClassValue):  # an Enum gives its members
            is_enum = any(isinstance(base, External) and base.dotted.startswith("enum.") for base in value.bases)
            members = [item for name, item in value.attributes.items() if not name.startswith("_") and is_plain(item)]
            return members if is_enum else None
        if isinstance(value, Instance) and value.of.fields:
            return [value.attributes[name] for name in value.of.fields]
        return environment.iterate(value)


def _condition(test: ast.expr, value: Value) -> Atom:
    """Return the condition that a test holds, in the words in which it was first asked."""
    if isinstance(value, Local) and isinstance(value.value, bool):
        return value.as_condition()
    return condition(source_text(test), truth(here(value)))


def _is(one: Value, other: Value) -> bool | None:
    """Answer `one is other` for None, True and False; None if unknown."""
    for value, counterpart in ((one, other), (other, one)):
        if value is None or isinstance(value, bool):
            if is_plain(counterpart):
                return value is counterpart
            if isinstance(counterpart, (*_CERTAIN, Identity, list, tuple, dict)):
                return False
    return True if same(one, other) and isinstance(one, _CERTAIN) else None
