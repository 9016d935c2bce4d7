"""Where transformers is entered: a class's own `__call__`, up to the point where it would begin to batch.

`get_iterator` is replaced on the instance, and the class is called with a dataset. What its `__call__` and
`_sanitize_parameters` make of input and parameters is then known, and the stages are still ours to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.engine.rows import Row


@dataclass(frozen=True)
class Stages:
    """What the three stages of a row are given.

    Args:
        inputs: the first argument of `preprocess`.
        preprocess: its further arguments.
        forward: those of `_forward`.
        postprocess: those of `postprocess`.
    """

    inputs: Any
    preprocess: Mapping[str, Any]
    forward: Mapping[str, Any]
    postprocess: Mapping[str, Any]


class Entry:
    """Enters one live pipeline; a context manager that leaves it as it was.

    Args:
        pipe: the pipeline.
    """

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._parameters: Mapping[str, Any] | None = None
        self._found: tuple[Any, Any, Any, Any] | None = None

    def __enter__(self) -> Entry:
        self._pipe.get_iterator = self._capture
        return self

    def __exit__(self, *exception: object) -> None:
        del self._pipe.get_iterator

    def takes(self, row: Row) -> bool:
        """Tell whether the class lets itself be entered; asked with the first row.

        A class with its own `get_iterator`, and one whose `__call__` does not hand on a dataset, does not.
        """
        from transformers import Pipeline
        from transformers.pipelines.base import ChunkPipeline

        kind = type(self._pipe)
        if kind.get_iterator not in (Pipeline.get_iterator, ChunkPipeline.get_iterator):
            return False
        try:
            self.stages(row)
        except Exception:  # of the user's __call__, or of this row's parameters: then the row carries it
            return kind.__call__ is Pipeline.__call__
        return True

    def stages(self, row: Row) -> Stages:
        """Return what the stages of a row are given.

        Raises:
            TypeError: the class's `__call__` does not hand on a dataset. Whatever else the class raises.
        """
        if row.parameters is not self._parameters:
            self._parameters = None
        if self._parameters is None or self._found is None or self._found[0] is not None:
            self._found = self._enter(row)
            self._parameters = row.parameters
        given, preprocess, forward, postprocess = self._found
        inputs = row.inputs if given is None else _first(given)
        return Stages(inputs, preprocess, forward, postprocess)

    def _enter(self, row: Row) -> tuple[Any, Any, Any, Any]:
        """Return the dataset that came through, None if it is the one that was given, and the stages' parameters."""
        dataset = dataset_of_one(row.inputs)
        self._found = None
        token = self._pipe(dataset, **row.parameters)
        found: Any = self._found
        if found is None or token is not self:
            raise TypeError(f"{type(self._pipe).__name__}.__call__ does not hand on a dataset")
        return (None if found[0] is dataset else found[0], *found[1:])

    def _capture(
        self, inputs: Any, num_workers: int, batch_size: int, preprocess: Any, forward: Any, postprocess: Any
    ) -> Entry:
        """Stand in for `get_iterator`."""
        self._found = (inputs, preprocess, forward, postprocess)
        return self


def dataset_of_one(inputs: Any) -> Any:
    """Return a torch Dataset of one row."""
    from torch.utils.data import Dataset

    class OneRow(Dataset):  # type: ignore[misc]  # torch is imported here only
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            return inputs

    return OneRow()


def _first(dataset: Any) -> Any:
    return dataset[0] if hasattr(dataset, "__getitem__") else next(iter(dataset))
