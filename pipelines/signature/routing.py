"""Where `_sanitize_parameters` sends its parameters, followed through its source.

The method is walked statement by statement, with values that know the parameters they are made of. Both branches of
every condition are walked; beside that each value keeps what it would be if no parameter were given, since that is a
parameter's effective default. Calls of `super()._sanitize_parameters`, and of own helpers that get the dictionaries,
are walked too. It is no interpreter: nothing is executed, and loops over unknown things are walked once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipesmith.pipelines.signature.classes import STAGES, ClassSource, Lineage, Method, named_arguments
from pipesmith.pipelines.signature.constants import UNKNOWN, EnumMember, constant
from pipesmith.pipelines.signature.expressions import MOST_STEPS, Expressions
from pipesmith.pipelines.signature.names import Function, last_name, lookup_constant
from pipesmith.pipelines.signature.routes import Given, Route, Routing, routes_of
from pipesmith.pipelines.signature.values import Entry, Frame, Value, both, join, key_or_pair, made_of, negated


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
            fixed = [(key, entry) for key, entry in value.entries.items() if entry.by_default]
            routing.presets.update((key, entry.value.default) for key, entry in fixed if not entry.value.all_origins())
    for stage, missing in routing.rest.items():  # a key that is read and not popped travels on with the rest
        for name in routing.given:
            if name not in missing and not any(route.stage == stage for route in routes_of(routing, name)):
                routing.routes.append(Route(name, stage, name, True, False, False, UNKNOWN))


class _Walk(Expressions):
    """Walks functions; see the module's docstring."""

    def __init__(self, lineage: Lineage, routing: Routing) -> None:
        super().__init__(lineage, routing)
        self._guards_of_any_key: int | None = None  # set while a loop over the var-keyword is at a key of no name

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
        frame = Frame(file, owner, receiver, names)
        if isinstance(node, ast.Lambda):
            return self._evaluate(node.body, frame)
        self._run(node.body, frame)
        result = frame.returned[0] if frame.returned else Value(default=None)
        for other in frame.returned[1:]:
            result = join(result, other)
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
        return join(value, spread.entries[name].value) if name in spread.entries else value

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

    def _run(self, body: list[ast.stmt], frame: Frame) -> bool:
        """Walk statements; return whether they always leave the function or loop."""
        for statement in body:
            self.steps += 1
            if self.steps > MOST_STEPS:
                self.routing.note(frame.file, statement, "too long to be read to its end")
                return True
            if self._statement(statement, frame):
                return True
        return False

    def _statement(self, statement: ast.stmt, frame: Frame) -> bool:
        if isinstance(statement, ast.Return):
            value = self._evaluate(statement.value, frame) if statement.value else Value(default=None)
            frame.returned.append(value)
            return True
        if isinstance(statement, ast.Raise):
            if self._guards_of_any_key == len(frame.guards):  # for k in kwargs: if k not in (...): raise
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

    def _if(self, statement: ast.If, frame: Frame) -> bool:
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
        with self._guarded(frame, test, reached=both(before, truth)):
            ended = self._run(statement.body, frame)
        # what follows a check that raises does not depend on what is checked
        with self._guarded(frame, Value() if leaves else test, reached=both(before, negated(truth))):
            else_ended = self._run(statement.orelse, frame)
        if ended and else_ended:
            return True
        if (ended and not leaves) or else_ended:
            frame.reached = both(before, negated(truth) if ended else truth)
        return False

    def _check(self, test: ast.expr, frame: Frame) -> None:
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

    def _try(self, statement: ast.Try, frame: Frame) -> None:
        ended = self._run(statement.body, frame)
        for handler in statement.handlers:
            with self._guarded(frame, Value(), reached=None):
                self._run(handler.body, frame)
        if not ended:
            self._run(statement.orelse, frame)
        self._run(statement.finalbody, frame)

    def _match(self, statement: ast.Match, frame: Frame) -> None:
        subject = self._evaluate(statement.subject, frame)
        for case in statement.cases:
            with self._guarded(frame, subject, reached=None):
                self._run(case.body, frame)

    def _delete(self, statement: ast.Delete, frame: Frame) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Subscript):
                container = self._evaluate(target.value, frame)
                key = self._evaluate(target.slice, frame).default
                if isinstance(key, str):
                    container.entries.pop(key, None)
                    if container.rest is not None:
                        self._read_key(container, key, None, target, frame)
                        container.rest.add(key)

    def _augment(self, statement: ast.AugAssign, frame: Frame) -> None:
        value = self._evaluate(statement.value, frame)
        if isinstance(statement.op, ast.BitOr):  # d |= other
            self._merge(self._evaluate(statement.target, frame), value, frame.reached)
            return
        old = self._evaluate(statement.target, frame)
        self._assign(statement.target, made_of([old, value]), frame)

    # loops

    def _loop(
        self,
        target: ast.expr,
        iterable: ast.expr,
        body: Sequence[ast.AST],
        frame: Frame,
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
            items = [key_or_pair(Value(default=key), Value(default=value), what) for key, value in pairs]
        if items is None and source.entries and not source.origins:
            pairs_of = source.entries.items()
            items = [key_or_pair(Value(default=key), entry.value, what) for key, entry in pairs_of]
        if items is not None:
            for item in items:
                self._bind(target, item, frame)
                run()
            return
        with self._guarded(frame, source, reached=None):
            self._bind(target, made_of([source]), frame)
            run()

    def _iterated(self, node: ast.expr, frame: Frame) -> tuple[Value, str]:
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
        body: Sequence[ast.AST],
        frame: Frame,
        run: Callable[[], object],
    ) -> None:
        assert source.rest is not None
        key_target = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else target
        literals = self._compared_with(key_target.id, body, frame) if isinstance(key_target, ast.Name) else []
        for name in literals:
            value = self._read_key(source, name, None, target, frame)
            with self._guarded(frame, value, reached=False):
                self._bind(target, key_or_pair(Value(default=name), value, what), frame)
                run()
        others = set(source.rest) | set(literals)
        with self._guarded(frame, Value(), reached=False):
            anything = Value(any_key=others), Value(any_key=others)
            self._bind(target, key_or_pair(*anything, what), frame)
            self._guards_of_any_key = len(frame.guards)
            run()
            self._guards_of_any_key = None

    def _compared_with(self, name: str, body: Sequence[ast.AST], frame: Frame) -> list[str]:
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

    def _bind(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Give a loop's names the values of one turn, whatever they held in the turn before."""
        if isinstance(target, ast.Name):
            frame.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)) and value.items is not None:
            for one, item in zip(target.elts, value.items, strict=False):
                self._bind(one, item, frame)
        else:
            self._assign(target, value, frame)

    def _assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
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
                item = items[index] if items is not None and index < len(items) else made_of([value])
                self._assign(one.value if isinstance(one, ast.Starred) else one, item, frame)
        elif isinstance(target, ast.Subscript):
            container = self._evaluate(target.value, frame)
            key = self._evaluate(target.slice, frame)
            self._write(container, key, value, target, frame)
        elif isinstance(target, ast.Attribute) and last_name(target.value) == frame.receiver:
            name = f"self.{target.attr}"
            frame.names[name] = self._settled(frame.names.get(name), value, frame)

    def _settled(self, old: Value | None, new: Value, frame: Frame) -> Value:
        """Return what a name holds after an assignment that may or may not happen."""
        new = self._explained(new, frame)
        if old is None or (frame.reached is True and not any(frame.guards)):
            return new
        joined = join(old, new)
        joined.default = new.default if frame.reached is True else UNKNOWN if frame.reached is None else old.default
        return joined


def _leaves_by_raise(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise)
