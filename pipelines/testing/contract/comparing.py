"""Results compared: numbers within a tolerance, all else exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-4  # of float32: what another order of additions may change, absolute and relative
_SHOWN = 160  # characters


@dataclass(frozen=True)
class Difference:
    """Where two results differ.

    Args:
        path: such as `.score` or `[0].label`; "" for the whole.
        expected, got: the values there.
    """

    path: str
    expected: str
    got: str


def difference(expected: Any, got: Any, tolerance: float = TOLERANCE) -> Difference | None:
    """Return the first place where two plain results differ, None if they are the same."""
    return next(_differences(expected, got, tolerance, ""), None)


def same(one: Any, other: Any, tolerance: float = TOLERANCE) -> bool:
    """Tell whether two plain results are the same."""
    return difference(one, other, tolerance) is None


def _differences(expected: Any, got: Any, tolerance: float, path: str) -> Iterator[Difference]:
    if _is_number(expected) and _is_number(got):
        if abs(expected - got) > tolerance * (1 + abs(expected)):
            yield Difference(path, shown(expected), shown(got))
    elif type(expected) is not type(got):
        yield Difference(path, shown(expected), shown(got))
    elif isinstance(expected, dict):
        if list(expected) != list(got):
            yield Difference(path, f"the keys {', '.join(map(str, expected))}", f"the keys {', '.join(map(str, got))}")
            return
        for key in expected:
            yield from _differences(expected[key], got[key], tolerance, f"{path}.{key}")
    elif isinstance(expected, list):
        if len(expected) != len(got):
            yield Difference(path, f"{len(expected)} items", f"{len(got)} items")
            return
        for place, (one, other) in enumerate(zip(expected, got)):
            yield from _differences(one, other, tolerance, f"{path}[{place}]")
    elif expected != got:
        yield Difference(path, shown(expected), shown(got))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def structure(value: Any) -> Any:
    """Return a result with its values replaced by their types: keys, lengths and kinds."""
    if isinstance(value, dict):
        return {key: structure(item) for key, item in value.items()}
    if isinstance(value, list):
        return [structure(item) for item in value]
    return "number" if _is_number(value) else type(value).__name__


def shown(value: Any) -> str:
    """Write a value for a report, shortened."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def floats_by_path(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every float of a result with its path, places in lists left out."""
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from floats_by_path(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from floats_by_path(item, f"{path}[]")
