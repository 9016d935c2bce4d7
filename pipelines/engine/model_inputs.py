"""What `preprocess` returned, as a piece of a batch: what it can share one with, and how long it is.

transformers' own collate function pads every tensor along its second axis and looks at the first element of the first
axis alone. What would go through it changed is kept out of batches here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

TOKENS, ROWS = "tokens", "rows"
_FIXED = {"pixel_values", "image"}  # collated as they are
_MOST_SHAPES = 4096  # that are kept: later ones are worked out again


@dataclass(frozen=True, eq=False)
class Shape:
    """How a row's model input can be batched.

    Args:
        key: equal for inputs that can share a batch; None if this one cannot.
        length: elements along the axis that is padded, 0 if none is.
        unit: what a budget counts: "tokens" if the length is one of integers, else "rows".
        bytes: of all tensors.
    """

    key: Hashable | None
    length: int
    unit: str
    bytes: int

    @property
    def tokens(self) -> int:
        """The length if it is one of tokens, else 0."""
        return self.length if self.unit == TOKENS else 0


_NOT_A_DICT = Shape(None, 0, ROWS, 0)


class Shapes:
    """Finds out how model inputs can be batched; equal ones get the same object."""

    def __init__(self) -> None:
        import torch

        self._tensor = torch.Tensor
        self._known: dict[Hashable, Shape] = {}

    def of(self, model_inputs: Any) -> Shape:
        """Return how a model input can be batched.

        Inputs of several lengths share a batch only if an attention mask says what is padding; else equal lengths do.
        """
        if type(model_inputs) is not dict and not isinstance(model_inputs, Mapping):
            return _NOT_A_DICT
        look: list[Hashable] = []
        for name, value in model_inputs.items():
            if isinstance(value, self._tensor):
                look += (name, value.dtype, value.shape)
            else:
                look.append(name)
        key = tuple(look)
        shape = self._known.get(key)
        if shape is None:
            shape = self._worked_out(model_inputs)
            if len(self._known) < _MOST_SHAPES:
                self._known[key] = shape
        return shape

    def _worked_out(self, model_inputs: Mapping[Any, Any]) -> Shape:
        is_masked = isinstance(model_inputs.get("attention_mask"), self._tensor)
        parts: list[Hashable] = []
        length, unit, size, alone = 0, ROWS, 0, False
        for name, value in model_inputs.items():
            if not isinstance(value, self._tensor):
                parts.append(name)
                continue
            shape = tuple(value.shape)
            size += value.numel() * value.element_size()
            if not shape or shape[0] != 1:
                alone = True
            elif len(shape) == 1 or name in _FIXED or (len(shape) == 4 and name == "input_features"):
                parts.append((name, value.dtype, shape))
            else:
                if shape[1] >= length:
                    length = shape[1]
                    unit = ROWS if value.is_floating_point() else TOKENS
                parts.append((name, value.dtype, len(shape), shape[2:] if is_masked else shape[1:]))
        return Shape(None if alone else tuple(parts), length, unit, size)
