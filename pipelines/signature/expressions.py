"""What an expression of `_sanitize_parameters` is made of."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipesmith.pipelines.signature.classes import STAGES, ClassSource, Lineage, Method, named_arguments
from pipesmith.pipelines.signature.constants import UNKNOWN, constant
from pipesmith.pipelines.signature.dictionaries import Dictionaries
from pipesmith.pipelines.signature.names import Definition, Function, is_enum, last_name, lookup_constant, resolve
from pipesmith.pipelines.signature.routes import Routing
from pipesmith.pipelines.signature.values import Entry, Frame, Value, both, compared, either, join, made_of, negated

MOST_STEPS = 8_000
_DEEPEST_CALL = 5
_CASTS: dict[str, Callable[[Any], object]] = {"int": int, "float": float, "str": str, "bool": bool}
# what may get the whole var-keyword without a note: it reads nothing of it
_HARMLESS = {"len", "bool", "any", "all", "print", "debug", "info", "warning", "warn"}


class Expressions(Dictionaries, ABC):
    """Evaluates expressions to values; statements are `routing.py`'s."""

    def __init__(self, lineage: Lineage, routing: Routing) -> None:
        super().__init__(routing)
        self.lineage = lineage
        self.steps = 0
        self._depth = 0
        self._set_on_self: set[str] | None = None

    @abstractmethod
    def _assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """`target = value`."""

    @abstractmethod
    def _loop(
        self,
        target: ast.expr,
        iterable: ast.expr,
        body: Sequence[ast.AST],
        frame: Frame,
        run: Callable[[], object],
    ) -> None:
        """Call `run` for each turn of a loop that is to be walked, with the loop's names bound."""

    @abstractmethod
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

    def _evaluate(self, node: ast.expr, frame: Frame) -> Value:
        self.steps += 1
        if self.steps > MOST_STEPS:
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
        return made_of([self._evaluate(part, frame) for part in parts])

    def _name(self, node: ast.Name, frame: Frame) -> Value:
        value = frame.names.get(node.id)
        if value is None:
            return Value(default=lookup_constant(frame.file, node))
        self.routing.used |= value.origins
        return value

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        if node.attr in ("parameters", "args", "kwonlyargs") and isinstance(node.value, ast.Call):
            names = self._names_of_arguments(node.value, frame)
            if names is not None:
                return Value(default=names)
        if isinstance(node.value, ast.Name) and node.value.id in (frame.receiver, "cls"):
            kept = frame.names.get(f"self.{node.attr}")
            if kept is not None:
                self.routing.used |= kept.origins
            return kept if kept is not None else Value(default=self._class_constant(node.attr))
        if isinstance(node.value, ast.Name) and node.value.id not in frame.names:
            return Value(default=lookup_constant(frame.file, node))
        return self._part(made_of([self._evaluate(node.value, frame)]), node.attr)

    def _part(self, whole: Value, name: str) -> Value:
        """Return the part of an unknown object that is named like a parameter it is made of: `options.lang`."""
        if name not in whole.origins:
            return whole
        given = self.routing.given.get(name)
        return Value({name}, given.default if given is not None else UNKNOWN, frozenset({name}))

    def _names_of_arguments(self, call: ast.Call, frame: Frame) -> list[str] | None:
        """`inspect.signature(self.preprocess).parameters`: the names of the method's arguments."""
        if last_name(call.func) not in ("signature", "getfullargspec") or len(call.args) != 1:
            return None
        subject = call.args[0]
        if not (isinstance(subject, ast.Attribute) and last_name(subject.value) in (frame.receiver, frame.owner.name)):
            return None
        method = self.lineage.method(subject.attr)
        if method is None or method.node is None:
            return None
        named = method.stage_arguments()[0] if method.name in STAGES else method.arguments()[0]
        return [one.arg for one in named]

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

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        made = Value(default={} if not node.keys else UNKNOWN)
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            value = self._evaluate(value_node, frame)
            if key_node is None:
                self._merge(made, value)
                continue
            key = self._evaluate(key_node, frame).default
            if isinstance(key, str):
                made.entries[key] = Entry(value, True)
            else:
                made.origins |= value.all_origins()
        if not made.all_origins() and made.rest is None:
            made.default = constant(node, partial(lookup_constant, frame.file))
        return made

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set, frame: Frame) -> Value:
        items = [self._evaluate(item, frame) for item in node.elts]
        starred = any(isinstance(item, ast.Starred) for item in node.elts)
        defaults = [item.default for item in items]
        default: object = UNKNOWN if starred or any(one is UNKNOWN for one in defaults) else defaults
        if isinstance(node, ast.Tuple) and isinstance(default, list):
            default = tuple(default)
        made = Value(default=default, items=None if starred else items)
        if len(items) == 1 and items[0].same is not None:
            made.sames = items[0].sames
            self.routing.kinds.setdefault(items[0].same, set()).add("list")
        if starred:
            made.origins = made_of(items).origins
        return made

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
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
        if isinstance(container.default, dict) and isinstance(key.default, str) and key.default in container.default:
            return Value(default=container.default[key.default])
        made = made_of([container, key])
        return self._part(made, key.default) if isinstance(key.default, str) else made

    def _compare(self, node: ast.Compare, frame: Frame) -> Value:
        left = self._evaluate(node.left, frame)
        rights = [self._evaluate(one, frame) for one in node.comparators]
        op, right = node.ops[0], rights[0]
        if isinstance(op, (ast.In, ast.NotIn)) and len(rights) == 1:
            truth = self._contains(left, right, node, frame)
            if truth is not None:
                if isinstance(op, ast.NotIn) and truth.default is not UNKNOWN:
                    truth.default = not truth.default
                return truth
        made = made_of([left, *rights])
        if len(rights) == 1:
            made.default = compared(left.default, op, right.default)
            if left.sentinel is not None and left.sentinel == ast.unparse(node.comparators[0]):
                made.default = compared(0, op, 0)  # `lang is MISSING` of `lang=MISSING`, whatever that is
        if any(one.any_key is not None for one in (left, right)):
            # the key of a loop: the strings that it is compared with are walked on their own
            made.default = isinstance(op, (ast.NotIn, ast.NotEq)) if right.default is not UNKNOWN else UNKNOWN
            made.any_key = None if right.default is not UNKNOWN else set()
        return made

    def _contains(self, left: Value, right: Value, node: ast.Compare, frame: Frame) -> Value | None:
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

    def _bool(self, node: ast.BoolOp, frame: Frame) -> Value:
        made = self._evaluate(node.values[0], frame)
        for part in node.values[1:]:
            truth = None if made.default is UNKNOWN else bool(made.default)
            with self._guarded(frame, made, reached=frame.reached):
                value = self._evaluate(part, frame)
                value = self._explained(value, frame) if value.is_dictionary else value
            if isinstance(node.op, ast.Or):
                made = either(truth, made, value)
            else:
                made = either(truth, value, made)
                if truth is None and value.default is not UNKNOWN and not value.default:
                    made.default = False  # `unknown and False`
        return made

    def _unary(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self._evaluate(node.operand, frame)
        made = made_of([value])
        made.any_key = value.any_key
        if value.default is not UNKNOWN:
            default = value.default
            made.default = (not default) if isinstance(node.op, ast.Not) else constant(node)
        return made

    def _conditional(self, node: ast.IfExp, frame: Frame) -> Value:
        test = self._evaluate(node.test, frame)
        truth = None if test.default is UNKNOWN else bool(test.default)
        arms = []
        for arm, reached in ((node.body, truth), (node.orelse, negated(truth))):
            with self._guarded(frame, test, reached=both(frame.reached, reached)):
                value = self._evaluate(arm, frame)
                arms.append(self._explained(value, frame) if value.is_dictionary else value)
        made = either(truth, arms[0], arms[1])
        if not made.all_origins() and not made.is_dictionary:
            made.origins |= test.all_origins()
        return made

    def _binary(self, node: ast.BinOp, frame: Frame) -> Value:
        left, right = self._evaluate(node.left, frame), self._evaluate(node.right, frame)
        if isinstance(node.op, ast.BitOr) and (left.is_dictionary or right.is_dictionary):
            made = Value()
            self._merge(made, left)
            self._merge(made, right)
            return made
        made = made_of([left, right])
        if not made.origins:
            made.default = constant(node, partial(lookup_constant, frame.file))
        return made

    def _dict_comprehension(self, node: ast.DictComp, frame: Frame) -> Value:
        made = Value()
        if len(node.generators) != 1:
            parts = [one.iter for one in node.generators]
            return made_of([self._evaluate(part, frame) for part in parts])
        generator = node.generators[0]

        def run() -> None:
            reached = frame.reached
            tests = [self._evaluate(test, frame) for test in generator.ifs]
            if any(test.default is not UNKNOWN and not test.default and not test.origins for test in tests):
                return
            for test in tests:
                reached = both(reached, None if test.default is UNKNOWN else bool(test.default))
            with self._guarded(frame, made_of(tests), reached=reached):
                self._write(made, self._evaluate(node.key, frame), self._evaluate(node.value, frame), node, frame)

        self._loop(generator.target, generator.iter, [*generator.ifs, node.key, node.value], frame, run)
        return made

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: Frame) -> Value:
        turns: list[Value] = []
        generator = node.generators[0]
        self._loop(
            generator.target, generator.iter, [node.elt], frame, lambda: turns.append(self._evaluate(node.elt, frame))
        )
        made = made_of(turns)
        is_written_out = len(node.generators) == 1 and not generator.ifs
        if is_written_out and self._evaluate(generator.iter, frame).known_items() is not None:
            made.items = turns  # tuple(clean(one) for one in (pre, forward, post))
            made.origins = set()
        return made

    # calls

    def _called(self, node: ast.Call, frame: Frame) -> Value:
        if isinstance(node.func, ast.Attribute):
            method = self._super_call(node.func, frame)
            if method is not None and method.node is not None:
                return self._follow(method.node, method.file, method.owner, node, frame, bound=not method.is_static)
            on_dictionary = self._dictionary_method(node.func, node, frame)
            if on_dictionary is not None:
                return on_dictionary
        followed = self._helper_call(node, frame)
        if followed is not None:
            return followed
        if isinstance(node.func, ast.Name):
            made = self._builtin(node.func.id, node, frame)
            if made is not None:
                return made
        if last_name(node.func) in ("copy", "deepcopy") and len(node.args) == 1 and not node.keywords:
            made = Value()
            self._merge(made, self._evaluate(node.args[0], frame))
            return made
        values = [self._evaluate(one.value if isinstance(one, ast.Starred) else one, frame) for one in node.args]
        values += [self._evaluate(one.value, frame) for one in node.keywords]
        if len(values) == 1:
            self._note_enum(node.func, values[0], frame)
        if any(value.rest is not None for value in values) and last_name(node.func) not in _HARMLESS:
            self.routing.note(frame.file, node, f"{ast.unparse(node.func)}(...) gets the parameters and was not read")
        made = made_of(values)
        if isinstance(node.func, ast.Attribute):
            owner = self._evaluate(node.func.value, frame)
            if node.func.attr in ("append", "extend", "insert", "add") and owner.rest is None:
                owner.origins |= made.origins
                owner.unread |= made.unread
            made = made_of([made, owner])
        return made

    def _note_enum(self, func: ast.expr, argument: Value, frame: Frame) -> None:
        """`Mode[mode.upper()]`, `Mode(mode)`: the parameter is text for a member of Mode."""
        if len(argument.origins) != 1 or not isinstance(func, ast.Name) or func.id in frame.names:
            return
        found = resolve(frame.file, func)
        if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef) and is_enum(found.node):
            self.routing.enums[next(iter(argument.origins))] = found.node

    def _super_call(self, func: ast.Attribute, frame: Frame) -> Method | None:
        """`super().method`, `Base.method`: the method that is meant."""
        if isinstance(func.value, ast.Call) and last_name(func.value.func) == "super":
            return self.lineage.method(func.attr, after=frame.owner)
        if func.attr == "_sanitize_parameters" and isinstance(func.value, (ast.Name, ast.Attribute)):
            found = resolve(frame.file, func.value)
            if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
                owners = [one for one in self.lineage.sources if one.node is found.node]
                return self.lineage.method(func.attr) if not owners else _method_of(self.lineage, owners[0], func.attr)
        return None

    def _helper_call(self, node: ast.Call, frame: Frame) -> Value | None:
        """Follow `self.helper(...)` and a function of the user's."""
        if isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == frame.receiver:
                method = self.lineage.method(node.func.attr)
                if method is not None and method.node is not None:
                    return self._follow(method.node, method.file, method.owner, node, frame, bound=not method.is_static)
            return None
        if isinstance(node.func, ast.Name) and node.func.id in frame.names:
            return None
        if isinstance(node.func, ast.Name) and node.func.id in frame.functions:
            return self._follow(frame.functions[node.func.id], frame.file, frame.owner, node, frame, bound=False)
        found = resolve(frame.file, node.func)
        if isinstance(found, Definition) and isinstance(found.node, (ast.FunctionDef, ast.Lambda)):
            return self._follow(found.node, found.file, frame.owner, node, frame, bound=False)
        return None

    def _follow(
        self, node: Function, file: Path, owner: ClassSource, call: ast.Call, frame: Frame, *, bound: bool
    ) -> Value:
        """Walk a function that is called, with the values of its arguments."""
        if self._depth >= _DEEPEST_CALL:
            return Value()
        named, _, _ = named_arguments(node, bound=bound)
        named = named[: len(named) - len(node.args.kwonlyargs)]
        arguments = [one for one in call.args if not (isinstance(one, ast.Name) and one.id == frame.receiver)]
        values = {
            argument.arg: self._evaluate(value, frame)
            for argument, value in zip(named, arguments, strict=False)
            if not isinstance(value, ast.Starred)
        }
        if node.args.vararg is not None:
            further = arguments[len(named) :]
            further_values = [self._evaluate(one, frame) for one in further]
            is_starred = any(isinstance(one, ast.Starred) for one in further)
            values[node.args.vararg.arg] = made_of(further_values) if is_starred else Value(items=further_values)
        spread: Value | None = None
        for keyword in call.keywords:
            value = self._evaluate(keyword.value, frame)
            if keyword.arg is not None:
                values[keyword.arg] = value
            else:
                spread = spread or Value()
                self._merge(spread, value)
        if spread is not None and spread.rest is not None:
            spread.rest = spread.rest | set(values)  # given twice is a TypeError
        self._depth += 1
        try:
            result = self._call(node, file, owner, values, spread, frame, bound=bound)
        finally:
            self._depth -= 1
        if result.default is UNKNOWN and not result.all_origins() and not result.is_dictionary:
            result = join(result, made_of([*values.values(), *([spread] if spread is not None else [])]))
        return result

    def _dictionary_method(self, func: ast.Attribute, node: ast.Call, frame: Frame) -> Value | None:
        """`update`, `get`, `pop`, `setdefault`, `copy` of a dictionary."""
        if func.attr not in ("update", "get", "pop", "setdefault", "copy", "items", "keys", "values"):
            return None
        if func.attr == "copy" and node.args:  # copy.copy(...)
            return None
        container = self._evaluate(func.value, frame)
        arguments = [self._evaluate(one, frame) for one in node.args if not isinstance(one, ast.Starred)]
        if func.attr == "update":
            for value in arguments:
                self._update(container, value, frame)
            for keyword in node.keywords:
                value = self._evaluate(keyword.value, frame)
                if keyword.arg is None:
                    self._update(container, value, frame)
                else:
                    self._write_key(container, keyword.arg, value, frame)
            return Value(default=None)
        if func.attr == "copy":
            made = Value()
            self._merge(made, container)
            return made
        if func.attr == "keys" and (container.is_dictionary or isinstance(container.default, (dict, list))):
            return container
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
            if func.attr == "pop" and key.default is UNKNOWN:
                self._remove_key(container, UNKNOWN, frame)
            return None
        value = self._read_key(container, key.default, default, node, frame)
        if value.default is UNKNOWN and len(node.args) > 1:
            value.sentinel = ast.unparse(node.args[1])
        if func.attr == "pop":
            self._remove_key(container, key.default, frame)
        return value

    def _builtin(self, name: str, node: ast.Call, frame: Frame) -> Value | None:
        if name == "dict":
            made = Value()
            for argument in node.args:
                self._merge(made, _as_dictionary(self._evaluate(argument, frame)))
            for keyword in node.keywords:
                value = self._evaluate(keyword.value, frame)
                if keyword.arg is None:
                    self._merge(made, value)
                else:
                    made.entries[keyword.arg] = Entry(value, True)
            return made
        if name == "isinstance" and len(node.args) == 2:
            return self._isinstance(node.args[0], node.args[1], frame)
        if name == "locals" and not node.args:
            self.routing.used |= {origin for value in frame.names.values() for origin in value.origins}
            return Value(entries={key: Entry(value, True) for key, value in frame.names.items() if "." not in key})
        if name == "zip" and node.args and not node.keywords:
            columns = [self._evaluate(argument, frame) for argument in node.args]
            lists = [column.known_items() for column in columns]
            if all(one is not None for one in lists):
                return Value(items=[Value(items=list(row)) for row in zip(*(one or () for one in lists), strict=False)])
            return made_of(columns)
        if name in ("list", "tuple", "set", "frozenset") and len(node.args) == 1:
            value = self._evaluate(node.args[0], frame)
            if value.is_dictionary:  # its keys
                return value
            default = list(value.default) if isinstance(value.default, (list, tuple)) else UNKNOWN
            return Value(set(value.origins), default, value.sames, items=value.items, unread=value.unread)
        if name in _CASTS and len(node.args) == 1:
            value = self._evaluate(node.args[0], frame)
            return Value(value.all_origins(), _cast(name, value.default), value.sames, unread=value.unread)
        return None

    def _isinstance(self, subject: ast.expr, types: ast.expr, frame: Frame) -> Value:
        value = self._evaluate(subject, frame)
        options = types.elts if isinstance(types, ast.Tuple) else [types]
        names = [last_name(option) for option in options]
        if value.same is not None:
            self.routing.kinds.setdefault(value.same, set()).update(name for name in names if name)
        made = made_of([value])
        known = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict, "list": list, "tuple": tuple}
        if value.default is not UNKNOWN and all(name in known for name in names):
            made.default = isinstance(value.default, tuple(known[name] for name in names if name))
        elif value.default is None:
            made.default = False
        return made


def _cast(name: str, value: object) -> object:
    """Return `int(value)` and the like of a constant, UNKNOWN if it is none or does not fit."""
    if not isinstance(value, (str, int, float)):
        return UNKNOWN
    try:
        return _CASTS[name](value)
    except (ValueError, OverflowError):
        return UNKNOWN


def _as_dictionary(value: Value) -> Value:
    """Return what `dict(value)` makes of written out pairs: `dict(zip(names, values))`."""
    pairs = [pair.known_items() or [] for pair in value.known_items() or ()]
    if not pairs or not all(len(pair) == 2 and isinstance(pair[0].default, str) for pair in pairs):
        return value
    return Value(entries={str(key.default): Entry(one, True) for key, one in pairs})


def _method_of(lineage: Lineage, owner: ClassSource, name: str) -> Method | None:
    """Find what `Owner.name` is."""
    sources = lineage.sources
    place = [one.node for one in sources].index(owner.node)
    return Lineage(sources[place:]).method(name)
