"""What writing and reading keys does to the dictionaries that `_sanitize_parameters` fills."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

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
        frame.reached = reached
        frame.guards.append(test.all_origins())
        try:
            yield
        finally:
            frame.guards.pop()
            frame.reached = before

    def _explained(self, value: Value, frame: Frame) -> Value:
        """Give a value that is made of no parameter those of the innermost condition that decides about it."""
        guard = next((one for one in reversed(frame.guards) if one), None)
        if guard is None or value.rest is not None or value.any_key is not None or value.items is not None:
            return value
        if value.all_origins() or (isinstance(value.default, dict) and not value.default):
            return value
        return Value(set(guard), value.default, None, value.entries)

    def _write(self, container: Value, key: Value, value: Value, node: ast.AST, frame: Frame) -> None:
        """`container[key] = value`."""
        if isinstance(key.default, int) and container.items is not None and key.default < len(container.items):
            container.items[key.default] = value
        elif isinstance(key.default, str):
            self._write_key(container, key.default, value, frame)
        elif key.any_key is not None:  # one of the keys that the loop goes over, unchanged
            container.rest = set(key.any_key) if container.rest is None else container.rest & key.any_key
        else:
            container.origins |= value.all_origins()
            self.routing.note(frame.file, node, f"a key that is decided at run time ({ast.unparse(node)})")

    def _write_key(self, container: Value, key: str, value: Value, frame: Frame) -> None:
        value = self._explained(value, frame)
        container.default = UNKNOWN
        old = container.entries.get(key)
        if frame.reached is True and not any(frame.guards):
            container.entries[key] = Entry(value, True)
            return
        if frame.reached is True or old is None:
            by_default: bool | None = frame.reached
            default = value.default
        elif frame.reached is False:
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
        if other.all_origins() or other.is_dictionary:
            container.default = UNKNOWN
        for key, entry in other.entries.items():
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

    def _read_key(self, container: Value, key: str, default: Value | None, node: ast.AST, frame: Frame) -> Value:
        """Read a key, with `default` for `.get(key, default)`."""
        entry = container.entries.get(key)
        if container.rest is None or key in container.rest:
            if entry is not None:
                return entry.value
            return default if default is not None else Value(set(container.origins))
        known = default.default if default is not None else None
        self.routing.given.setdefault(key, Given(key, frame.owner, None, known, frame.file))
        self.routing.used.add(key)
        value = Value({key}, known, key)
        if entry is None:
            return value
        joined = join(value, entry.value)
        joined.default = entry.value.default if entry.by_default else known
        return joined
