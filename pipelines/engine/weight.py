"""How heavy results are: fewer rows are under way at once where one result takes megabytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pipesmith.pipelines.engine.packing import Piece

_SAMPLE = 8  # items of a list that are looked at
_LIGHT = 2**10  # bytes of a result: not worth a look
_LISTED = 32  # bytes that a number takes in a list of Python


class Scale:
    """Weighs results now and then, and parts a window where they would be too heavy together."""

    def __init__(self) -> None:
        self._heaviest = 0.0  # bytes for each element of a model input
        self._is_light = True
        self._next, self._count = 1, 0

    def weigh(self, result: Any, piece: Piece) -> None:
        """Take a result into account: the first, and then ever fewer."""
        self._count += 1
        if self._count >= self._next:
            self._next = 2 * self._count
            found = weight(result)
            self._is_light = self._is_light and found <= _LIGHT
            self._heaviest = max(self._heaviest, found / piece.cost)

    def parts(self, pieces: list[Piece], most: int) -> Iterator[list[Piece]]:
        """Part a window, in its order, so that the results of each part weigh about `most` bytes at most."""
        begin, size = 0, 0.0
        if self._is_light or sum([piece.shape.length or 1 for piece in pieces]) * self._heaviest <= most:
            yield pieces
            return
        for end, piece in enumerate(pieces):
            heavy = piece.cost * self._heaviest
            if size + heavy > most and end > begin:
                yield pieces[begin:end]
                begin, size = end, 0.0
            size += heavy
        yield pieces[begin:]


def weight(value: Any, depth: int = 0) -> float:
    """Return about how many bytes a value takes, from a sample of its items."""
    if isinstance(value, (str, bytes)):
        return float(len(value))
    if isinstance(value, (list, tuple)):
        sample = value[:_SAMPLE]
        return sum(weight(item, depth + 1) for item in sample) * len(value) / max(1, len(sample)) if depth < 8 else 0.0
    if isinstance(value, Mapping):
        return sum(weight(item, depth + 1) for item in value.values()) if depth < 8 else 0.0
    size = None
    with suppress(Exception):  # a sparse tensor raises; and a property may raise what it likes
        size = value.nbytes  # numpy arrays, tensors
    if isinstance(size, int):
        return float(size)
    if hasattr(value, "width") and hasattr(value, "height"):  # a picture
        return 4.0 * float(value.width * value.height)
    return float(_LISTED)
