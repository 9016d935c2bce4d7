"""What `_forward` returned: a batch's outputs row by row, and their precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class NotABatchError(Exception):
    """What `_forward` returned for a batch cannot be taken apart into its rows."""


def taken_apart(outputs: Any, count: int) -> list[Any]:
    """Return a batch's outputs row by row, each as if the batch had one row; by transformers' own rules.

    Raises:
        NotABatchError: they are not so many rows.
    """
    import torch

    try:
        first = outputs if isinstance(outputs, torch.Tensor) else next(iter(outputs.values()))
        if len(first) != count:
            raise NotABatchError(f"{len(first)} outputs for {count} rows")
        if type(outputs) is dict and not any(isinstance(value, Mapping) for value in outputs.values()):
            columns = [_column(name, value, count) for name, value in outputs.items()]
            names = [name for name, column in zip(outputs, columns) if column is not None]
            rows = zip(*[column for column in columns if column is not None])
            return [dict(zip(names, row)) for row in rows]
        return _taken_apart_by_transformers(outputs, count)
    except NotABatchError:
        raise
    except Exception as error:  # a stage may return anything: what is no batch is run row by row
        raise NotABatchError(f"{type(error).__name__}: {error}") from error


def as_given(outputs: list[Any], model_inputs: list[Any]) -> list[Any]:
    """Put back arrays that a stage hands on: transformers gives those of a batch one more axis."""
    import numpy

    for name, value in model_inputs[0].items():
        if isinstance(value, numpy.ndarray):
            for output, given in zip(outputs, model_inputs):
                if isinstance(output, Mapping) and getattr(output.get(name), "base", None) is given[name]:
                    output[name] = given[name]  # type: ignore[index]
    return outputs


def _column(name: str, values: Any, count: int) -> Sequence[Any] | None:
    """Return one value of each row, as transformers' iterator does one by one; None if it leaves the name out."""
    import numpy
    import torch

    if name in ("hidden_states", "attentions") and isinstance(values, tuple):
        if isinstance(values[0], torch.Tensor):
            return [tuple(value[place].unsqueeze(0) for value in values) for place in range(count)]
        if isinstance(values[0], numpy.ndarray):
            return [tuple(numpy.expand_dims(value[place], 0) for value in values) for place in range(count)]
        return None
    if name == "past_key_values":
        return None
    if values is None:
        return [None] * count
    if isinstance(values, torch.Tensor) and type(values) is torch.Tensor and values.ndim:
        found: Sequence[Any] = values.split(1)
    else:
        found = [values[place] for place in range(count)]
        if not all(type(value) is str for value in found):
            found = [_with_batch_axis(value) for value in found]
    if len(found) < count:
        raise NotABatchError(f"{len(found)} outputs for {count} rows")
    return found


def _with_batch_axis(value: Any) -> Any:
    import numpy
    import torch

    if isinstance(value, torch.Tensor):
        return value.unsqueeze(0)
    return numpy.expand_dims(value, 0) if isinstance(value, numpy.ndarray) else value


def _taken_apart_by_transformers(outputs: Any, count: int) -> list[Any]:
    from transformers.pipelines.pt_utils import PipelineIterator

    iterator = PipelineIterator(None, None, {}, loader_batch_size=count)
    iterator._loader_batch_data = outputs
    iterator._loader_batch_index = 0
    return [iterator.loader_batch_item() for _ in range(count)]


def in_float32(outputs: Any) -> Any:
    """Return outputs with numbers of low precision as float32: numpy knows no bfloat16."""
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    if isinstance(outputs, Mapping) and any(_is_low(value) for value in outputs.values()):
        found: Any = {key: in_float32(value) for key, value in outputs.items()}
        return found if type(outputs) is dict else type(outputs)(found)  # type: ignore[call-arg]
    if isinstance(outputs, (list, tuple)) and any(_is_low(value) for value in outputs):
        values = [in_float32(value) for value in outputs]
        return type(outputs)(*values) if hasattr(outputs, "_fields") else type(outputs)(values)
    return outputs


def _is_low(value: Any) -> bool:
    import torch

    if isinstance(value, Mapping):
        return any(_is_low(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return not (value and isinstance(value[0], str)) and any(_is_low(item) for item in value)
    return isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)
