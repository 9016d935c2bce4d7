"""Types of parameters: what a text typed on a command line may become.

Types are read from annotations, defaults and docstrings as they are written; nothing is imported, so a class that
cannot be found in source says nothing about the type.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipesmith.pipelines.signature.constants import UNKNOWN, EnumMember, constant
from pipesmith.pipelines.signature.names import Definition, class_body, is_enum, last_name

KINDS = ("int", "float", "bool", "json", "str")  # in the order to try: text fits everything, so it comes last
_WANTED = {"int": "an integer", "float": "a number", "bool": "true or false", "json": "JSON", "str": "text"}
_LISTS = {"list", "List", "tuple", "Tuple", "set", "Set", "frozenset", "FrozenSet"}
_LISTS |= {"Sequence", "MutableSequence", "Iterable", "Iterator", "Collection"}
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "TypedDict"}
_WRAPPERS = {"Annotated", "Required", "NotRequired", "Final", "ClassVar", "ReadOnly", "Unpack"}
_TEXTS = {"str", "Text", "LiteralString", "Path", "PathLike", "bytes"}

Resolve = Callable[[ast.expr], "Definition | None"]  # finds what a name in an annotation stands for


@dataclass(frozen=True)
class ParameterType:
    """What a text given for a parameter becomes.

    Args:
        kinds: of "int", "float", "bool", "json" and "str", in the order to try.
        is_list: whether a list of these is accepted: the flag may be repeated.
        choices: the closed set of values as text; empty if the set is open.
        nullable: whether None is accepted.
        is_scalar: whether one value alone is accepted; False for `list[str]`, True for `str | list[str]`.
    """

    kinds: tuple[str, ...] = ("str",)
    is_list: bool = False
    choices: tuple[str, ...] = ()
    nullable: bool = False
    is_scalar: bool = True

    def __str__(self) -> str:
        text = f"one of {', '.join(self.choices)}" if self.choices else " or ".join(self.kinds)
        if not self.is_list:
            return text
        return f"{text}, or a list" if self.is_scalar else f"list of {text}"

    def parse(self, text: str) -> object:
        """Turn the text of one value into that value.

        Raises:
            ValueError: the text fits no kind; its message is what was wanted, such as "an integer".
        """
        if self.choices and text not in self.choices:
            if not (self.nullable and text.lower() in ("none", "null")):
                raise ValueError(f"one of {', '.join(self.choices)}")
            return None
        if self.nullable and "str" not in self.kinds and text.lower() in ("none", "null"):
            return None
        for kind in self.kinds:
            try:
                return _convert(text, kind, alone=len(self.kinds) == 1)
            except ValueError:
                continue
        raise ValueError(" or ".join(_WANTED[kind] for kind in self.kinds))

    def parse_many(self, texts: list[str]) -> object:
        """Turn the texts of a flag, in the order given, into the parameter's value.

        Raises:
            ValueError: as `parse`, or "one value" if the parameter takes no list.
        """
        if not self.is_list:
            if len(texts) != 1:
                raise ValueError("one value")
            return self.parse(texts[0])
        values = [self.parse(text) for text in texts]
        if len(values) == 1 and (self.is_scalar or values[0] is None or self._is_whole_list(values[0])):
            return values[0]
        return values

    def _is_whole_list(self, value: object) -> bool:
        return self.kinds == ("json",) and isinstance(value, list)


def _convert(text: str, kind: str, *, alone: bool) -> object:
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError(text)
    if kind == "json":
        # beside other kinds, `5` and `true` are theirs: only objects and lists are JSON then
        if not alone and text.lstrip()[:1] not in ("{", "["):
            raise ValueError(text)
        return json.loads(text)
    return text


TEXT = ParameterType()
NOTHING = ParameterType(kinds=())


def unite(types: Iterable[ParameterType]) -> ParameterType:
    """Return the type that accepts what any of `types` does; types that say nothing add nothing but None."""
    types = list(types)
    telling = [one for one in types if one.kinds]
    found = {kind for one in telling for kind in one.kinds}
    choices: tuple[str, ...] = ()
    if any(one.choices for one in telling):
        sets = [one.choices or (("true", "false") if one.kinds == ("bool",) else ()) for one in telling]
        if all(sets):
            choices = tuple(dict.fromkeys(choice for one in sets for choice in one))
    return ParameterType(
        kinds=tuple(kind for kind in KINDS if kind in found),
        is_list=any(one.is_list for one in telling),
        choices=choices,
        nullable=any(one.nullable for one in types),
        is_scalar=any(one.is_scalar for one in telling) or not telling,
    )


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
            return ParameterType(kinds=("json",))
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
            return ParameterType(kinds=("json",))
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
            return ParameterType(kinds=("json",)) if is_structure(found.node) else NOTHING
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
    if item.is_list:
        return ParameterType(kinds=("json",))
    return ParameterType(kinds=item.kinds or ("str",), is_list=True, choices=item.choices, is_scalar=False)


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
        return ParameterType(kinds=("json",))
    if isinstance(value, (list, tuple, set)):
        return list_of(unite(value_type(item) for item in value))
    return NOTHING


def takes_text(enum: ast.ClassDef) -> bool:
    """Say whether members of an enumeration equal the plain values they hold (`class Mode(str, Enum)`)."""
    return any(last_name(base) in ("str", "int", "StrEnum", "IntEnum", "ExplicitEnum") for base in enum.bases)


def is_structure(node: ast.ClassDef) -> bool:
    """Say whether a class describes a JSON object: a dataclass, TypedDict, NamedTuple or pydantic model."""
    if any(last_name(base) in ("TypedDict", "NamedTuple", "BaseModel") for base in node.bases):
        return True
    decorators = (decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list)
    return any(last_name(decorator) == "dataclass" for decorator in decorators)


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
    """Say whether an annotation names a dict, a list or another structure, and not text beside it."""
    if annotation is None:
        return False
    types = [annotated_type(member, resolve) for member in _members(annotation, resolve, 0)]
    structured = [one for one in types if one.kinds and (one.kinds == ("json",) or one.is_list)]
    return bool(structured) and all(one in structured for one in types if "str" in one.kinds)


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
