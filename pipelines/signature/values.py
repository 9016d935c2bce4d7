"""Values that know the parameters they are made of, and what they are when no parameter is given."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from pipesmith.pipelines.signature.classes import ClassSource
from pipesmith.pipelines.signature.constants import UNKNOWN


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


@dataclass
class Frame:
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


def key_or_pair(key: Value, value: Value, what: str) -> Value:
    if what == "items":
        return Value(items=[key, value])
    return value if what == "values" else key


def join(one: Value, other: Value) -> Value:
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
            made.entries[key] = Entry(join(known.value, entry.value), by_default)
    rests = [value.rest for value in (one, other) if value.rest is not None]
    if rests:
        made.rest = set.intersection(*rests)
    keys = [value.any_key for value in (one, other) if value.any_key is not None]
    if keys:
        made.any_key = set.intersection(*keys)
    if one.items is not None and other.items is not None and len(one.items) == len(other.items):
        made.items = [join(left, right) for left, right in zip(one.items, other.items, strict=True)]
    else:
        for value in (one, other):
            for item in value.items or ():
                made.origins |= item.all_origins()
    return made


def made_of(values: list[Value]) -> Value:
    """Return a value that is computed from others."""
    origins: set[str] = set()
    for value in values:
        origins |= value.all_origins()
    keys = [value.any_key for value in values if value.any_key is not None]
    return Value(origins, any_key=set.intersection(*keys) if keys else None)


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
