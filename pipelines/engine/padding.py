"""What padding does to a row's output: found by comparing with the row alone, and taken off again.

transformers leaves it in: with `batch_size=` the features of a short text come with those of its padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TOLERANCE = {"float32": 1e-3, "float64": 1e-3}  # of what a batch may change; of lower precisions
_TOLERANCE_LOW = 5e-2

Axes = dict[tuple[Any, ...], tuple[int, ...]]  # of an output by its path, such as ("logits",): those that are padded


class OtherResultError(Exception):
    """A row's output in a batch is another than alone."""


def padded_axes(one: Any, other: Any, padding: int, piece: Any, pipe: Any, *, values: bool = True) -> Axes:
    """Compare a row's output in a batch with the one that it has alone, up to rounding.

    Args:
        one: the output in a batch.
        other: the output alone.
        padding: how much longer the batch was than the row.
        piece: the row's model inputs.
        pipe: the pipeline.
        values: whether values are compared, or shapes alone.

    Returns:
        The axes that are longer by the padding, of each tensor that has any.

    Raises:
        OtherResultError: they differ in another way.
    """
    comparison = _Comparison(padding, piece, pipe, values)
    comparison.compare((), one, other)
    # Who cuts a prompt off what was written relies on both being padded alike.
    return {} if comparison.is_written else comparison.axes


class _Comparison:
    def __init__(self, padding: int, model_inputs: Any, pipe: Any, values: bool) -> None:
        import torch

        self._tensor = torch.Tensor
        self._padding = padding
        self._inputs = model_inputs if isinstance(model_inputs, Mapping) else {}
        self._pipe = pipe
        self._values = values
        self._left = pads_left(pipe)
        precision = str(pipe.model.dtype).removeprefix("torch.")
        self._tolerance = _TOLERANCE.get(precision, _TOLERANCE_LOW)
        self.axes: Axes = {}
        self.is_written = False

    def compare(self, path: tuple[Any, ...], one: Any, other: Any) -> None:
        import numpy
        import torch

        if isinstance(one, Mapping) and isinstance(other, Mapping):
            for key in one:
                if key in other:
                    self.compare((*path, key), one[key], other[key])
        elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            self._require(len(one) == len(other))
            for place, (a, b) in enumerate(zip(one, other)):
                self.compare((*path, place), a, b)
        elif isinstance(one, numpy.ndarray) and isinstance(other, numpy.ndarray):
            if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
                self._require(one.shape == other.shape)
                self._compare_tensors(path, torch.from_numpy(one), torch.from_numpy(other))
        elif isinstance(one, self._tensor) and isinstance(other, self._tensor):
            self._compare_tensors(path, one, other)
        elif isinstance(one, (str, int, float, bool)) and self._values:
            self._require(type(one) is type(other) and one == other)

    def _require(self, condition: bool) -> None:
        if not condition:
            raise OtherResultError

    def _compare_tensors(self, path: tuple[Any, ...], one: Any, other: Any) -> None:
        self._require(one.ndim == other.ndim)
        if self._is_generated(path, one):
            self.is_written = True
            if self._values:
                self._require(self._tokens(one) == self._tokens(other))
            return
        longer = tuple(axis for axis in range(one.ndim) if one.shape[axis] != other.shape[axis])
        self._require(all(one.shape[axis] == other.shape[axis] + self._padding for axis in longer))
        if longer:
            self.axes[path] = longer
            one = _without(one, longer, self._padding, self._left)
        if not self._values:
            return
        if not (one.is_floating_point() or one.is_complex()):
            self._require(bool((one == other).all()))
            return
        finite = one.isfinite() & other.isfinite()
        self._require(bool(((one - other).abs() <= self._tolerance * (1 + other.abs()))[finite].all()))

    def _is_generated(self, path: tuple[Any, ...], tensor: Any) -> bool:
        """Tell whether a tensor is text that a model wrote: as long as it likes, whatever the padding."""
        model = self._pipe.model
        writes = hasattr(model, "can_generate") and model.can_generate()
        return bool(writes and not tensor.is_floating_point() and path[-1:] and path[-1] not in self._inputs)

    def _tokens(self, tensor: Any) -> list[int]:
        """Return tokens without the filling: a batch fills the front of short prompts and the end of short answers."""
        tokenizer = self._pipe.tokenizer
        filling = {getattr(tokenizer, "pad_token_id", None), getattr(tokenizer, "eos_token_id", None)}
        return [token for token in tensor.flatten().tolist() if token not in filling]


def pads_left(pipe: Any) -> bool:
    """Tell at which side batches of a pipeline are filled up."""
    extractor = pipe.feature_extractor if pipe.feature_extractor is not None else pipe.image_processor
    side = getattr(extractor, "padding_side", None) or getattr(pipe.tokenizer, "padding_side", None)
    return bool(side == "left")


def take_padding_off(outputs: list[Any], axes: Axes, paddings: Sequence[int], left: bool) -> None:
    """Change the rows of a batch's output to what they are alone.

    Args:
        outputs: the rows.
        axes: which of a row's axes are padded.
        paddings: how much longer the batch was than each row.
        left: whether the padding stands before the row.
    """
    is_flat = all(len(path) == len(padded) == 1 for path, padded in axes.items())
    if is_flat and all(type(output) is dict for output in outputs):  # nearly always: a row costs next to nothing then
        for (name,), (axis,) in axes.items():
            size = outputs[0][name].shape[axis]  # all are cut from one tensor
            for output, padding in zip(outputs, paddings):
                if padding:
                    output[name] = output[name].narrow(axis, padding if left else 0, size - padding)
        return
    for place, padding in enumerate(paddings):
        if padding:
            for path, padded in axes.items():
                outputs[place] = _replaced(outputs[place], path, padded, padding, left)


def _replaced(value: Any, path: tuple[Any, ...], axes: tuple[int, ...], padding: int, left: bool) -> Any:
    if not path:
        return _without(value, axes, padding, left)
    found = _replaced(value[path[0]], path[1:], axes, padding, left)
    if isinstance(value, tuple):
        return (*value[: path[0]], found, *value[path[0] + 1 :])
    value[path[0]] = found
    return value


def _without(tensor: Any, axes: tuple[int, ...], padding: int, left: bool) -> Any:
    for axis in axes:
        tensor = tensor.narrow(axis, padding if left else 0, tensor.shape[axis] - padding)
    return tensor
