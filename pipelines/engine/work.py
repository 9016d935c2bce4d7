"""A row on its way through the stages."""

from __future__ import annotations

from typing import Any

from pipesmith.pipelines.engine.entry import Stages
from pipesmith.pipelines.engine.model_inputs import Shape
from pipesmith.pipelines.engine.packing import Piece
from pipesmith.pipelines.engine.rows import Row


class Work(Piece):
    """A row under way, which is a piece itself if its pipeline makes one model input of a row.

    Attributes:
        outputs: of its chunks, by their place; the caller's thread writes them.
        chunks: how many it has; None until `preprocess` has made the last.
        tokens: of its longest model input, 0 if it has no length in tokens; for messages.
    """

    __slots__ = ("chunks", "error", "is_done", "outputs", "result", "row", "stages", "tokens")
    stages: Stages
    outputs: dict[int, Any]

    def __init__(self, row: Row, order: int) -> None:
        self.row = row
        self.order = order
        self.tokens = 0
        self.chunks: int | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_done = False


class Chunk(Piece):
    """One of a row's model inputs."""

    __slots__ = ("owner", "place")

    def __init__(self, owner: Work, place: int, order: int, model_inputs: Any, shape: Shape) -> None:
        self.owner = owner
        self.place = place
        self.order = order
        self.model_inputs = model_inputs
        self.shape = shape
        self.forward = owner.stages.forward
        owner.tokens = max(owner.tokens, shape.tokens)
