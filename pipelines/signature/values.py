"""Values that know the parameters they are made of, and what they are when no parameter is given."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from pipesmith.pipelines.signature.classes import ClassSource
from pipesmith.pipelines.signature.constants import UNKNOWN
from pipesmith.pipelines.signature.names import Function


@dataclass(eq=False)
class Value:
    """What is known of a value.

    Args:
        origins: the parameters that it is made of, its entries aside.
        default: what it is when no parameter is given; UNKNOWN if only running would tell.
        sames: the parameters whose value it may be, unchanged.
        entries: the keys written into it, if it is a dictionary.
        items: its items, if it is a tuple or list that is written out.
        rest: for (a copy of) the var-keyword, the keys that are not in it; None for anything else.
        any_key: for the key of a loop over the var-keyword, the keys that it is not; None for anything else.
        unread: whether it is made of the var-keyword in a way that was not read.
        sentinel: the source of an argument's default that could not be read, as in `lang=MISSING`.
    """

    origins: set[str] = field(default_factory=set)
    default: object = UNKNOWN
    sames: frozenset[str] = frozenset()
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Value] | None = None
    rest: set[str] | None = None
    any_key: set[str] | None = None
    unread: bool = False
    sentinel: str | None = None

    @property
    def same(self) -> str | None:
        """The parameter whose value it is, unchanged, if there is one alone."""
        return next(iter(self.sames)) if len(self.sames) == 1 else None

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

    def known_entries(self) -> dict[str, Entry]:
        """Return its entries, those of a constant dictionary too."""
        if self.entries or not isinstance(self.default, dict):
            return self.entries
        return {key: Entry(Value(default=one), True) for key, one in self.default.items() if isinstance(key, str)}

    def known_items(self) -> list[Value] | None:
        """Return its items, those of a constant list too; None if they are not known."""
        if self.items is None and isinstance(self.default, (list, tuple)) and not self.origins:
            return [Value(default=item) for item in self.default]
        return self.items


@dataclass(eq=False)
class Entry:
    """A value under a key, and whether it is written when no parameter is given (None: not known)."""

    value: Value
    by_default: bool | None


@dataclass
class Frame:
    """One function that is being walked.

    Args:
        names: its local names.
        guards: the parameters that each enclosing condition reads, outermost first, those of its callers included.
        called: whether the call is reached when no parameter is given (None: not known).
        reached: whether this point is reached then, if the call is.
        sorting: how many enclosing conditions ask something unknown of the key of a loop over the var-keyword.
        returned: the values of its return statements, and whether each is reached.
        functions: the functions that are defined in it.
    """

    file: Path
    owner: ClassSource
    receiver: str | None
    names: dict[str, Value]
    guards: list[set[str]] = field(default_factory=list)
    called: bool | None = True
    reached: bool | None = True
    sorting: int = 0
    returned: list[tuple[Value, bool | None]] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)

    @property
    def in_effect(self) -> bool | None:
        """Whether this point of the call is reached when no parameter is given (None: not known)."""
        return both(self.called, self.reached)


def key_or_pair(key: Value, value: Value, what: str) -> Value:
    if what == "items":
        return Value(items=[key, value])
    return value if what == "values" else key


_DEEPEST = 8  # a dictionary may hold itself


def join(one: Value, other: Value, depth: int = 0) -> Value:
    """Return a value that may be either."""
    if depth > _DEEPEST:
        return made_of([one, other])
    made = Value(one.origins | other.origins, sames=one.sames | other.sames, unread=one.unread or other.unread)
    made.entries = dict(one.entries)
    for key, entry in other.entries.items():
        known = made.entries.get(key)
        if known is None or known is entry:
            made.entries[key] = entry
        else:
            by_default = known.by_default if known.by_default is entry.by_default else None
            made.entries[key] = Entry(join(known.value, entry.value, depth + 1), by_default)
    rests = [value.rest for value in (one, other) if value.rest is not None]
    if rests:
        made.rest = set.intersection(*rests)
    keys = [value.any_key for value in (one, other) if value.any_key is not None]
    if keys:
        made.any_key = set.intersection(*keys)
    if one.items is not None and other.items is not None and len(one.items) == len(other.items):
        made.items = [join(left, right, depth + 1) for left, right in zip(one.items, other.items, strict=True)]
    else:
        for value in (one, other):
            for item in value.items or ():
                made.origins |= item.all_origins()
    return made


def either(truth: bool | None, one: Value, other: Value, depth: int = 0) -> Value:
    """Return a value that may be either, and is `one if truth else other` when no parameter is given."""
    made = join(one, other, depth)
    if depth > _DEEPEST:
        return made
    if truth is not None:
        made.default = (one if truth else other).default
    for key in made.entries:
        made.entries[key] = _either_entry(truth, one.entries.get(key), other.entries.get(key), depth)
    if made.items is not None:
        pairs = zip(one.items or (), other.items or (), strict=True)
        made.items = [either(truth, *pair, depth + 1) for pair in pairs]
    return made


def _either_entry(truth: bool | None, one: Entry | None, other: Entry | None, depth: int) -> Entry:
    if one is other or one is None or other is None:
        entry = one or other
        assert entry is not None
        reached = True if one is other else truth if one is entry else negated(truth)
        return Entry(entry.value, both(reached, entry.by_default))
    known = one.by_default if one.by_default is other.by_default else None
    by_default = known if truth is None else (one if truth else other).by_default
    return Entry(either(truth, one.value, other.value, depth + 1), by_default)


def made_of(values: list[Value]) -> Value:
    """Return a value that is computed from others."""
    origins: set[str] = set()
    for value in values:
        origins |= value.all_origins()
    keys = [value.any_key for value in values if value.any_key is not None]
    unread = any(value.unread or value.rest is not None or value.any_key is not None for value in values)
    return Value(origins, any_key=set.intersection(*keys) if keys else None, unread=unread)


def compared(left: object, op: ast.cmpop, right: object) -> object:
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


def both(one: bool | None, other: bool | None) -> bool | None:
    """`one and other` where None is not known."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth
