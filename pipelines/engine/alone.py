"""Row by row, as transformers yields them from `pipe(dataset, **parameters)`: for classes that cannot be batched."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipesmith.pipelines.engine.entry import dataset_of_one
from pipesmith.pipelines.engine.failures import let_through, row_error
from pipesmith.pipelines.engine.rows import Row, RowResult
from pipesmith.pipelines.engine.time_limit import time_limit


def run_alone(
    pipe: Any,
    rows: Iterable[Row],
    *,
    notify: Callable[[str], None],
    row_timeout: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[RowResult]:
    """Yield one result for each row, in order, each as soon as it is there; see `engine.run`."""
    call = _Call(pipe, notify)
    for row in rows:
        if stop is not None and stop.is_set():
            return
        if row.error is not None:
            yield RowResult(row, error=row.error)
            continue
        try:
            with time_limit(row_timeout):
                result = call(row)
        except BaseException as error:  # a user's code raises what it likes; the row carries it
            let_through(error)
            yield RowResult(row, error=row_error(pipe, row.inputs, row.parameters, error))
        else:
            yield RowResult(row, result)


class _Call:
    """Calls a pipeline with one row, in the dataset form unless its own `__call__` cannot take a dataset."""

    def __init__(self, pipe: Any, notify: Callable[[str], None]) -> None:
        from transformers import Pipeline

        self._pipe = pipe
        self._notify = notify
        self._has_own_call = type(pipe).__call__ is not Pipeline.__call__
        self._takes_dataset = True

    def __call__(self, row: Row) -> Any:
        if not self._takes_dataset:
            return self._pipe(row.inputs, **row.parameters)
        try:
            return self._first(row)
        except Exception as error:
            # Chunks without `is_last`, as older pipelines make them: transformers' iterator fails, run_single does not.
            lacks_is_last = _fails_between_stages(error)
            if not (self._has_own_call or lacks_is_last):
                raise
            try:
                result = self._alone(row) if lacks_is_last else self._pipe(row.inputs, **row.parameters)
            except Exception as plain:  # of a `__call__` of its own, what a plain call raises is what its author knows
                raise (error if lacks_is_last else plain) from None
        name = type(self._pipe).__name__
        if lacks_is_last:
            self._notify(f"What {name} returns from a stage cannot be batched (no is_last?): it runs row by row.")
        else:
            self._takes_dataset = False
            if not type(self._pipe).__module__.startswith("transformers."):
                self._notify(f"{name}.__call__ takes no dataset: it runs row by row.")
        return result

    def _alone(self, row: Row) -> Any:
        """Run one row through `run_single`, with the parameters of the class and of the row."""
        stages = self._pipe._sanitize_parameters(**row.parameters)
        of_class = (self._pipe._preprocess_params, self._pipe._forward_params, self._pipe._postprocess_params)
        return self._pipe.run_single(row.inputs, *({**ours, **given} for ours, given in zip(of_class, stages)))

    def _first(self, row: Row) -> Any:
        results = self._pipe(dataset_of_one(row.inputs), **row.parameters)
        if not hasattr(results, "__iter__") or isinstance(results, (list, tuple, dict, str)):
            raise TypeError(f"{type(self._pipe).__name__} does not iterate over a dataset")
        return next(iter(results))


def _fails_between_stages(error: BaseException) -> bool:
    """Tell whether it was transformers' own iterator that failed, on what a stage returned."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith("pt_utils.py")
