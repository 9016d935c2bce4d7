"""What a stage (preprocess, _forward, postprocess) takes, and what it does with it.

Defaults are the effective ones: those of a helper that the stage hands its var-keyword to, and those that the stage
sets itself when it gets None. Sinks are the calls of `generate` and of the tokenizer that get keywords unchanged.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipesmith.pipelines.signature.classes import STAGES, Lineage, Method
from pipesmith.pipelines.signature.constants import UNKNOWN, constant
from pipesmith.pipelines.signature.names import last_name, lookup_constant

_TOKENIZER_CALLS = ("__call__", "encode_plus", "batch_encode_plus", "encode", "_encode_plus")
_DEEPEST = 3


class _Absent:
    """The default of an argument that a stage does not name."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


@dataclass(frozen=True)
class StageArgument:
    """One argument of a stage, or of a helper that gets it.

    Args:
        annotation: as written, or None.
        default: the default; ABSENT if it has none.
        file: the file that holds both.
        method: the function that names it.
    """

    name: str
    annotation: ast.expr | None
    default: object
    file: Path
    method: Method


class Stage:
    """One stage of a class, as its source shows it."""

    def __init__(self, name: str, lineage: Lineage, method: Method) -> None:
        self.name = name
        self.lineage = lineage
        self.method = method
        named, defaults, self.keywords = method.stage_arguments()
        self.arguments = {
            argument.arg: _stage_argument(argument, defaults.get(argument.arg), method) for argument in named
        }

    @property
    def takes_anything(self) -> bool:
        """Whether a key that it does not name is accepted, as far as its source was found."""
        return self.keywords is not None or self.method.node is None

    def argument(self, key: str) -> StageArgument | None:
        """Return the argument of that name: of the stage, of a helper that gets its var-keyword, or a key of that."""
        found = self.arguments.get(key) or _helper_argument(self.lineage, self.method, self.keywords, key, 0)
        if found is None and not self.method.owner.in_transformers:  # which takes out keys that are its own affair
            read = ((name, default) for name, default in self.keys_read() if name == key)
            found = next((StageArgument(name, None, one, self.method.file, self.method) for name, one in read), None)
        return found

    @property
    def names(self) -> list[str]:
        """What it names: its arguments, and the keys that it reads from its var-keyword."""
        read = () if self.method.owner.in_transformers else self.keys_read()
        return list(dict.fromkeys([*self.arguments, *(name for name, _ in read)]))

    def default(self, key: str) -> object:
        """Return the value in effect if the key is not passed; ABSENT if the stage does not name it."""
        argument = self.argument(key)
        if argument is None or argument.default is ABSENT:
            return ABSENT
        return self.when_none(key) if argument.default is None else argument.default

    def when_none(self, key: str) -> object:
        """Return what the stage takes instead if it gets None: a constant, UNKNOWN if computed, or None."""
        argument = self.argument(key)
        node = argument.method.node if argument is not None else None
        if node is None or isinstance(node, ast.Lambda) or argument is None:
            return None
        for statement in (one for part in node.body for one in ast.walk(part)):
            found = _set_when_none(statement, key)
            if found:
                values = [constant(value, partial(lookup_constant, argument.file)) for value in found]
                is_one = all(value == values[0] for value in values)
                return values[0] if is_one and len(found) == 1 else UNKNOWN
        return None

    def takes_lists(self, key: str) -> bool:
        """Whether a value alone is put into a list (`if isinstance(x, int): x = [x, x]`): a list is taken too."""
        node = self.method.node if key in self.arguments else None
        if node is None or isinstance(node, ast.Lambda):
            return False
        for statement in (one for part in node.body for one in ast.walk(part) if isinstance(one, ast.If)):
            test = statement.test
            is_checked = isinstance(test, ast.Call) and last_name(test.func) == "isinstance"
            if not (isinstance(test, ast.Call) and is_checked and last_name(test.args[0]) == key):
                continue
            set_to = [one.value for one in statement.body if isinstance(one, ast.Assign) and _sets(one, key)]
            if any(isinstance(value, (ast.List, ast.Tuple)) for value in set_to):
                return True
        return False

    def keys_read(self) -> Iterator[tuple[str, object]]:
        """Yield the keys that the stage reads from its var-keyword, and their defaults: `kwargs.pop("lang", "en")`."""
        if self.keywords is None or self.method.node is None:
            return
        for node in ast.walk(self.method.node):
            key: ast.expr | None = None
            default: object = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and self._is_keywords(node.value):
                key = node.slice
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                if node.func.attr not in ("get", "pop") or not self._is_keywords(node.func.value):
                    continue
                key = node.args[0]
                lookup = partial(lookup_constant, self.method.file)
                default = constant(node.args[1], lookup) if len(node.args) > 1 else None
            name = constant(key) if key is not None else None
            if isinstance(name, str):
                yield name, default

    def _is_keywords(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self.keywords

    def keyword_sinks(self) -> set[str]:
        """Return which of "generation" and "tokenizer" get the stage's var-keyword."""
        if self.keywords is None:
            return set()
        return _sinks(self.lineage, self.method, self.keywords, 0)

    def argument_sinks(self, key: str) -> set[str]:
        """Return which of "generation" and "tokenizer" get an argument under its own name."""
        node = self.method.node
        if key not in self.arguments:
            return self.keyword_sinks()
        if node is None:
            return set()
        return {
            sink
            for call in _calls(node)
            if (sink := _sink(call)) is not None
            for keyword in call.keywords
            if keyword.arg == key and isinstance(keyword.value, ast.Name) and keyword.value.id == key
        }


def read_stages(lineage: Lineage) -> dict[str, Stage]:
    """Find the stages that a class or its ancestors define."""
    found = ((name, lineage.method(name)) for name in STAGES)
    return {name: Stage(name, lineage, method) for name, method in found if method is not None}


def _stage_argument(argument: ast.arg, default: ast.expr | None, method: Method) -> StageArgument:
    value = ABSENT if default is None else constant(default, partial(lookup_constant, method.file))
    return StageArgument(argument.arg, argument.annotation, value, method.file, method)


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (one for one in ast.walk(node) if isinstance(one, ast.Call))


def _sets(statement: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in statement.targets)


def _set_when_none(statement: ast.AST, name: str) -> list[ast.expr]:
    """Return what a statement sets a name to if it is None."""
    if isinstance(statement, ast.If) and _is_none_test(statement.test, name, ast.Is):
        inner = [one for part in statement.body for one in ast.walk(part)]
        return [one.value for one in inner if isinstance(one, ast.Assign) and last_name(one.targets[0]) == name]
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        if statement.targets[0].id != name:
            return []
        value = statement.value
        if isinstance(value, ast.IfExp) and _is_none_test(value.test, name, ast.Is):
            return [value.body]
        if isinstance(value, ast.IfExp) and _is_none_test(value.test, name, ast.IsNot):
            return [value.orelse]
        if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or) and last_name(value.values[0]) == name:
            return [value.values[-1]]
    return []


def _is_none_test(test: ast.expr, name: str, op: type[ast.cmpop]) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == name
        and isinstance(test.ops[0], op)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value is None
    )


def _sink(call: ast.Call) -> str | None:
    """Say whether a call is one of `generate` or of the tokenizer."""
    name = last_name(call.func)
    if name == "generate":
        return "generation"
    if name == "tokenizer":
        return "tokenizer"
    if name in _TOKENIZER_CALLS and isinstance(call.func, ast.Attribute) and last_name(call.func.value) == "tokenizer":
        return "tokenizer"
    return None


def _helper(lineage: Lineage, method: Method, call: ast.Call) -> Method | None:
    """Find the method that `self.helper(...)` or `super().stage(...)` calls."""
    if not isinstance(call.func, ast.Attribute) or method.node is None:
        return None
    owner = call.func.value
    if isinstance(owner, ast.Call) and last_name(owner.func) == "super":
        return lineage.method(call.func.attr, after=method.owner)
    receiver = method.node.args.args[0].arg if method.node.args.args else None
    if isinstance(owner, ast.Name) and owner.id == receiver and not call.func.attr.startswith("__"):
        return lineage.method(call.func.attr)
    return None


def _spread(call: ast.Call, names: set[str]) -> bool:
    return any(keyword.arg is None and _passes(keyword.value, names) for keyword in call.keywords)


def _helper_argument(
    lineage: Lineage, method: Method, keywords: str | None, key: str, depth: int
) -> StageArgument | None:
    """Find the helper that gets the var-keyword and names the key: `self.decode_spans(..., **kwargs)`."""
    if keywords is None or method.node is None or depth > _DEEPEST:
        return None
    for call in _calls(method.node):
        if not _spread(call, {keywords}):
            continue
        helper = _helper(lineage, method, call)
        if helper is None or helper.node is None or helper.node is method.node:
            continue
        named, defaults, further = helper.arguments()
        for argument in named:
            if argument.arg == key:
                return _stage_argument(argument, defaults.get(key), helper)
        found = _helper_argument(lineage, helper, further, key, depth + 1)
        if found is not None:
            return found
    return None


def _sinks(lineage: Lineage, method: Method, name: str, depth: int) -> set[str]:
    """Find the sinks of the dictionary `name` of a function, also through dictionaries made of it and helpers."""
    if method.node is None or depth > _DEEPEST:
        return set()
    names = _copies(method.node, name)
    found: set[str] = set()
    for call in _calls(method.node):
        sink = _sink(call)
        if sink is not None:
            if _spread(call, names):
                found.add(sink)
            continue
        helper = _helper(lineage, method, call)
        if helper is None or helper.node is None or helper.node is method.node:
            continue
        named, _, further = helper.arguments()
        if further is not None and _spread(call, names):
            found |= _sinks(lineage, helper, further, depth + 1)
        for argument, value in zip(named, call.args, strict=False):
            if isinstance(value, ast.Name) and value.id in names:
                found |= _sinks(lineage, helper, argument.arg, depth + 1)
    return found


def _copies(node: ast.AST, name: str) -> set[str]:
    """Return the local names that hold the dictionary `name`, or a dictionary made of it."""
    names = {name}
    for _ in range(2):  # a name may be used above the line that binds it, in a loop
        for statement in ast.walk(node):
            if isinstance(statement, ast.Assign) and _passes(statement.value, names):
                names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
            elif isinstance(statement, ast.Call) and isinstance(statement.func, ast.Attribute):
                updated = statement.func.value if statement.func.attr == "update" else None
                gets_it = any(_passes(one, names) for one in statement.args) or _spread(statement, names)
                if isinstance(updated, ast.Name) and gets_it:
                    names.add(updated.id)
    return names


def _passes(node: ast.expr, names: set[str]) -> bool:
    """Say whether an expression holds the keys of one of these dictionaries."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Dict):
        return any(key is None and _passes(value, names) for key, value in zip(node.keys, node.values, strict=True))
    if isinstance(node, ast.IfExp):
        return _passes(node.body, names) or _passes(node.orelse, names)
    if isinstance(node, ast.BoolOp):
        return any(_passes(value, names) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _passes(node.left, names) or _passes(node.right, names)
    if isinstance(node, ast.DictComp):
        iterable = node.generators[0].iter
        return (
            isinstance(iterable, ast.Call)
            and isinstance(iterable.func, ast.Attribute)
            and _passes(iterable.func.value, names)
        )
    if isinstance(node, ast.Call) and _sink(node) is None:
        # a helper that gets the dictionary and returns one: self._prepare_generate_kwargs(generate_kwargs)
        return any(_passes(one, names) for one in node.args if isinstance(one, ast.Name)) or _spread(node, names)
    return False
