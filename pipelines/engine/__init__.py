"""Rows through a live pipeline.

Here row by row, as transformers yields them from `pipe(dataset, **parameters)`. Not here: reading inputs, progress,
writing; those live on the caller's side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.engine.failures import row_error
from pipesmith.pipelines.errors import PipeError


@dataclass(frozen=True)
class Row:
    """One input.

    Args:
        inputs: what the pipeline's `preprocess` takes first.
        parameters: the parameters of this row's call.
        number: which row it is, from 1.
    """

    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1


@dataclass(frozen=True)
class RowResult:
    """What became of a row: its result, or the error in its place."""

    row: Row
    result: Any = None
    error: PipeError | None = None


def run(pipe: Any, rows: Iterable[Row]) -> Iterator[RowResult]:
    """Yield one result for each row, in order, each as soon as it is there.

    Args:
        pipe: a live transformers.Pipeline.
        rows: the inputs; taken one at a time.

    Yields:
        The result as transformers gives it for a row of a dataset, or the error that the row raised.
    """
    call = _Call(pipe)
    for row in rows:
        try:
            result = call(row)
        except Exception as error:  # a user's code raises what it likes; the row carries it
            yield RowResult(row, error=row_error(pipe, row.inputs, row.parameters, error))
        else:
            yield RowResult(row, result)


class _Call:
    """Calls a pipeline with one row, in the dataset form unless its own `__call__` cannot take a dataset."""

    def __init__(self, pipe: Any) -> None:
        from transformers import Pipeline

        self._pipe = pipe
        self._is_standard = type(pipe).__call__ is Pipeline.__call__
        self._takes_dataset = True

    def __call__(self, row: Row) -> Any:
        if not self._takes_dataset:
            return self._pipe(row.inputs, **row.parameters)
        if self._is_standard:
            return self._first(row)
        try:
            return self._first(row)
        except Exception as error:
            try:
                result = self._pipe(row.inputs, **row.parameters)
            except Exception:
                raise error from None
            self._takes_dataset = False
            return result

    def _first(self, row: Row) -> Any:
        results = self._pipe(_dataset_of_one(row.inputs), **row.parameters)
        if not hasattr(results, "__iter__") or isinstance(results, (list, tuple, dict, str)):
            raise TypeError(f"{type(self._pipe).__name__} does not iterate over a dataset")
        return next(iter(results))


def _dataset_of_one(inputs: Any) -> Any:
    from torch.utils.data import Dataset

    class OneRow(Dataset):  # type: ignore[misc]  # torch is imported here only
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            return inputs

    return OneRow()
