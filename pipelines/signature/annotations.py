"""Types of parameters read from annotations, defaults, enumerations and docstrings, as they are written.

Nothing is imported, so a class that cannot be found in source says nothing about the type.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipesmith.pipelines.signature.constants import UNKNOWN, EnumMember, constant
from pipesmith.pipelines.signature.names import Definition, class_body, is_enum, last_name
from pipesmith.pipelines.signature.parameter_types import (
    JSON_LIST,
    JSON_OBJECT,
    KINDS,
    NOTHING,
    TEXT,
    ParameterType,
    unite,
)

_LISTS = {"list", "List", "tuple", "Tuple", "set", "Set", "frozenset", "FrozenSet"}
_LISTS |= {"Sequence", "MutableSequence", "Iterable", "Iterator", "Collection"}
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "TypedDict"}
_WRAPPERS = {"Annotated", "Required", "NotRequired", "Final", "ClassVar", "ReadOnly", "Unpack"}
_TEXTS = {"str", "Text", "LiteralString", "Path", "PathLike", "bytes"}

Resolve = Callable[[ast.expr], "Definition | None"]  # finds what a name in an annotation stands for


def annotated_type(annotation: ast.expr | None, resolve: Resolve) -> ParameterType:
    """Read the type that an annotation gives; without kinds if it says nothing (`Any`, a class not found)."""
    return _Annotations(resolve).read(annotation, 0) if annotation is not None else NOTHING


@dataclass(frozen=True)
class _Annotations:
    """Reads one annotation; `resolve` finds aliases, enums and dataclasses of the module."""

    resolve: Resolve

    def read(self, node: ast.expr, depth: int) -> ParameterType:
        if depth > 8:  # an alias of itself
            return NOTHING
        if isinstance(node, ast.Constant):
            if node.value is None:
                return ParameterType(kinds=(), nullable=True)
            parsed = _parse_annotation(node.value) if isinstance(node.value, str) else None
            return self.read(parsed, depth + 1) if parsed is not None else NOTHING
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return unite([self.read(node.left, depth + 1), self.read(node.right, depth + 1)])
        if isinstance(node, ast.Subscript):
            return self._subscript(node, depth)
        name = last_name(node)
        if name in ("int", "float", "bool"):
            return ParameterType(kinds=(name,))
        if name in _TEXTS:
            return TEXT
        if name in _MAPPINGS:
            return JSON_OBJECT
        if name in _LISTS:
            return ParameterType(is_list=True, is_scalar=False)
        return self._named(node, depth)

    def _subscript(self, node: ast.Subscript, depth: int) -> ParameterType:
        name = last_name(node.value)
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Optional":
            return unite([self.read(arguments[0], depth + 1), ParameterType(kinds=(), nullable=True)])
        if name == "Union":
            return unite(self.read(argument, depth + 1) for argument in arguments)
        if name == "Literal":
            return literal_type([argument.value for argument in arguments if isinstance(argument, ast.Constant)])
        if name in _WRAPPERS:
            return self.read(arguments[0], depth + 1)
        if name in _MAPPINGS:
            return JSON_OBJECT
        if name in _LISTS:
            return list_of(unite(self.read(argument, depth + 1) for argument in arguments))
        return NOTHING

    def _named(self, node: ast.expr, depth: int) -> ParameterType:
        found = self.resolve(node)
        if found is None:
            return NOTHING
        if isinstance(found.node, ast.ClassDef):
            if is_enum(found.node):
                return enum_type(found.node)
            return structure_type(found.node)
        if isinstance(found.node, ast.Call) and last_name(found.node.func) == "NewType" and len(found.node.args) == 2:
            return self.read(found.node.args[1], depth + 1)
        if isinstance(found.node, ast.expr):  # an alias: Labels = list[str]
            return _Annotations(found.resolve).read(found.node, depth + 1)
        return NOTHING


def _parse_annotation(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def list_of(item: ParameterType) -> ParameterType:
    """Return the type of a list of `item`; a list of lists is one JSON value."""
    if item.is_list or item.shape == "list":
        return JSON_LIST
    return replace(item, kinds=item.kinds or ("str",), is_list=True, nullable=False, is_scalar=False)


def literal_type(values: list[object]) -> ParameterType:
    """Return the type of a closed set of constants."""
    kinds = {kind for value in values for kind in value_type(value).kinds}
    choices = tuple(_as_typed(value) for value in values if value is not None)
    return ParameterType(kinds=tuple(kind for kind in KINDS if kind in kinds), choices=choices, nullable=None in values)


def _as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_type(value: object) -> ParameterType:
    """Return the type that a default shows; without kinds for None and what is not known."""
    if isinstance(value, EnumMember):
        return enum_type(value.enum)
    for kind, python in (("bool", bool), ("int", int), ("float", float), ("str", str)):  # bool is an int in Python
        if isinstance(value, python):
            return ParameterType(kinds=(kind,))
    if isinstance(value, dict):
        return JSON_OBJECT
    if isinstance(value, (list, tuple, set)):
        return list_of(unite(value_type(item) for item in value))
    return NOTHING


def takes_text(enum: ast.ClassDef) -> bool:
    """Say whether members of an enumeration equal the plain values they hold (`class Mode(str, Enum)`)."""
    return any(last_name(base) in ("str", "int", "StrEnum", "IntEnum", "ExplicitEnum") for base in enum.bases)


def structure_type(node: ast.ClassDef) -> ParameterType:
    """Return the type of a TypedDict, dataclass or pydantic model (an object) or NamedTuple; NOTHING for others."""
    bases = {last_name(base) for base in node.bases}
    if "NamedTuple" in bases:
        return ParameterType(kinds=("json",))
    decorators = (decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list)
    is_dataclass = any(last_name(decorator) == "dataclass" for decorator in decorators)
    return JSON_OBJECT if is_dataclass or bases & {"TypedDict", "BaseModel"} else NOTHING


def enum_type(enum: ast.ClassDef) -> ParameterType:
    """Return the choices of an enumeration: its values, or the names of its members if a value is computed."""
    members = [
        (target.id, constant(statement.value))
        for statement in class_body(enum)
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and not target.id.startswith("_")
    ]
    values = [value for _, value in members]
    if all(isinstance(value, str) for value in values) or (takes_text(enum) and UNKNOWN not in values):
        return literal_type(values)
    return literal_type([name for name, _ in members])


def enum_choices(enum: ast.ClassDef) -> ParameterType:
    """Return the choices of an enumeration that the code makes of text: `Mode(x.lower())`, `Mode[x.upper()]`."""
    kind = enum_type(enum)
    return kind if "str" in kind.kinds and takes_text(enum) else literal_type([one.lower() for one in kind.choices])


def is_structured(annotation: ast.expr | None, resolve: Resolve) -> bool:
    """Say whether an annotation names a dict or a list, and not text beside it. A dataclass is neither."""
    if annotation is None:
        return False
    members = _members(annotation, resolve, 0)
    types = [annotated_type(member, resolve) for member in members if not _is_other_class(member, resolve)]
    structured = [one for one in types if one.kinds and (one.kinds == ("json",) or one.is_list)]
    return bool(structured) and all(one in structured for one in types if "str" in one.kinds)


def _is_other_class(node: ast.expr, resolve: Resolve) -> bool:
    found = resolve(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
    node_found = found.node if found is not None else None
    return isinstance(node_found, ast.ClassDef) and all(last_name(base) != "TypedDict" for base in node_found.bases)


def _members(node: ast.expr, resolve: Resolve, depth: int) -> list[ast.expr]:
    """Return the members of a union, or the annotation itself."""
    if depth > 8:
        return [node]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        parsed = _parse_annotation(node.value)
        return _members(parsed, resolve, depth + 1) if parsed is not None else []
    if isinstance(node, ast.BinOp):
        return _members(node.left, resolve, depth + 1) + _members(node.right, resolve, depth + 1)
    if isinstance(node, ast.Subscript) and last_name(node.value) in ("Optional", "Union", "Annotated"):
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if last_name(node.value) == "Annotated":
            arguments = arguments[:1]
        return [member for argument in arguments for member in _members(argument, resolve, depth + 1)]
    if isinstance(node, (ast.Name, ast.Attribute)):
        found = resolve(node)
        if found is not None and isinstance(found.node, (ast.BinOp, ast.Subscript)):
            return _members(found.node, found.resolve, depth + 1)
    return [node]


_AFTER_TYPE = re.compile(r",?\s*\(?`?\*?\b(defaults? to|default[ :=]).*", re.S)
_NO_TYPE = re.compile(r",?\s*(\*optional\*|`optional`|\boptional\b|\*required\*)")


def documented_type(text: str) -> ParameterType:
    """Read the type in a docstring's parentheses: "`str` or `list[str]`, *optional*", "int, optional"."""
    text = _NO_TYPE.sub("", _AFTER_TYPE.sub("", text))
    parts = re.findall(r"`([^`]+)`", text) or re.split(r"\s+or\s+|,(?![^\[(]*[\])])", text)
    annotations = (_parse_annotation(re.sub(r"\btuple\((.*)\)", r"tuple[\1]", part)) for part in parts)
    known = [annotated_type(node, lambda _: None) for node in annotations if node is not None]
    return unite(one for one in known if one.kinds or one.nullable)
