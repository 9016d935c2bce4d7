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
from pipesmith.pipelines.signature.values import Entry, Frame, Value, both, either, join, key_or_pair, made_of, negated

_KEY_ERRORS = ("KeyError", "LookupError", "Exception", "BaseException")


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
        routing.unread |= set(STAGES)
        return
    for stage, value in zip(STAGES, result.items, strict=True):
        routing.keys[stage] = set(value.entries)
        routing.unread |= {stage} if value.unread else set()
        routing.routes += [Route(name, stage, None, False, False, None, UNKNOWN) for name in sorted(value.origins)]
        for key, entry in value.entries.items():
            if entry.value.unread and not entry.value.all_origins():
                routing.unread_keys.setdefault(stage, {})[key] = entry.by_default
            for name in sorted(entry.value.all_origins()):
                is_same = name in entry.value.sames or key == name
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
        return self._call(method.node, method.file, method.owner, {}, anything, None, bound=not method.is_static)

    def _call(
        self,
        node: Function,
        file: Path,
        owner: ClassSource,
        bound_values: dict[str, Value],
        spread: Value | None,
        caller: Frame | None,
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
        if node.args.vararg is not None:
            names[node.args.vararg.arg] = bound_values.pop(node.args.vararg.arg, Value(items=[]))
        if keywords:
            names[keywords] = self._keywords(names, bound_values, spread)
        elif spread is not None and spread.rest is not None:
            self.routing.refused = True
        receiver = node.args.args[0].arg if bound and node.args.args else None
        frame = Frame(file, owner, receiver, names)
        if caller is not None:
            frame.guards, frame.called, frame.sorting = list(caller.guards), caller.in_effect, caller.sorting
            if node in caller.functions.values():  # it sees the names around it
                frame.names = {**caller.names, **names}
                frame.receiver, frame.functions = receiver or caller.receiver, caller.functions
        if isinstance(node, ast.Lambda):
            return self._evaluate(node.body, frame)
        self._run(node.body, frame)
        result = frame.returned[0][0] if frame.returned else Value(default=None)
        for value, reached in frame.returned[1:]:
            result = either(reached, value, result)
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
        value = Value({name}, known, frozenset({name}))
        if known is UNKNOWN and default is not None:
            value.sentinel = ast.unparse(default)
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
            frame.returned.append((value, frame.reached))
            return True
        if isinstance(statement, ast.Raise):
            if self._guards_of_any_key == len(frame.guards):  # for k in kwargs: if k not in (...): raise
                self.routing.refused = True
            return True
        if isinstance(statement, (ast.Continue, ast.Break)):
            return True
        if isinstance(statement, ast.Assign):
            if isinstance(statement.value, ast.Lambda) and isinstance(statement.targets[0], ast.Name):
                frame.functions[statement.targets[0].id] = statement.value
                return False
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
            calls = [item.context_expr for item in statement.items if isinstance(item.context_expr, ast.Call)]
            suppressed = {last_name(one) for call in calls if last_name(call.func) == "suppress" for one in call.args}
            wanted = self._wanted_keys(statement.body, frame) if suppressed.intersection(_KEY_ERRORS) else set()
            if wanted:
                with self._guarded(frame, Value(wanted), reached=False):
                    return self._run(statement.body, frame)
            return self._run(statement.body, frame)
        elif isinstance(statement, ast.Try):
            self._try(statement, frame)
        elif isinstance(statement, ast.Match):
            self._match(statement, frame)
        elif isinstance(statement, ast.Delete):
            self._delete(statement, frame)
        elif isinstance(statement, ast.FunctionDef):
            frame.functions[statement.name] = statement
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
        caught = {
            last_name(handler.type) if handler.type else "BaseException": handler for handler in statement.handlers
        }
        key_error = next((caught[name] for name in _KEY_ERRORS if name in caught), None)
        wanted = self._wanted_keys(statement.body, frame) if key_error is not None else set()
        with self._guarded(frame, Value(wanted), reached=False if wanted else frame.reached):
            ended = self._run(statement.body, frame)
            if not ended:
                self._run(statement.orelse, frame)
        for handler in statement.handlers:
            is_it = bool(wanted) and handler is key_error
            with self._guarded(frame, Value(wanted if is_it else set()), reached=frame.reached if is_it else None):
                self._run(handler.body, frame)
        self._run(statement.finalbody, frame)

    def _wanted_keys(self, body: list[ast.stmt], frame: Frame) -> set[str]:
        """Return the parameters that statements fail without: `pre["lang"] = kwargs["lang"]`, `kwargs.pop("lang")`."""
        found = set()
        for node in (one for part in body for one in ast.walk(part)):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                container, key = node.value, node.slice
            elif isinstance(node, ast.Call) and last_name(node.func) == "pop" and len(node.args) == 1:
                container, key = getattr(node.func, "value", node.func), node.args[0]
            else:
                continue
            value = frame.names.get(container.id) if isinstance(container, ast.Name) else None
            name = constant(key)
            if value is not None and value.rest is not None and isinstance(name, str):
                found.add(name)
        return found

    def _match(self, statement: ast.Match, frame: Frame) -> None:
        subject = self._evaluate(statement.subject, frame)
        is_decided = True
        for case in statement.cases:
            fits = _fits(case.pattern, subject)
            if fits is False:
                continue
            test = self._capture(case.pattern, subject, frame)
            is_decided = is_decided and fits is True and case.guard is None
            if is_decided:
                self._run(case.body, frame)
                return
            reached = False if subject.rest is not None else None
            with self._guarded(frame, test, reached=both(frame.reached, reached)):
                if case.guard is not None:
                    test = made_of([test, self._evaluate(case.guard, frame)])
                    frame.guards[-1] = test.all_origins()
                self._run(case.body, frame)

    def _capture(self, pattern: ast.pattern, subject: Value, frame: Frame) -> Value:
        """Bind the names of a pattern; return what it depends on: `case {"steps": steps}` on the key."""
        if isinstance(pattern, ast.MatchMapping):
            keys = [constant(key) for key in pattern.keys]
            values = [
                self._read_key(subject, key, None, pattern, frame) if isinstance(key, str) else made_of([subject])
                for key in keys
            ]
            for value, inner in zip(values, pattern.patterns, strict=True):
                self._capture(inner, value, frame)
            if pattern.rest is not None:
                left = Value()
                self._merge(left, subject)
                for key in keys:
                    left.entries.pop(str(key), None)
                if left.rest is not None:
                    left.rest |= {str(key) for key in keys}
                frame.names[pattern.rest] = left
            return made_of(values) if values else subject
        if isinstance(pattern, ast.MatchAs):
            if pattern.pattern is not None:
                self._capture(pattern.pattern, subject, frame)
            if pattern.name is not None:
                frame.names[pattern.name] = subject
            return subject
        for node in ast.walk(pattern):
            if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name is not None:
                frame.names[node.name] = made_of([subject])
        return subject

    def _delete(self, statement: ast.Delete, frame: Frame) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Subscript):
                container = self._evaluate(target.value, frame)
                key = self._evaluate(target.slice, frame).default
                if isinstance(key, str) and container.rest is not None:
                    self._read_key(container, key, None, target, frame)
                if isinstance(key, str) or key is UNKNOWN:
                    self._remove_key(container, key, frame)

    def _augment(self, statement: ast.AugAssign, frame: Frame) -> None:
        value = self._evaluate(statement.value, frame)
        if isinstance(statement.op, ast.BitOr):  # d |= other
            self._update(self._evaluate(statement.target, frame), value, frame)
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
        for item in source.known_items() or ():
            self._bind(target, item, frame)
            run()
        if source.known_items() is not None:
            return
        entries = source.known_entries() if not source.origins else {}
        for key, entry in dict(entries).items():
            with self._guarded(frame, Value(), reached=both(frame.reached, entry.by_default)):
                self._bind(target, key_or_pair(Value(default=key), entry.value, what), frame)
                run()
        if entries:
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
            options: object = None
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == name:
                options = self._evaluate(node.comparators[0], frame).default
            elif isinstance(node, ast.MatchValue):
                options = constant(node.value)
            options = [options] if isinstance(options, str) else options
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
        return either(frame.reached, new, old)


def _fits(pattern: ast.pattern, subject: Value) -> bool | None:
    """Whether a key that a loop is at fits a pattern; None for anything else, and if that is not known."""
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is None:
        return True if subject.any_key is not None or not subject.all_origins() else None
    if isinstance(pattern, ast.MatchOr):
        found = [_fits(one, subject) for one in pattern.patterns]
        return None if None in found else any(found)
    if isinstance(pattern, ast.MatchValue) and isinstance(constant(pattern.value), str):
        if subject.any_key is not None:
            return False
        if isinstance(subject.default, str) and not subject.origins:
            return subject.default == constant(pattern.value)
    return None


def _leaves_by_raise(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise)
