"""Rows through a live pipeline.

Here row by row, as transformers yields them from `pipe(dataset, **parameters)`. Not here: reading inputs, progress,
writing; those live on the caller's side.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.engine.failures import row_error
from pipesmith.pipelines.engine.time_limit import time_limit
from pipesmith.pipelines.errors import InputError, PipeError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.user_code import describe, user_frame

_PLAIN = "Return text, numbers, lists and dicts from postprocess."


@dataclass(frozen=True)
class Row:
    """One input.

    Args:
        inputs: what the pipeline's `preprocess` takes first.
        parameters: the parameters of this row's call.
        number: which row it is, from 1.
        error: why the row cannot be run: it takes its place in the order, and its result is this error.
        origin: what the caller wants back with the result.
    """

    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1
    error: PipeError | None = None
    origin: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class RowResult:
    """What became of a row: its result, or the error in its place."""

    row: Row
    result: Any = None
    error: PipeError | None = None

    def plain(self, attach: Callable[[Any, str], str | None] | None = None) -> Any:
        """Return the result as plain JSON values.

        Args:
            attach: puts an image or a sound into a file and returns what to write in its place; see `to_plain`.

        Raises:
            InputError: the result cannot be written down: it contains itself, or fails when it is iterated.
        """
        try:
            return to_plain(self.result, attach)
        except PipeError:  # of `attach`
            raise
        except RecursionError as error:
            raise InputError(
                "The result contains itself, or is nested too deeply to be written.", hint=_PLAIN
            ) from error
        except Exception as error:  # a generator among the results is the user's code, run only now
            raise InputError(
                f"The result fails when it is read: {describe(error)}.{user_frame(error)}", hint=_PLAIN
            ) from error


def run(
    pipe: Any, rows: Iterable[Row], *, notify: Callable[[str], None] | None = None, row_timeout: float | None = None
) -> Iterator[RowResult]:
    """Yield one result for each row, in order, each as soon as it is there.

    Args:
        pipe: a live transformers.Pipeline.
        rows: the inputs; taken one at a time.
        notify: told once if the class cannot be called as transformers calls it for a dataset.
        row_timeout: seconds after which a row is given up.

    Yields:
        The result as transformers gives it for a row of a dataset, or the error that the row raised.
    """
    call = _Call(pipe, notify or (lambda text: None))
    for row in rows:
        if row.error is not None:
            yield RowResult(row, error=row.error)
            continue
        try:
            with time_limit(row_timeout):
                result = call(row)
        except (Exception, SystemExit) as error:  # a user's code raises what it likes; the row carries it
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
            except Exception:
                raise error from None
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
        results = self._pipe(_dataset_of_one(row.inputs), **row.parameters)
        if not hasattr(results, "__iter__") or isinstance(results, (list, tuple, dict, str)):
            raise TypeError(f"{type(self._pipe).__name__} does not iterate over a dataset")
        return next(iter(results))


def _fails_between_stages(error: BaseException) -> bool:
    """Tell whether it was transformers' own iterator that failed, on what a stage returned."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith("pt_utils.py")


def _dataset_of_one(inputs: Any) -> Any:
    from torch.utils.data import Dataset

    class OneRow(Dataset):  # type: ignore[misc]  # torch is imported here only
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            return inputs

    return OneRow()
