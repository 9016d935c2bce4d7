"""Rows of a window into batches: those of like length together, the one that is waited for first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.engine.model_inputs import TOKENS, Shape

_OF_A_BATCH = 12  # the budget that is best is about so many times what a batch costs by itself


class Piece:
    """One model input: a row's, or one chunk of it.

    Attributes:
        order: which piece of the run it is: the smaller, the longer it has been waited for.
        model_inputs: what `preprocess` returned.
        shape: how it can be batched.
        forward: the parameters of `_forward`.
    """

    __slots__ = ("forward", "model_inputs", "order", "shape")
    order: int
    model_inputs: Any
    shape: Shape
    forward: Any

    @property
    def cost(self) -> int:
        """What it takes of a budget."""
        return _cost(self.shape)


@dataclass(eq=False, slots=True)
class Batch:
    """Pieces for one forward.

    Args:
        pieces: the pieces; all of one unit.
        budget: which they were packed to.
        longest: the length to which all are padded; 1 where nothing is.
        cost: elements without padding.
        bytes: of the model inputs.
    """

    pieces: list[Piece]
    budget: int
    longest: int
    cost: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, pieces: Sequence[Piece], budget: int) -> Batch:
        """Return some pieces as a batch."""
        costs = [piece.cost for piece in pieces]
        size = sum(piece.shape.bytes for piece in pieces)
        return cls(list(pieces), budget, max(costs), sum(costs), size)

    @property
    def unit(self) -> str:
        """What its budget counts."""
        return self.pieces[0].shape.unit

    @property
    def padded(self) -> int:
        """Elements with padding."""
        return self.longest * len(self.pieces)


def _cost(shape: Shape) -> int:
    return max(1, shape.length) if shape.unit == TOKENS else 1


def pack(
    pieces: Iterable[Piece], next_budget: Callable[[str], int], most: int | None = None, *, same_length: bool = False
) -> list[Batch]:
    """Pack pieces into batches.

    Args:
        pieces: of one window, in their order.
        next_budget: gives the budget of the next batch, of a unit ("tokens" or "rows").
        most: how many pieces a batch holds at most, whatever the budget; None for any number.
        same_length: whether a batch holds one length only.

    Returns:
        The batches; the one with the oldest piece first.
    """
    alike: dict[tuple[int, int], list[Piece]] = {}  # of one shape: there are few of those, and they sort quickly
    for piece in pieces:
        place = (id(piece.shape), id(piece.forward))
        found = alike.get(place)
        if found is None:
            alike[place] = [piece]
        else:
            found.append(piece)
    groups: dict[Any, list[list[Piece]]] = {}
    for same in alike.values():
        shape = same[0].shape
        key = (shape.key, shape.unit, id(same[0].forward), shape.length if same_length else None)
        groups.setdefault(key, []).append(same)
    dated: list[tuple[int, Batch]] = []
    for group in groups.values():
        dated += _filled(group, next_budget, most)
    dated.sort(key=lambda item: item[0])
    return [batch for _, batch in dated]


def _filled(
    group: list[list[Piece]], next_budget: Callable[[str], int], most: int | None
) -> Iterable[tuple[int, Batch]]:
    """Fill batches with pieces that can share one, the longest first; return each with its oldest piece's order."""
    group.sort(key=lambda same: (-same[0].shape.length, same[0].order))
    batches: list[tuple[int, Batch]] = []
    place, begin = 0, 0  # the next piece: in which of the lists, and where in it
    while place < len(group):
        shape = group[place][begin].shape
        longest, budget = _cost(shape), next_budget(shape.unit)
        room = 1 if shape.key is None else max(1, budget // longest)
        left = _best_share(group, place, begin, room if most is None else min(room, most), budget / _OF_A_BATCH)
        batch, oldest = Batch([], budget, longest), group[place][begin].order  # sorted: no piece after it is longer
        while left:
            same = group[place]
            part = same[begin : begin + left]
            batch.pieces += part
            batch.cost += _cost(part[0].shape) * len(part)
            batch.bytes += part[0].shape.bytes * len(part)
            oldest = min(oldest, part[0].order)
            left -= len(part)
            begin += len(part)
            if begin == len(same):
                place, begin = place + 1, 0
        batches.append((oldest, batch))
    return batches


def _best_share(group: Sequence[Sequence[Piece]], place: int, begin: int, room: int, own: float) -> int:
    """Return how many pieces to put into a batch, `room` at most: so many that most of what it costs is no padding.

    Args:
        group: pieces of one length a list, the longest first.
        place: the list of the first piece.
        begin: its place there.
        room: how many pieces fit.
        own: what a batch costs by itself, in elements.
    """
    longest = _cost(group[place][begin].shape)
    count, useful, best, found = 0, 0, 0.0, 1
    for number in range(place, len(group)):
        same = group[number]
        more = min(room - count, len(same) - begin)
        begin = 0
        count += more
        useful += more * _cost(same[0].shape)
        share = useful / (own + longest * count)
        if share >= best:
            best, found = share, count
        if count == room:
            break
    return found
