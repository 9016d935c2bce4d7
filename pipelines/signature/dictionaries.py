"""What writing and reading keys does to the dictionaries that `_sanitize_parameters` fills."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipesmith.pipelines.signature.constants import UNKNOWN
from pipesmith.pipelines.signature.routes import Given, Routing
from pipesmith.pipelines.signature.values import Entry, Frame, Value, both, join


class Dictionaries:
    """Writes and reads keys; not the dictionaries themselves, which are values."""

    def __init__(self, routing: Routing) -> None:
        self.routing = routing

    @contextmanager
    def _guarded(self, frame: Frame, test: Value, *, reached: bool | None) -> Iterator[None]:
        before = frame.reached
        sorts = test.any_key is not None and test.default is UNKNOWN
        frame.reached = reached
        frame.guards.append(test.all_origins())
        frame.sorting += sorts
        try:
            yield
        finally:
            frame.sorting -= sorts
            frame.guards.pop()
            frame.reached = before

    def _explained(self, value: Value, frame: Frame) -> Value:
        """Give a value that is made of no parameter those of the innermost condition that decides about it."""
        guard = next((one for one in reversed(frame.guards) if one), None)
        if guard is None or value.rest is not None or value.any_key is not None or value.items is not None:
            return value
        if not value.entries:
            return _made_by(value, guard)
        explained = {key: _made_by(entry.value, guard) for key, entry in value.entries.items()}
        if all(explained[key] is entry.value for key, entry in value.entries.items()):
            return value
        entries = {key: Entry(explained[key], entry.by_default) for key, entry in value.entries.items()}
        return replace(value, origins=set(value.origins), default=UNKNOWN, entries=entries)

    def _write(self, container: Value, key: Value, value: Value, node: ast.AST, frame: Frame) -> None:
        """`container[key] = value`."""
        if isinstance(key.default, int) and container.items is not None and key.default < len(container.items):
            container.items[key.default] = value
        elif isinstance(key.default, str):
            self._write_key(container, key.default, value, frame)
        elif key.any_key is not None and not key.unread:  # one of the keys that the loop goes over, unchanged
            container.rest = set(key.any_key) if container.rest is None else container.rest & key.any_key
            container.unread |= frame.sorting > 0
        else:
            container.origins |= value.all_origins()
            container.unread |= key.any_key is None and (key.unread or value.unread)
            self.routing.note(frame.file, node, f"a key that is decided at run time ({ast.unparse(node)})")

    def _write_key(self, container: Value, key: str, value: Value, frame: Frame) -> None:
        value = self._explained(value, frame)
        container.default = UNKNOWN
        old = container.entries.get(key)
        reached = frame.in_effect
        if reached is True and not any(frame.guards):
            container.entries[key] = Entry(value, True)
            return
        if reached is True or old is None:
            by_default: bool | None = reached
            default = value.default
        elif reached is False:
            by_default, default = old.by_default, old.value.default
        else:
            by_default, default = None, UNKNOWN
        if old is not None:
            value = join(old.value, value)
            value.default = default
        container.entries[key] = Entry(value, by_default)

    def _merge(self, container: Value, other: Value, reached: bool | None = True) -> None:
        """`container.update(other)`, at a point that is reached when no parameter is given, or is not."""
        container.origins |= other.origins
        container.unread |= other.unread
        entries = other.known_entries()
        if other.all_origins() or other.is_dictionary or entries:
            container.default = UNKNOWN
        for key, entry in entries.items():
            by_default = both(reached, entry.by_default)
            if by_default is True or key not in container.entries:
                container.entries[key] = Entry(entry.value, by_default)
            else:
                old = container.entries[key]
                joined = join(old.value, entry.value)
                joined.default = old.value.default if by_default is False else UNKNOWN
                container.entries[key] = Entry(joined, old.by_default if by_default is False else None)
        if other.rest is not None:
            container.rest = set(other.rest) if container.rest is None else container.rest & other.rest

    def _update(self, container: Value, other: Value, frame: Frame) -> None:
        """`container.update(other)`."""
        self._merge(container, self._explained(other, frame), frame.in_effect)

    def _remove_key(self, container: Value, key: object, frame: Frame) -> None:
        """`del container[key]`, which may be in a condition: `if container[key] is None`."""
        if not isinstance(key, str):  # it may be any of them
            kept = {name: Entry(one.value, one.by_default and None) for name, one in container.entries.items()}
            container.entries = kept
            return
        entry = container.entries.get(key)
        if entry is None or (frame.in_effect is True and not any(frame.guards)):
            container.entries.pop(key, None)
        elif frame.in_effect is not False:
            container.entries[key] = Entry(entry.value, False if frame.in_effect else None)
        if container.rest is not None:
            container.rest.add(key)

    def _read_key(self, container: Value, key: str, default: Value | None, node: ast.AST, frame: Frame) -> Value:
        """Read a key, with `default` for `.get(key, default)`."""
        entry = container.entries.get(key)
        if container.rest is None or key in container.rest:
            if entry is not None:
                return entry.value
            return default if default is not None else Value(set(container.origins), unread=container.unread)
        known = default.default if default is not None else None
        self.routing.given.setdefault(key, Given(key, frame.owner, None, known, frame.file))
        self.routing.used.add(key)
        value = Value({key}, known, frozenset({key}))
        if entry is None:
            return value
        joined = join(value, entry.value)
        joined.default = entry.value.default if entry.by_default else known
        return joined


def _made_by(value: Value, guard: set[str]) -> Value:
    """Return a value that is made of no parameter as one made of those of a condition."""
    if value.all_origins() or value.rest is not None or (isinstance(value.default, dict) and not value.default):
        return value
    return replace(value, origins=set(guard))
