"""Rows of a window into batches: those of like length together, the one that is waited for first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.engine.model_inputs import Shape


@dataclass(eq=False)
class Piece:
    """One model input: a row's, or one chunk of it.

    Args:
        order: which piece of the run it is: the smaller, the longer it has been waited for.
        owner: the row.
        place: which chunk of the row it is, from 0.
        model_inputs: what `preprocess` returned.
        shape: how it can be batched.
        forward: the parameters of `_forward`.
    """

    order: int
    owner: Any
    place: int
    model_inputs: Any
    shape: Shape
    forward: Any


@dataclass
class Batch:
    """Pieces for one forward.

    Args:
        pieces: the pieces.
        budget: which they were packed to.
    """

    pieces: list[Piece]
    budget: int

    @property
    def longest(self) -> int:
        """The length to which all are padded; 1 where nothing is."""
        return max(cost(piece) for piece in self.pieces)

    @property
    def padded(self) -> int:
        """Elements with padding."""
        return self.longest * len(self.pieces)

    @property
    def cost(self) -> int:
        """Elements without padding."""
        return sum(cost(piece) for piece in self.pieces)


def cost(piece: Piece) -> int:
    """Return what a piece takes of a budget."""
    return max(1, piece.shape.length) if piece.shape.unit == "tokens" else 1


def pack(
    pieces: Iterable[Piece], next_budget: Callable[[str], int], most: int | None = None, *, same_length: bool = False
) -> list[Batch]:
    """Pack pieces into batches.

    Args:
        pieces: of one window.
        next_budget: gives the budget of the next batch, of a unit ("tokens" or "rows").
        most: how many pieces a batch holds at most, whatever the budget; None for any number.
        same_length: whether a batch holds one length only.

    Returns:
        The batches; the one with the oldest piece first.
    """
    groups: dict[Any, list[Piece]] = {}
    for piece in pieces:
        length = piece.shape.length if same_length else None
        groups.setdefault((piece.shape.key, id(piece.forward), length), []).append(piece)
    batches: list[Batch] = []
    for (key, _, _), group in groups.items():
        group.sort(key=lambda piece: -piece.shape.length)
        budget, batch, longest = 0, None, 1
        for piece in group:
            full = (
                batch is None
                or key is None
                or (len(batch.pieces) + 1) * longest > budget
                or (most is not None and len(batch.pieces) >= most)
            )
            if full:
                longest = cost(piece)  # the group is sorted: no piece after it is longer
                budget = next_budget(piece.shape.unit)
                batch = Batch([], budget)
                batches.append(batch)
            assert batch is not None
            batch.pieces.append(piece)
    batches.sort(key=lambda batch: min(piece.order for piece in batch.pieces))
    return batches
