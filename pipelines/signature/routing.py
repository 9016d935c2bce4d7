"""Where `_sanitize_parameters` sends its parameters, followed through its source.

The method is walked statement by statement, with values that know the parameters they are made of. Both branches of
every condition are walked; beside that each value keeps what it would be if no parameter were given, since that is a
parameter's effective default. Calls of `super()._sanitize_parameters`, and of own helpers that get the dictionaries,
are walked too. It is no interpreter: nothing is executed, and loops over unknown things are walked once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipesmith.pipelines.signature.classes import STAGES, ClassSource, Lineage, Method, named_arguments
from pipesmith.pipelines.signature.constants import UNKNOWN, EnumMember, constant
from pipesmith.pipelines.signature.names import Definition, Function, is_enum, last_name, lookup_constant, resolve

_MOST_STEPS = 20_000
_DEEPEST_CALL = 5


@dataclass(eq=False)
class Value:
    """What is known of a value.

    Args:
        origins: the parameters that it is made of, its entries aside.
        default: what it is when no parameter is given; UNKNOWN if only running would tell.
        same: the parameter whose value it is, unchanged.
        entries: the keys written into it, if it is a dictionary.
        items: its items, if it is a tuple or list that is written out.
        rest: for (a copy of) the var-keyword, the keys that are not in it; None for anything else.
        any_key: for the key of a loop over the var-keyword, the keys that it is not; None for anything else.
    """

    origins: set[str] = field(default_factory=set)
    default: object = UNKNOWN
    same: str | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Value] | None = None
    rest: set[str] | None = None
    any_key: set[str] | None = None

    def all_origins(self, seen: frozenset[int] = frozenset()) -> set[str]:
        """Return the parameters that it is made of, those of its entries included."""
        if id(self) in seen:
            return set()
        seen = seen | {id(self)}
        found = set(self.origins)
        for entry in self.entries.values():
            found |= entry.value.all_origins(seen)
        for item in self.items or ():
            found |= item.all_origins(seen)
        return found

    @property
    def is_dictionary(self) -> bool:
        return self.rest is not None or bool(self.entries)


@dataclass(eq=False)
class Entry:
    """A value under a key, and whether it is written when no parameter is given (None: not known)."""

    value: Value
    by_default: bool | None


@dataclass(frozen=True)
class Given:
    """A parameter that can be given.

    Args:
        name: its name.
        owner: the class whose `_sanitize_parameters` reads it.
        annotation: its annotation there.
        default: its default there, or None.
        file: the file that holds annotation and default.
    """

    name: str
    owner: ClassSource
    annotation: ast.expr | None
    default: object
    file: Path


@dataclass(frozen=True)
class Route:
    """One way of a parameter into a stage.

    Args:
        key: the argument of the stage; None if the parameter's own keys are merged in.
        is_same: whether the stage gets the parameter's value as it is, or a value that keeps its name.
        is_inner: whether the parameter is only part of what the argument holds: a key of a dictionary.
        by_default: whether the key is passed when no parameter is given (None: not known).
        default: what is passed then.
    """

    parameter: str
    stage: str
    key: str | None
    is_same: bool
    is_inner: bool
    by_default: bool | None
    default: object


@dataclass
class Routing:
    """Parameters of a `_sanitize_parameters` and their ways.

    Args:
        given: the parameters by name, in the order they are found.
        routes: their ways into the stages.
        keys: for each stage the keys written, whatever they are made of.
        rest: for each stage that unknown parameters reach, the names that do not get there.
        refused: unknown parameters raise a TypeError.
        used: parameters that are read at all.
        checks: closed sets of values that a check with `raise` shows.
        enums: enumerations that the method makes of a parameter: `Mode[mode.upper()]`.
        members: enumerations whose members the method puts in the place of a parameter.
        kinds: types that `isinstance` checks show; "list" if a single value is put into a list.
        notes: what could not be read.
    """

    given: dict[str, Given] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    keys: dict[str, set[str]] = field(default_factory=dict)
    rest: dict[str, set[str]] = field(default_factory=dict)
    refused: bool = False
    used: set[str] = field(default_factory=set)
    checks: dict[str, list[object]] = field(default_factory=dict)
    enums: dict[str, ast.ClassDef] = field(default_factory=dict)
    members: dict[str, ast.ClassDef] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, file: Path, node: ast.AST, text: str) -> None:
        line = f"{file}:{getattr(node, 'lineno', 1)}: {text}"
        if line not in self.notes:
            self.notes.append(line)


def read_routing(lineage: Lineage, method: Method) -> Routing:
    """Follow the parameters of a class's `_sanitize_parameters`."""
    routing = Routing()
    if method.node is None:
        routing.note(method.file, method.owner.node, f"{method.name} is set to something that was not read")
        return routing
    walk = _Walk(lineage, routing)
    result = walk.run_root(method)
    _collect(routing, result, method)
    return routing


def _collect(routing: Routing, result: Value, method: Method) -> None:
    """Turn the three dictionaries that the method returns into routes."""
    if result.items is None or len(result.items) != len(STAGES):
        assert method.node is not None
        routing.note(method.file, method.node, "what _sanitize_parameters returns was not read")
        return
    for stage, value in zip(STAGES, result.items, strict=True):
        routing.keys[stage] = set(value.entries)
        routing.routes += [Route(name, stage, None, False, False, None, UNKNOWN) for name in sorted(value.origins)]
        for key, entry in value.entries.items():
            for name in sorted(entry.value.all_origins()):
                is_same = entry.value.same == name or key == name
                is_inner = not is_same and name not in entry.value.origins
                default = entry.value.default
                routing.routes.append(Route(name, stage, key, is_same, is_inner, entry.by_default, default))
        if value.rest is not None:
            routing.rest[stage] = value.rest
    for stage, missing in routing.rest.items():  # a key that is read and not popped travels on with the rest
        for name in routing.given:
            if name not in missing and not any(route.stage == stage for route in routes_of(routing, name)):
                routing.routes.append(Route(name, stage, name, True, False, False, UNKNOWN))


def routes_of(routing: Routing, name: str) -> list[Route]:
    """Return the ways of one parameter."""
    return [route for route in routing.routes if route.parameter == name]


@dataclass
class _Frame:
    """One function that is being walked.

    Args:
        names: its local names.
        guards: the parameters that each enclosing condition reads, outermost first.
        reached: whether this point is reached when no parameter is given (None: not known).
        returned: the values of its return statements.
    """

    file: Path
    owner: ClassSource
    receiver: str | None
    names: dict[str, Value]
    guards: list[set[str]] = field(default_factory=list)
    reached: bool | None = True
    returned: list[Value] = field(default_factory=list)


class _Walk:
    """Walks functions; see the module's docstring."""

    def __init__(self, lineage: Lineage, routing: Routing) -> None:
        self.lineage = lineage
        self.routing = routing
        self.steps = 0
        self.depth = 0
        self.guards_of_any_key: int | None = None  # set while a loop over the var-keyword is at a key of no name
        self._set_on_self: set[str] | None = None

    # functions

    def run_root(self, method: Method) -> Value:
        """Walk the `_sanitize_parameters` of the class itself."""
        assert method.node is not None
        anything = Value(rest=set(), default={})
        return self._call(method.node, method.file, method.owner, {}, anything, bound=not method.is_static)

    def _call(
        self,
        node: Function,
        file: Path,
        owner: ClassSource,
        bound_values: dict[str, Value],
        spread: Value | None,
        *,
        bound: bool,
    ) -> Value:
        """Walk a function whose arguments are `bound_values` and, for the others, what `spread` holds."""
        named, defaults, keywords = named_arguments(node, bound=bound)
        names: dict[str, Value] = {}
        for argument in named:
            if argument.arg in bound_values:
                names[argument.arg] = bound_values[argument.arg]
            else:
                names[argument.arg] = self._argument(argument, defaults.get(argument.arg), spread, file, owner)
        if keywords:
            names[keywords] = self._keywords(names, bound_values, spread)
        elif spread is not None and spread.rest is not None:
            self.routing.refused = True
        receiver = node.args.args[0].arg if bound and node.args.args else None
        frame = _Frame(file, owner, receiver, names)
        if isinstance(node, ast.Lambda):
            return self._evaluate(node.body, frame)
        self._run(node.body, frame)
        result = frame.returned[0] if frame.returned else Value(default=None)
        for other in frame.returned[1:]:
            result = _join(result, other)
        return result

    def _argument(
        self, argument: ast.arg, default: ast.expr | None, spread: Value | None, file: Path, owner: ClassSource
    ) -> Value:
        known = constant(default, partial(lookup_constant, file)) if default is not None else None
        name = argument.arg
        if spread is None:
            return Value(default=known)
        if spread.rest is None or name in spread.rest:
            return spread.entries[name].value if name in spread.entries else Value(default=known)
        self.routing.given.setdefault(name, Given(name, owner, argument.annotation, known, file))
        value = Value(origins={name}, default=known, same=name)
        return _join(value, spread.entries[name].value) if name in spread.entries else value

    def _keywords(self, named: dict[str, Value], bound: dict[str, Value], spread: Value | None) -> Value:
        """Build the var-keyword of a called function: what its named arguments leave of the keywords given."""
        left = Value(default={})
        if spread is not None:
            left.origins |= spread.origins
            left.entries = {key: entry for key, entry in spread.entries.items() if key not in named}
            left.rest = None if spread.rest is None else spread.rest | set(named)
        for key, value in bound.items():
            if key not in named:
                left.entries[key] = Entry(value, True)
        return left

    # statements

    def _run(self, body: list[ast.stmt], frame: _Frame) -> bool:
        """Walk statements; return whether they always leave the function or loop."""
        for statement in body:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                self.routing.note(frame.file, statement, "too long to be read to its end")
                return True
            if self._statement(statement, frame):
                return True
        return False

    def _statement(self, statement: ast.stmt, frame: _Frame) -> bool:
        if isinstance(statement, ast.Return):
            value = self._evaluate(statement.value, frame) if statement.value else Value(default=None)
            frame.returned.append(value)
            return True
        if isinstance(statement, ast.Raise):
            if self.guards_of_any_key == len(frame.guards):  # for k in kwargs: if k not in (...): raise
                self.routing.refused = True
            return True
        if isinstance(statement, (ast.Continue, ast.Break)):
            return True
        if isinstance(statement, ast.Assign):
            value = self._evaluate(statement.value, frame)
            for target in statement.targets:
                self._assign(target, value, frame)
        elif isinstance(statement, ast.AnnAssign):
            if statement.value is not None:
                self._assign(statement.target, self._evaluate(statement.value, frame), frame)
        elif isinstance(statement, ast.AugAssign):
            self._augment(statement, frame)
        elif isinstance(statement, ast.If):
            return self._if(statement, frame)
        elif isinstance(statement, (ast.For, ast.AsyncFor)):
            self._loop(
                statement.target, statement.iter, statement.body, frame, lambda: self._run(statement.body, frame)
            )
            self._run(statement.orelse, frame)
        elif isinstance(statement, ast.While):
            with self._guarded(frame, self._evaluate(statement.test, frame), reached=None):
                self._run(statement.body, frame)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            for item in statement.items:
                value = self._evaluate(item.context_expr, frame)
                if item.optional_vars is not None:
                    self._assign(item.optional_vars, value, frame)
            return self._run(statement.body, frame)
        elif isinstance(statement, ast.Try):
            self._try(statement, frame)
        elif isinstance(statement, ast.Match):
            self._match(statement, frame)
        elif isinstance(statement, ast.Delete):
            self._delete(statement, frame)
        elif isinstance(statement, ast.Expr):
            self._evaluate(statement.value, frame)
        elif isinstance(statement, ast.Assert):
            self._evaluate(statement.test, frame)
        return False

    def _if(self, statement: ast.If, frame: _Frame) -> bool:
        test = self._evaluate(statement.test, frame)
        truth = None if test.default is UNKNOWN else bool(test.default)
        depends = test.origins or test.rest is not None or test.any_key is not None
        if truth is not None and not depends:  # decided, whatever is given
            return self._run(statement.body if truth else statement.orelse, frame)
        leaves = _leaves_by_raise(statement.body)
        if leaves:
            self._check(statement.test, frame)
            self.routing.refused |= isinstance(statement.test, ast.Name) and test.rest is not None  # if kwargs: raise
        before = frame.reached
        with self._guarded(frame, test, reached=_both(before, truth)):
            ended = self._run(statement.body, frame)
        # what follows a check that raises does not depend on what is checked
        with self._guarded(frame, Value() if leaves else test, reached=_both(before, _negated(truth))):
            else_ended = self._run(statement.orelse, frame)
        if ended and else_ended:
            return True
        if (ended and not leaves) or else_ended:
            frame.reached = _both(before, _negated(truth) if ended else truth)
        return False

    def _check(self, test: ast.expr, frame: _Frame) -> None:
        """Note the closed set in `if x not in ["a", "b"]: raise`, also after `x is not None and`."""
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        *others, last = parts
        if not (isinstance(last, ast.Compare) and isinstance(last.left, ast.Name) and len(last.ops) == 1):
            return
        if any(not (isinstance(one, ast.Compare) and isinstance(one.ops[0], ast.IsNot)) for one in others):
            return
        name = self._evaluate(last.left, frame).same
        allowed = self._evaluate(last.comparators[0], frame).default
        if name is None or allowed is UNKNOWN:
            return
        if isinstance(last.ops[0], ast.NotIn) and isinstance(allowed, (list, tuple)):
            self.routing.checks[name] = list(allowed)
        elif isinstance(last.ops[0], ast.NotEq) and isinstance(allowed, str):
            self.routing.checks[name] = [allowed]

    def _try(self, statement: ast.Try, frame: _Frame) -> None:
        ended = self._run(statement.body, frame)
        for handler in statement.handlers:
            with self._guarded(frame, Value(), reached=None):
                self._run(handler.body, frame)
        if not ended:
            self._run(statement.orelse, frame)
        self._run(statement.finalbody, frame)

    def _match(self, statement: ast.Match, frame: _Frame) -> None:
        subject = self._evaluate(statement.subject, frame)
        for case in statement.cases:
            with self._guarded(frame, subject, reached=None):
                self._run(case.body, frame)

    def _delete(self, statement: ast.Delete, frame: _Frame) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Subscript):
                container = self._evaluate(target.value, frame)
                key = self._evaluate(target.slice, frame).default
                if isinstance(key, str):
                    container.entries.pop(key, None)
                    if container.rest is not None:
                        self._read_key(container, key, None, target, frame)
                        container.rest.add(key)

    def _augment(self, statement: ast.AugAssign, frame: _Frame) -> None:
        value = self._evaluate(statement.value, frame)
        if isinstance(statement.op, ast.BitOr):  # d |= other
            self._merge(self._evaluate(statement.target, frame), value, frame)
            return
        old = self._evaluate(statement.target, frame)
        self._assign(statement.target, _made_of([old, value]), frame)

    @contextmanager
    def _guarded(self, frame: _Frame, test: Value, *, reached: bool | None) -> Iterator[None]:
        before = frame.reached
        frame.reached = reached
        frame.guards.append(test.all_origins())
        try:
            yield
        finally:
            frame.guards.pop()
            frame.reached = before

    # loops

    def _loop(
        self,
        target: ast.expr,
        iterable: ast.expr,
        body: list[ast.stmt] | list[ast.expr],
        frame: _Frame,
        run: Callable[[], object],
    ) -> None:
        """Walk a loop or comprehension: once per item if they are written out, once per key of the var-keyword."""
        source, what = self._iterated(iterable, frame)
        if source.rest is not None:
            self._loop_over_rest(target, source, what, body, frame, run)
            return
        items = source.items
        if items is None and isinstance(source.default, (list, tuple)) and not source.origins:
            items = [Value(default=item) for item in source.default]
        if items is None and isinstance(source.default, dict) and source.default and not source.origins:
            pairs = source.default.items()
            items = [_key_or_pair(Value(default=key), Value(default=value), what) for key, value in pairs]
        if items is None and source.entries and not source.origins:
            pairs_of = source.entries.items()
            items = [_key_or_pair(Value(default=key), entry.value, what) for key, entry in pairs_of]
        if items is not None:
            for item in items:
                self._bind(target, item, frame)
                run()
            return
        with self._guarded(frame, source, reached=None):
            self._bind(target, _made_of([source]), frame)
            run()

    def _iterated(self, node: ast.expr, frame: _Frame) -> tuple[Value, str]:
        """Return what a loop goes over, and of a dictionary: "keys", "values" or "items"."""
        if isinstance(node, ast.Call) and not node.keywords:
            if isinstance(node.func, ast.Name) and node.func.id in ("list", "tuple", "sorted", "set") and node.args:
                return self._iterated(node.args[0], frame)
            if isinstance(node.func, ast.Attribute) and not node.args:
                if node.func.attr in ("items", "keys", "values"):
                    return self._evaluate(node.func.value, frame), node.func.attr
                if node.func.attr == "copy":
                    return self._iterated(node.func.value, frame)
        return self._evaluate(node, frame), "keys"

    def _loop_over_rest(
        self,
        target: ast.expr,
        source: Value,
        what: str,
        body: list[ast.stmt] | list[ast.expr],
        frame: _Frame,
        run: Callable[[], object],
    ) -> None:
        assert source.rest is not None
        key_target = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else target
        literals = self._compared_with(key_target.id, body, frame) if isinstance(key_target, ast.Name) else []
        for name in literals:
            value = self._read_key(source, name, None, target, frame)
            with self._guarded(frame, value, reached=False):
                self._bind(target, _key_or_pair(Value(default=name), value, what), frame)
                run()
        others = set(source.rest) | set(literals)
        with self._guarded(frame, Value(), reached=False):
            anything = Value(any_key=others), Value(any_key=others)
            self._bind(target, _key_or_pair(*anything, what), frame)
            self.guards_of_any_key = len(frame.guards)
            run()
            self.guards_of_any_key = None

    def _compared_with(self, name: str, body: list[ast.stmt] | list[ast.expr], frame: _Frame) -> list[str]:
        """Collect the strings that a loop's key is compared with."""
        found: dict[str, None] = {}
        for node in (one for part in body for one in ast.walk(part)):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == name:
                value = self._evaluate(node.comparators[0], frame).default
                options = [value] if isinstance(value, str) else value
                if isinstance(options, (list, tuple, dict)):
                    found.update((option, None) for option in options if isinstance(option, str))
        return list(found)

    # assignments

    def _bind(self, target: ast.expr, value: Value, frame: _Frame) -> None:
        """Give a loop's names the values of one turn, whatever they held in the turn before."""
        if isinstance(target, ast.Name):
            frame.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)) and value.items is not None:
            for one, item in zip(target.elts, value.items, strict=False):
                self._bind(one, item, frame)
        else:
            self._assign(target, value, frame)

    def _assign(self, target: ast.expr, value: Value, frame: _Frame) -> None:
        if isinstance(target, ast.Name):
            old = frame.names.get(target.id)
            if old is not None and old.same is not None and isinstance(value.default, EnumMember):
                self.routing.members[old.same] = value.default.enum
            frame.names[target.id] = self._settled(frame.names.get(target.id), value, frame)
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = value.items
            if items is None and isinstance(value.default, (list, tuple)):
                items = [Value(set(value.origins), item) for item in value.default]
            for index, one in enumerate(target.elts):
                item = items[index] if items is not None and index < len(items) else _made_of([value])
                self._assign(one.value if isinstance(one, ast.Starred) else one, item, frame)
        elif isinstance(target, ast.Subscript):
            container = self._evaluate(target.value, frame)
            key = self._evaluate(target.slice, frame)
            self._write(container, key, value, target, frame)
        elif isinstance(target, ast.Attribute):
            self._evaluate(target.value, frame)

    def _settled(self, old: Value | None, new: Value, frame: _Frame) -> Value:
        """Return what a name holds after an assignment that may or may not happen."""
        new = self._explained(new, frame)
        if old is None or (frame.reached is True and not any(frame.guards)):
            return new
        joined = _join(old, new)
        joined.default = new.default if frame.reached is True else UNKNOWN if frame.reached is None else old.default
        return joined

    def _explained(self, value: Value, frame: _Frame) -> Value:
        """Give a value that is made of no parameter those of the innermost condition that decides about it."""
        guard = next((one for one in reversed(frame.guards) if one), None)
        if guard is None or value.rest is not None or value.any_key is not None or value.items is not None:
            return value
        if value.all_origins() or (isinstance(value.default, dict) and not value.default):
            return value
        return Value(set(guard), value.default, None, value.entries)

    def _write(self, container: Value, key: Value, value: Value, node: ast.AST, frame: _Frame) -> None:
        """`container[key] = value`."""
        if isinstance(key.default, int) and container.items is not None and key.default < len(container.items):
            container.items[key.default] = value
        elif isinstance(key.default, str):
            self._write_key(container, key.default, value, frame)
        elif key.any_key is not None:  # one of the keys that the loop goes over, unchanged
            container.rest = set(key.any_key) if container.rest is None else container.rest & key.any_key
        else:
            container.origins |= value.all_origins()
            self.routing.note(frame.file, node, f"a key that is decided at run time ({ast.unparse(node)})")

    def _write_key(self, container: Value, key: str, value: Value, frame: _Frame) -> None:
        value = self._explained(value, frame)
        container.default = UNKNOWN
        old = container.entries.get(key)
        if frame.reached is True and not any(frame.guards):
            container.entries[key] = Entry(value, True)
            return
        if frame.reached is True or old is None:
            by_default: bool | None = frame.reached
            default = value.default
        elif frame.reached is False:
            by_default, default = old.by_default, old.value.default
        else:
            by_default, default = None, UNKNOWN
        if old is not None:
            value = _join(old.value, value)
            value.default = default
        container.entries[key] = Entry(value, by_default)

    def _merge(self, container: Value, other: Value, frame: _Frame) -> None:
        """`container.update(other)`."""
        container.origins |= other.origins
        if other.all_origins() or other.is_dictionary:
            container.default = UNKNOWN
        for key, entry in other.entries.items():
            reached = _both(frame.reached, entry.by_default)
            if reached is True or key not in container.entries:
                container.entries[key] = Entry(entry.value, reached)
            else:
                old = container.entries[key]
                joined = _join(old.value, entry.value)
                joined.default = old.value.default if reached is False else UNKNOWN
                container.entries[key] = Entry(joined, old.by_default if reached is False else None)
        if other.rest is not None:
            container.rest = set(other.rest) if container.rest is None else container.rest & other.rest

    # expressions

    def _evaluate(self, node: ast.expr, frame: _Frame) -> Value:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            return Value()
        if isinstance(node, ast.Name):
            return self._name(node, frame)
        if isinstance(node, ast.Constant):
            return Value(default=node.value)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, frame)
        if isinstance(node, ast.Dict):
            return self._dict(node, frame)
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return self._sequence(node, frame)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, frame)
        if isinstance(node, ast.Call):
            return self._called(node, frame)
        if isinstance(node, ast.Compare):
            return self._compare(node, frame)
        if isinstance(node, ast.BoolOp):
            return self._bool(node, frame)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, frame)
        if isinstance(node, ast.IfExp):
            return self._conditional(node, frame)
        if isinstance(node, ast.BinOp):
            return self._binary(node, frame)
        if isinstance(node, ast.NamedExpr):
            value = self._evaluate(node.value, frame)
            self._assign(node.target, value, frame)
            return value
        if isinstance(node, ast.DictComp):
            return self._dict_comprehension(node, frame)
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return self._comprehension(node, frame)
        if isinstance(node, ast.Lambda):
            return Value()
        parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return _made_of([self._evaluate(part, frame) for part in parts])

    def _name(self, node: ast.Name, frame: _Frame) -> Value:
        value = frame.names.get(node.id)
        if value is None:
            return Value(default=lookup_constant(frame.file, node))
        self.routing.used |= value.origins
        return value

    def _attribute(self, node: ast.Attribute, frame: _Frame) -> Value:
        if isinstance(node.value, ast.Name) and node.value.id in (frame.receiver, "cls"):
            return Value(default=self._class_constant(node.attr))
        if isinstance(node.value, ast.Name) and node.value.id not in frame.names:
            return Value(default=lookup_constant(frame.file, node))
        return _made_of([self._evaluate(node.value, frame)])

    def _class_constant(self, name: str) -> object:
        """A constant written in the class (`self.KEYS`), unless a method of the class sets it."""
        if self._set_on_self is None:
            nodes = (node for source in self.lineage.sources for node in ast.walk(source.node))
            stored = (node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
            self._set_on_self = {node.attr for node in stored}
        if name in self._set_on_self:
            return UNKNOWN
        for source in self.lineage.sources:
            for statement in source.node.body:
                if isinstance(statement, ast.Assign) and any(last_name(one) == name for one in statement.targets):
                    return constant(statement.value, partial(lookup_constant, source.file))
        return UNKNOWN

    def _dict(self, node: ast.Dict, frame: _Frame) -> Value:
        made = Value(default={} if not node.keys else UNKNOWN)
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            value = self._evaluate(value_node, frame)
            if key_node is None:
                self._merge_free(made, value)
                continue
            key = self._evaluate(key_node, frame).default
            if isinstance(key, str):
                made.entries[key] = Entry(value, True)
            else:
                made.origins |= value.all_origins()
        if not made.all_origins() and made.rest is None:
            made.default = constant(node, partial(lookup_constant, frame.file))
        return made

    def _merge_free(self, made: Value, other: Value) -> None:
        """Merge into a dictionary that is just being made: no condition stands between."""
        made.origins |= other.origins
        made.entries.update(other.entries)
        if other.rest is not None:
            made.rest = set(other.rest) if made.rest is None else made.rest & other.rest

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set, frame: _Frame) -> Value:
        items = [self._evaluate(item, frame) for item in node.elts]
        starred = any(isinstance(item, ast.Starred) for item in node.elts)
        defaults = [item.default for item in items]
        default: object = UNKNOWN if starred or any(one is UNKNOWN for one in defaults) else defaults
        if isinstance(node, ast.Tuple) and isinstance(default, list):
            default = tuple(default)
        made = Value(default=default, items=None if starred else items)
        if len(items) == 1 and items[0].same is not None:
            made.same = items[0].same
            self.routing.kinds.setdefault(items[0].same, set()).add("list")
        if starred:
            made.origins = _made_of(items).origins
        return made

    def _subscript(self, node: ast.Subscript, frame: _Frame) -> Value:
        container = self._evaluate(node.value, frame)
        key = self._evaluate(node.slice, frame)
        self._note_enum(node.value, key, frame)
        if isinstance(key.default, str) and (container.rest is not None or key.default in container.entries):
            return self._read_key(container, key.default, None, node, frame)
        if container.rest is not None and key.any_key is not None:
            return Value(any_key=set(key.any_key))
        if isinstance(key.default, str) and container.is_dictionary and not container.origins:
            created = Value()
            container.entries[key.default] = Entry(created, frame.reached)
            return created
        if (
            isinstance(key.default, int)
            and container.items
            and -len(container.items) <= key.default < len(container.items)
        ):
            return container.items[key.default]
        return _made_of([container, key])

    def _read_key(self, container: Value, key: str, default: Value | None, node: ast.AST, frame: _Frame) -> Value:
        """Read a key, with `default` for `.get(key, default)`."""
        entry = container.entries.get(key)
        if container.rest is None or key in container.rest:
            if entry is not None:
                return entry.value
            return default if default is not None else Value(set(container.origins))
        known = default.default if default is not None else None
        self.routing.given.setdefault(key, Given(key, frame.owner, None, known, frame.file))
        self.routing.used.add(key)
        value = Value({key}, known, key)
        if entry is None:
            return value
        joined = _join(value, entry.value)
        joined.default = entry.value.default if entry.by_default else known
        return joined

    def _compare(self, node: ast.Compare, frame: _Frame) -> Value:
        left = self._evaluate(node.left, frame)
        rights = [self._evaluate(one, frame) for one in node.comparators]
        op, right = node.ops[0], rights[0]
        if isinstance(op, (ast.In, ast.NotIn)) and len(rights) == 1:
            truth = self._contains(left, right, node, frame)
            if truth is not None:
                if isinstance(op, ast.NotIn) and truth.default is not UNKNOWN:
                    truth.default = not truth.default
                return truth
        made = _made_of([left, *rights])
        if len(rights) == 1:
            made.default = _compared(left.default, op, right.default)
        if any(one.any_key is not None for one in (left, right)):
            # the key of a loop: the strings that it is compared with are walked on their own
            made.default = isinstance(op, (ast.NotIn, ast.NotEq)) if right.default is not UNKNOWN else UNKNOWN
            made.any_key = None if right.default is not UNKNOWN else set()
        return made

    def _contains(self, left: Value, right: Value, node: ast.Compare, frame: _Frame) -> Value | None:
        """`"key" in kwargs`: a reading of the key."""
        if not isinstance(left.default, str) or left.origins:
            return None
        key = left.default
        if right.rest is not None and key not in right.rest:
            value = self._read_key(right, key, None, node, frame)
            entry = right.entries.get(key)
            return Value(set(value.origins), False if entry is None else entry.by_default or False)
        if key in right.entries:
            by_default = right.entries[key].by_default
            return Value(right.entries[key].value.all_origins(), UNKNOWN if by_default is None else by_default)
        if right.is_dictionary and not right.origins:
            return Value(default=False)
        return None

    def _bool(self, node: ast.BoolOp, frame: _Frame) -> Value:
        values = [self._evaluate(one, frame) for one in node.values]
        made = values[0]
        for value in values[1:]:
            made = _join(made, value)
        made.default = UNKNOWN
        for value in values:
            if value.default is UNKNOWN:
                break
            made.default = value.default
            if bool(value.default) == isinstance(node.op, ast.Or):
                return made
        else:
            return made
        # `unknown and False` is False, whatever comes first
        deciding = [one for one in values if one.default is not UNKNOWN]
        made.default = UNKNOWN
        if isinstance(node.op, ast.And) and any(not one.default for one in deciding):
            made.default = False
        return made

    def _unary(self, node: ast.UnaryOp, frame: _Frame) -> Value:
        value = self._evaluate(node.operand, frame)
        made = _made_of([value])
        made.any_key = value.any_key
        if value.default is not UNKNOWN:
            default = value.default
            made.default = (not default) if isinstance(node.op, ast.Not) else constant(node)
        return made

    def _conditional(self, node: ast.IfExp, frame: _Frame) -> Value:
        test = self._evaluate(node.test, frame)
        body, orelse = self._evaluate(node.body, frame), self._evaluate(node.orelse, frame)
        made = _join(body, orelse)
        if test.default is UNKNOWN:
            made.default = UNKNOWN
        else:
            made.default = (body if test.default else orelse).default
        if not made.all_origins() and not made.is_dictionary:
            made.origins |= test.all_origins()
        return made

    def _binary(self, node: ast.BinOp, frame: _Frame) -> Value:
        left, right = self._evaluate(node.left, frame), self._evaluate(node.right, frame)
        if isinstance(node.op, ast.BitOr) and (left.is_dictionary or right.is_dictionary):
            made = Value()
            self._merge_free(made, left)
            self._merge_free(made, right)
            return made
        made = _made_of([left, right])
        if not made.origins:
            made.default = constant(node, partial(lookup_constant, frame.file))
        return made

    def _dict_comprehension(self, node: ast.DictComp, frame: _Frame) -> Value:
        made = Value()
        if len(node.generators) != 1:
            parts = [one.iter for one in node.generators]
            return _made_of([self._evaluate(part, frame) for part in parts])
        generator = node.generators[0]

        def run() -> None:
            reached = frame.reached
            tests = [self._evaluate(test, frame) for test in generator.ifs]
            if any(test.default is not UNKNOWN and not test.default and not test.origins for test in tests):
                return
            for test in tests:
                reached = _both(reached, None if test.default is UNKNOWN else bool(test.default))
            with self._guarded(frame, _made_of(tests), reached=reached):
                self._write(made, self._evaluate(node.key, frame), self._evaluate(node.value, frame), node, frame)

        self._loop(generator.target, generator.iter, [*generator.ifs, node.key, node.value], frame, run)
        return made

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: _Frame) -> Value:
        made = Value()

        def run() -> None:
            made.origins |= self._evaluate(node.elt, frame).all_origins()

        generator = node.generators[0]
        self._loop(generator.target, generator.iter, [node.elt], frame, run)
        return made

    # calls

    def _called(self, node: ast.Call, frame: _Frame) -> Value:
        if isinstance(node.func, ast.Attribute):
            method = self._super_call(node.func, frame)
            if method is not None and method.node is not None:
                return self._follow(
                    method.node, method.file, method.owner, node, frame, bound=_binds(node.func, method)
                )
            on_dictionary = self._dictionary_method(node.func, node, frame)
            if on_dictionary is not None:
                return on_dictionary
        if isinstance(node.func, ast.Name):
            made = self._builtin(node.func.id, node, frame)
            if made is not None:
                return made
        values = [self._evaluate(one.value if isinstance(one, ast.Starred) else one, frame) for one in node.args]
        values += [self._evaluate(one.value, frame) for one in node.keywords]
        if len(values) == 1:
            self._note_enum(node.func, values[0], frame)
        if any(value.is_dictionary for value in values):
            followed = self._helper_call(node, frame)
            if followed is not None:
                return followed
            if any(value.rest is not None for value in values):
                self.routing.note(
                    frame.file, node, f"{ast.unparse(node.func)}(...) gets the parameters and was not read"
                )
        if isinstance(node.func, ast.Attribute):
            values.append(self._evaluate(node.func.value, frame))
        return _made_of(values)

    def _note_enum(self, func: ast.expr, argument: Value, frame: _Frame) -> None:
        """`Mode[mode.upper()]`, `Mode(mode)`: the parameter is text for a member of Mode."""
        if len(argument.origins) != 1 or not isinstance(func, ast.Name) or func.id in frame.names:
            return
        found = resolve(frame.file, func)
        if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef) and is_enum(found.node):
            self.routing.enums[next(iter(argument.origins))] = found.node

    def _super_call(self, func: ast.Attribute, frame: _Frame) -> Method | None:
        """`super().method`, `Base.method`: the method that is meant."""
        if isinstance(func.value, ast.Call) and last_name(func.value.func) == "super":
            return self.lineage.method(func.attr, after=frame.owner)
        if func.attr == "_sanitize_parameters" and isinstance(func.value, (ast.Name, ast.Attribute)):
            found = resolve(frame.file, func.value)
            if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
                owners = [one for one in self.lineage.sources if one.node is found.node]
                return self.lineage.method(func.attr) if not owners else _method_of(self.lineage, owners[0], func.attr)
        return None

    def _helper_call(self, node: ast.Call, frame: _Frame) -> Value | None:
        """Follow `self.helper(...)` and a function of the user's that gets a dictionary."""
        if isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == frame.receiver:
                method = self.lineage.method(node.func.attr)
                if method is not None and method.node is not None:
                    return self._follow(method.node, method.file, method.owner, node, frame, bound=not method.is_static)
            return None
        found = resolve(frame.file, node.func)
        if isinstance(found, Definition) and isinstance(found.node, (ast.FunctionDef, ast.Lambda)):
            return self._follow(found.node, found.file, frame.owner, node, frame, bound=False)
        return None

    def _follow(
        self, node: Function, file: Path, owner: ClassSource, call: ast.Call, frame: _Frame, *, bound: bool
    ) -> Value:
        """Walk a function that is called, with the values of its arguments."""
        if self.depth >= _DEEPEST_CALL:
            return Value()
        named, _, _ = named_arguments(node, bound=bound)
        arguments = [one for one in call.args if not (isinstance(one, ast.Name) and one.id == frame.receiver)]
        values = {
            argument.arg: self._evaluate(value, frame)
            for argument, value in zip(named, arguments, strict=False)
            if not isinstance(value, ast.Starred)
        }
        spread: Value | None = None
        for keyword in call.keywords:
            value = self._evaluate(keyword.value, frame)
            if keyword.arg is not None:
                values[keyword.arg] = value
            else:
                spread = spread or Value()
                self._merge_free(spread, value)
        if spread is not None and spread.rest is not None:
            spread.rest = spread.rest | set(values)  # given twice is a TypeError
        self.depth += 1
        try:
            return self._call(node, file, owner, values, spread, bound=bound)
        finally:
            self.depth -= 1

    def _dictionary_method(self, func: ast.Attribute, node: ast.Call, frame: _Frame) -> Value | None:
        """`update`, `get`, `pop`, `setdefault`, `copy` of a dictionary."""
        if func.attr not in ("update", "get", "pop", "setdefault", "copy", "items", "keys", "values"):
            return None
        container = self._evaluate(func.value, frame)
        arguments = [self._evaluate(one, frame) for one in node.args if not isinstance(one, ast.Starred)]
        if func.attr == "update":
            for value in arguments:
                self._merge(container, value, frame)
            for keyword in node.keywords:
                value = self._evaluate(keyword.value, frame)
                if keyword.arg is None:
                    self._merge(container, value, frame)
                else:
                    self._write_key(container, keyword.arg, value, frame)
            return Value(default=None)
        if func.attr == "copy":
            made = Value()
            self._merge_free(made, container)
            return made
        if func.attr in ("items", "keys", "values") or not arguments:
            return None
        key = arguments[0]
        default = arguments[1] if len(arguments) > 1 else Value(default=None)
        if func.attr == "setdefault":
            if isinstance(key.default, str) and key.default not in container.entries:
                self._write_key(container, key.default, default, frame)
            return default
        if key.any_key is not None and container.rest is not None:
            return Value(any_key=set(key.any_key))
        if not isinstance(key.default, str) or not (container.is_dictionary or container.origins):
            return None
        value = self._read_key(container, key.default, default, node, frame)
        if func.attr == "pop":
            container.entries.pop(key.default, None)
            if container.rest is not None:
                container.rest.add(key.default)
        return value

    def _builtin(self, name: str, node: ast.Call, frame: _Frame) -> Value | None:
        if name == "dict":
            made = Value()
            for argument in node.args:
                self._merge_free(made, self._evaluate(argument, frame))
            for keyword in node.keywords:
                value = self._evaluate(keyword.value, frame)
                if keyword.arg is None:
                    self._merge_free(made, value)
                else:
                    made.entries[keyword.arg] = Entry(value, True)
            return made
        if name == "isinstance" and len(node.args) == 2:
            return self._isinstance(node.args[0], node.args[1], frame)
        if name in ("list", "tuple", "set", "frozenset") and len(node.args) == 1:
            value = self._evaluate(node.args[0], frame)
            default = list(value.default) if isinstance(value.default, (list, tuple)) else UNKNOWN
            return Value(set(value.origins), default, value.same, items=value.items)
        return None

    def _isinstance(self, subject: ast.expr, types: ast.expr, frame: _Frame) -> Value:
        value = self._evaluate(subject, frame)
        options = types.elts if isinstance(types, ast.Tuple) else [types]
        names = [last_name(option) for option in options]
        if value.same is not None:
            self.routing.kinds.setdefault(value.same, set()).update(name for name in names if name)
        made = _made_of([value])
        known = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict, "list": list, "tuple": tuple}
        if value.default is not UNKNOWN and all(name in known for name in names):
            made.default = isinstance(value.default, tuple(known[name] for name in names if name))
        elif value.default is None:
            made.default = False
        return made


def _method_of(lineage: Lineage, owner: ClassSource, name: str) -> Method | None:
    """Find what `Owner.name` is."""
    sources = lineage.sources
    place = [one.node for one in sources].index(owner.node)
    return Lineage(sources[place:]).method(name)


def _binds(func: ast.Attribute, method: Method) -> bool:
    return not method.is_static


def _key_or_pair(key: Value, value: Value, what: str) -> Value:
    if what == "items":
        return Value(items=[key, value])
    return value if what == "values" else key


def _join(one: Value, other: Value) -> Value:
    """Return a value that may be either."""
    made = Value(one.origins | other.origins)
    same = {value.same for value in (one, other) if value.same}
    if len(same) == 1:
        made.same = same.pop()
    made.entries = dict(one.entries)
    for key, entry in other.entries.items():
        known = made.entries.get(key)
        if known is None or known is entry:
            made.entries[key] = entry
        else:
            by_default = known.by_default if known.by_default is entry.by_default else None
            made.entries[key] = Entry(_join(known.value, entry.value), by_default)
    rests = [value.rest for value in (one, other) if value.rest is not None]
    if rests:
        made.rest = set.intersection(*rests)
    keys = [value.any_key for value in (one, other) if value.any_key is not None]
    if keys:
        made.any_key = set.intersection(*keys)
    if one.items is not None and other.items is not None and len(one.items) == len(other.items):
        made.items = [_join(left, right) for left, right in zip(one.items, other.items, strict=True)]
    else:
        for value in (one, other):
            for item in value.items or ():
                made.origins |= item.all_origins()
    return made


def _made_of(values: list[Value]) -> Value:
    """Return a value that is computed from others."""
    origins: set[str] = set()
    for value in values:
        origins |= value.all_origins()
    keys = [value.any_key for value in values if value.any_key is not None]
    return Value(origins, any_key=set.intersection(*keys) if keys else None)


def _compared(left: object, op: ast.cmpop, right: object) -> object:
    """Compare two constants; UNKNOWN if one of them is, or if they cannot be compared."""
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    try:
        if isinstance(op, (ast.Is, ast.Eq)):
            return left is right if right is None else left == right
        if isinstance(op, (ast.IsNot, ast.NotEq)):
            return left is not right if right is None else left != right
        if isinstance(op, ast.In):
            return left in right  # type: ignore[operator]  # a TypeError says that it has no items
        if isinstance(op, ast.NotIn):
            return left not in right  # type: ignore[operator]
        if isinstance(op, ast.Lt):
            return left < right  # type: ignore[operator]
        if isinstance(op, ast.LtE):
            return left <= right  # type: ignore[operator]
        if isinstance(op, ast.Gt):
            return left > right  # type: ignore[operator]
        return left >= right  # type: ignore[operator]
    except TypeError:
        return UNKNOWN


def _both(one: bool | None, other: bool | None) -> bool | None:
    """`one and other` where None is not known."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _leaves_by_raise(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise)
