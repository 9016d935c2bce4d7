"""A pipeline class and the classes it inherits from, as their source shows them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.signature.names import (
    Definition,
    Function,
    PipelineBase,
    class_body,
    in_transformers,
    last_name,
    resolve,
)

STAGES = ("preprocess", "_forward", "postprocess")
METHODS = ("_sanitize_parameters", *STAGES)
_PLAIN_BASES = frozenset({"object", "ABC", "Generic", "Protocol"})


@dataclass(frozen=True, eq=False)
class ClassSource:
    """A class statement and the file that holds it."""

    file: Path
    node: ast.ClassDef

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def in_transformers(self) -> bool:
        return in_transformers(self.file)


@dataclass(frozen=True)
class UnknownBase:
    """A base class that no source was found for."""

    text: str
    file: Path
    line: int


Ancestor = ClassSource | PipelineBase | UnknownBase


@dataclass(frozen=True, eq=False)
class Method:
    """A method as it is written.

    Args:
        owner: the class it is found on.
        node: the function; None if the class sets the name to something that was not read.
        file: the file that holds the function.
        line: where.
    """

    owner: ClassSource
    name: str
    node: Function | None
    file: Path
    line: int

    @property
    def is_static(self) -> bool:
        decorators = getattr(self.node, "decorator_list", [])
        return any(last_name(decorator) == "staticmethod" for decorator in decorators)

    def arguments(self) -> tuple[list[ast.arg], dict[str, ast.expr], str | None]:
        """Return the named arguments without `self`, their defaults, and the name of the var-keyword."""
        if self.node is None:
            return [], {}, None
        return named_arguments(self.node, bound=not self.is_static)

    def stage_arguments(self) -> tuple[list[ast.arg], dict[str, ast.expr], str | None]:
        """As `arguments`, without the first one: the input of a stage."""
        named, defaults, keywords = self.arguments()
        if self.node is not None and self.node.args.vararg is not None and not self._has_input():
            return named, defaults, keywords  # def preprocess(self, *args, lang=None): the input is among *args
        return named[1:], defaults, keywords

    def _has_input(self) -> bool:
        assert self.node is not None
        return len(self.node.args.posonlyargs) + len(self.node.args.args) > (0 if self.is_static else 1)


def named_arguments(node: Function, *, bound: bool) -> tuple[list[ast.arg], dict[str, ast.expr], str | None]:
    """Return a function's named arguments (without the first if it is bound), defaults, and its var-keyword."""
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = {
        argument.arg: default
        for argument, default in zip(
            positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True
        )
    }
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is not None:
            defaults[argument.arg] = default
    named = [*(positional[1:] if bound else positional), *node.args.kwonlyargs]
    return named, defaults, node.args.kwarg.arg if node.args.kwarg else None


@dataclass(frozen=True, eq=False)
class Lineage:
    """A class and its ancestors, in the order in which Python looks for a method."""

    ancestors: tuple[Ancestor, ...]

    @property
    def cls(self) -> ClassSource:
        first = self.ancestors[0]
        assert isinstance(first, ClassSource)
        return first

    @property
    def sources(self) -> tuple[ClassSource, ...]:
        """The ancestors whose source is read, the class itself first."""
        return tuple(one for one in self.ancestors if isinstance(one, ClassSource))

    @property
    def unknown(self) -> tuple[UnknownBase, ...]:
        return tuple(one for one in self.ancestors if isinstance(one, UnknownBase))

    @property
    def is_pipeline(self) -> bool:
        """Whether a base is transformers' Pipeline, or one that was not found is called like a pipeline."""
        return any(
            isinstance(one, PipelineBase) or (isinstance(one, UnknownBase) and one.text.endswith("Pipeline"))
            for one in self.ancestors
        )

    def method(self, name: str, after: ClassSource | None = None) -> Method | None:
        """Find the first class that defines a method; with `after`, what `super()` in that class finds."""
        sources = self.sources
        if after is not None:
            names = [one.node for one in sources]
            sources = sources[names.index(after.node) + 1 :] if after.node in names else ()
        for source in sources:
            found = _own_method(source, name)
            if found is not None:
                return found
        return None


def lineage(cls: ClassSource) -> Lineage:
    """Follow the bases of a class, also into other files."""
    order: list[Ancestor] = []
    _follow(cls, order, depth=0)
    kept: list[Ancestor] = []
    for one in reversed(order):  # of a base met twice, the later place counts, as in Python's own order
        if not any(_same(one, other) for other in kept):
            kept.insert(0, one)
    return Lineage(tuple(kept))


def _same(one: Ancestor, other: Ancestor) -> bool:
    if isinstance(one, ClassSource) and isinstance(other, ClassSource):
        return one.node is other.node
    return one == other


def _follow(cls: ClassSource, order: list[Ancestor], depth: int) -> None:
    order.append(cls)
    if depth > 20:
        return
    for base in cls.node.bases:
        found = resolve(cls.file, base)
        if isinstance(found, PipelineBase):
            order.append(found)
        elif isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
            if found.node is not cls.node:
                _follow(ClassSource(found.file, found.node), order, depth + 1)
        elif last_name(base.value if isinstance(base, ast.Subscript) else base) not in _PLAIN_BASES:
            order.append(UnknownBase(ast.unparse(base), cls.file, base.lineno))


def _own_method(cls: ClassSource, name: str) -> Method | None:
    found: Method | None = None
    for statement in class_body(cls.node):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name == name:
            if not any(last_name(decorator) == "overload" for decorator in statement.decorator_list):
                found = Method(cls, name, statement, cls.file, statement.lineno)
        elif isinstance(statement, ast.Assign) and any(last_name(target) == name for target in statement.targets):
            found = _assigned_method(cls, name, statement)
    return found


def _assigned_method(cls: ClassSource, name: str, statement: ast.Assign) -> Method:
    """`postprocess = _helper`: a function of the class or of the module, or a lambda."""
    value = statement.value
    if isinstance(value, ast.Call) and last_name(value.func) == "staticmethod" and value.args:
        value = value.args[0]
    if isinstance(value, ast.Lambda):
        return Method(cls, name, value, cls.file, statement.lineno)
    if isinstance(value, ast.Name) and value.id != name:
        own = _own_method(cls, value.id)
        if own is not None:
            return own
    target = resolve(cls.file, value)
    if isinstance(target, Definition) and isinstance(target.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return Method(cls, name, target.node, target.file, target.node.lineno)
    if isinstance(value, ast.Attribute):  # postprocess = Base.postprocess
        owner = resolve(cls.file, value.value)
        if isinstance(owner, Definition) and isinstance(owner.node, ast.ClassDef):
            found = lineage(ClassSource(owner.file, owner.node)).method(value.attr)
            if found is not None:
                return found
    return Method(cls, name, None, cls.file, statement.lineno)
