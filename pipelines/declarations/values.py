"""What an expression of a registry file stands for, as far as that is known without running it.

A value is a plain Python constant or container, or one of the classes below. Nothing here evaluates anything.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

Value: TypeAlias = Any
RegistryKind = Literal["pipesmith", "transformers"]

MAX_ALTERNATIVES = 8
RANKS: dict[bool | None, int] = {True: 0, None: 1, False: 2}  # what holds here first, what does not last
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis), PurePath, range)


@dataclass(frozen=True)
class Atom:
    """A condition that depends on the machine or on a run, and whether it is assumed to hold.

    Args:
        yes: its text.
        no: the text of its opposite.
        holds: which of the two is meant.
        here: whether `yes` is true on this machine; None if only running the code would tell.
    """

    yes: str
    no: str
    holds: bool = True
    here: bool | None = None

    def negated(self) -> Atom:
        return replace(self, holds=not self.holds)

    @property
    def holds_here(self) -> bool | None:
        return None if self.here is None else self.here is self.holds

    def __str__(self) -> str:
        return self.yes if self.holds else self.no


Conditions: TypeAlias = tuple[Atom, ...]


@dataclass(frozen=True, eq=False)
class Unknown:
    """A value that only running the code would tell; keeps the expression to show it."""

    node: ast.AST

    @property
    def expression(self) -> str:
        return source_text(self.node)


@dataclass(frozen=True)
class External:
    """A name in a package that is not read: `transformers.AutoModel`, `os.environ`, `builtins.len`."""

    dotted: str


@dataclass(frozen=True, eq=False)
class Local:
    """A value that is known here and may be another on another machine, such as `sys.platform`.

    Args:
        value: what it is here.
        source: the expression that gives it.
    """

    value: Value
    source: str

    def as_condition(self) -> Atom:
        return condition(self.source, bool(self.value))


@dataclass(frozen=True)
class Choice:
    """Different values under different conditions; a single one if the name is unbound otherwise."""

    alternatives: tuple[tuple[Conditions, Value], ...]


@dataclass(frozen=True)
class Registry:
    kind: RegistryKind


@dataclass(frozen=True)
class RegisterMethod:
    """`PIPELINE_REGISTRY.register_pipeline`, under whatever name."""

    kind: RegistryKind


@dataclass(frozen=True)
class Identity:
    """A decorator that gives back what it is given, such as `functools.lru_cache()`."""


@dataclass(frozen=True)
class Version:
    """A version number that compares as versions do, without its suffixes."""

    release: tuple[int, ...]


@dataclass(eq=False)
class Frame:
    """The names of a module, a class body or one call of a function."""

    module: Module
    parent: Frame | None = None
    names: dict[str, Value] = field(default_factory=dict)
    global_names: set[str] = field(default_factory=set)
    is_class: bool = False
    conditions_before: int = 0
    returns: list[tuple[Conditions, Value]] = field(default_factory=list)
    yields: list[Value] | None = None


@dataclass(eq=False)
class Module:
    """A file of the user's.

    Args:
        file: where it is.
        name: what `__name__` is in it.
        tree: its syntax tree; None if it does not parse, or is not parsed yet.
        package: the dotted name against which its relative imports are resolved, for a file of an installed package
            whose imports are not followed; None for a file of the user's.
        stars: the packages that it imports `*` from.
        walked: whether its names are known.
        under: the conditions under which it was walked.
    """

    file: Path
    name: str
    tree: ast.Module | None = None
    package: str | None = None
    stars: list[str] = field(default_factory=list)
    walked: bool = False
    under: Conditions = ()
    frame: Frame = field(init=False)

    def __post_init__(self) -> None:
        self.frame = Frame(self)


@dataclass(eq=False)
class ClassValue:
    """A class that the user's files define."""

    name: str
    file: Path
    bases: tuple[Value, ...] = ()
    attributes: dict[str, Value] = field(default_factory=dict)
    fields: tuple[str, ...] = ()  # of a dataclass or NamedTuple, in order


@dataclass(eq=False)
class Instance:
    """A dataclass or NamedTuple of the user's, made by a call."""

    of: ClassValue
    attributes: dict[str, Value]


@dataclass(frozen=True)
class MissingName:
    """A name imported from a file of the user's that does not define it, does not parse or does not exist."""

    name: str
    file: Path


@dataclass(frozen=True)
class Deferred:
    """A name imported from a file that is not walked before the name is used."""

    module: Module
    name: str


@dataclass(eq=False)
class Function:
    node: ast.FunctionDef | ast.Lambda
    module: Module
    frame: Frame | None  # of the enclosing function
    defaults: dict[str, Value]


@dataclass(frozen=True, eq=False)
class Partial:
    function: Value
    arguments: Arguments


@dataclass(frozen=True, eq=False)
class Method:
    """A method of a plain value: `"a-{}".format`, `tasks.append`."""

    of: Value
    name: str


@dataclass(eq=False)
class Arguments:
    """The arguments of a call.

    Args:
        rest: the value of a `*x` or `**x` that is unknown, so that more arguments may follow; else None.
    """

    positional: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    rest: Unknown | None = None

    def __iter__(self) -> Iterator[Value]:
        return itertools.chain(self.positional, self.keywords.values())


def source_text(node: ast.AST, limit: int = 100) -> str:
    """Return the source of a node on one line, shortened."""
    try:
        text = " ".join(ast.unparse(node).split())
    except (RecursionError, ValueError):
        return "..."
    return text if len(text) <= limit else text[: limit - 3] + "..."


def condition(text: str, here: bool | None = None) -> Atom:
    """Return the condition that an expression with this text is true."""
    is_simple = re.fullmatch(r"[\w.]+(\([^()]*\))?", text) is not None
    return Atom(text, f"not {text}" if is_simple else f"not ({text})", here=here)


def is_plain(value: Value, _depth: int = 0) -> bool:
    """Tell whether a value is known through and through, so that Python's own operators may be used on it."""
    if isinstance(value, _PLAIN):
        return True
    if _depth > 50:
        return False
    if isinstance(value, (list, tuple)):
        return all(is_plain(item, _depth + 1) for item in value)
    if isinstance(value, dict):
        return all(is_plain(key, _depth + 1) and is_plain(item, _depth + 1) for key, item in value.items())
    return False


def truth(value: Value) -> bool | None:
    """Return the truth of a value, None if unknown."""
    if isinstance(value, (*_PLAIN, list, tuple, dict)):
        return bool(value)
    if isinstance(value, (Registry, RegisterMethod, Module, ClassValue, Function, Partial, Instance, Version)):
        return True
    return None


def same(one: Value, other: Value) -> bool:
    """Tell whether two values are certainly the same."""
    if one is other or (isinstance(one, (External, Registry, RegisterMethod, Deferred)) and one == other):
        return True
    try:
        if isinstance(one, Local) and isinstance(other, Local):
            one, other = one.value, other.value
        return type(one) is type(other) and is_plain(one) and is_plain(other) and bool(one == other)
    except RecursionError:
        return False


def contradicts(conditions: Conditions, others: Conditions) -> bool:
    """Tell whether one set of conditions assumes what the other denies."""
    return any(atom.negated() in conditions for atom in others)


def holds_here(conditions: Conditions) -> bool | None:
    """Tell whether conditions hold on this machine, None if only running the code would tell."""
    verdicts = {atom.holds_here for atom in conditions}
    return False if False in verdicts else None if None in verdicts else True


def here(value: Value) -> Value:
    """Return what a value is on this machine; unchanged where only running the code would tell."""
    if isinstance(value, Local):
        return value.value
    if isinstance(value, Choice):
        left = [item for conditions, item in value.alternatives if holds_here(conditions) is not False]
        return here(left[0]) if len(left) == 1 else value
    return value


def conjunction(*groups: Iterable[Atom]) -> Conditions:
    """Unite conditions, each once."""
    return tuple(dict.fromkeys(itertools.chain(*groups)))


def conditions_text(conditions: Conditions) -> str | None:
    """Return conditions as one readable expression; None if there are none."""
    texts = [str(atom) for atom in dict.fromkeys(conditions)]
    if len(texts) < 2:
        return texts[0] if texts else None
    return " and ".join(f"({text})" if " or " in text or " if " in text else text for text in texts)


def choose(alternatives: Iterable[tuple[Conditions, Value]], node: ast.AST) -> Value:
    """Make one value of several, nested choices flattened; of too many those that are possible here, or unknown."""
    flat: list[tuple[Conditions, Value]] = []
    for conditions, value in alternatives:
        inner = value.alternatives if isinstance(value, Choice) else (((), value),)
        flat += [(conjunction(conditions, more), item) for more, item in inner if not contradicts(conditions, more)]
    if len(flat) > MAX_ALTERNATIVES:
        flat = [(conditions, value) for conditions, value in flat if holds_here(conditions) is not False]
    if not flat or len(flat) > MAX_ALTERNATIVES:
        return Unknown(node)
    first = flat[0][1]
    if not flat[0][0] or (len(flat) > 1 and all(same(first, value) for _, value in flat)):
        return first
    return Choice(tuple(flat))


def lift(node: ast.AST, function: Callable[..., Value], *values: Value) -> Value:
    """Apply a function to values, once for each combination of the alternatives among them.

    What is made of a value of this machine is one, too.
    """
    if not any(isinstance(value, Choice) for value in values):
        return _applied(node, function, values)
    combinations = _combinations(values)
    if combinations is None:
        return Unknown(node)
    return choose([(conditions, _applied(node, function, some)) for conditions, some in combinations], node)


def _applied(node: ast.AST, function: Callable[..., Value], values: Iterable[Value]) -> Value:
    values = tuple(values)
    if not any(_is_local(value) for value in values):
        return function(*values)
    return local(function(*(_without_locals(value) for value in values)), node)


def local(value: Value, node: ast.AST) -> Value:
    """Mark a value as one of this machine, if it is known."""
    return value if isinstance(value, (Unknown, External, Choice, Local)) else Local(value, source_text(node))


def _is_local(value: Value) -> bool:
    return isinstance(value, Local) or (
        isinstance(value, (tuple, list)) and any(isinstance(item, Local) for item in value)
    )


def _without_locals(value: Value) -> Value:
    if isinstance(value, (tuple, list)) and _is_local(value):
        return type(value)(item.value if isinstance(item, Local) else item for item in value)
    return value.value if isinstance(value, Local) else value


def _combinations(values: Iterable[Value]) -> list[tuple[Conditions, tuple[Value, ...]]] | None:
    """Return the combinations of alternatives that do not contradict each other.

    Of too many, those that are possible here; None if these are too many as well.
    """
    found: list[tuple[Conditions, tuple[Value, ...]]] = [((), ())]
    for value in values:
        options = value.alternatives if isinstance(value, Choice) else (((), value),)
        found = [
            (conjunction(conditions, more), (*before, item))
            for conditions, before in found
            for more, item in options
            if not contradicts(conditions, more)
        ]
        if len(found) > MAX_ALTERNATIVES:
            found = [row for row in found if holds_here(row[0]) is not False]
        if len(found) > MAX_ALTERNATIVES:
            return None
    return found


def expand(value: Value, node: ast.AST) -> Value:
    """Bring choices inside a tuple, list or dict to the outside, and take values of this machine as they are here."""
    if isinstance(value, Local):
        return expand(value.value, node)
    if isinstance(value, Choice):
        return choose([(conditions, expand(item, node)) for conditions, item in value.alternatives], node)
    if isinstance(value, (list, tuple)):
        return lift(node, lambda *items: tuple(items), *(expand(item, node) for item in value))
    if isinstance(value, dict):
        keys = list(value)
        return lift(node, lambda *items: dict(zip(keys, items)), *(expand(item, node) for item in value.values()))
    return value
