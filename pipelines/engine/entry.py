"""Where transformers is entered: a class's own `__call__`, up to the point where it would begin to batch.

The class is called with a dataset while `get_iterator` is replaced on the instance. What its `__call__` and
`_sanitize_parameters` make of input and parameters is then known, and the stages are still ours to run. It is replaced
for that call alone: while results are awaited the pipeline may be called, and run by the engine, as ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.engine.failures import let_through
from pipesmith.pipelines.engine.rows import Row
from pipesmith.pipelines.engine.tensors import is_tensorflow

_ENTERING = threading.RLock()  # two runs of one pipeline do not enter it at once


@dataclass(eq=False, slots=True)
class Stages:
    """What the stages are given beside a row.

    Args:
        preprocess: the arguments of `preprocess` after the first.
        forward: those of `_forward`.
        postprocess: those of `postprocess`.
    """

    preprocess: Mapping[str, Any]
    forward: Mapping[str, Any]
    postprocess: Mapping[str, Any]


class Entry:
    """Enters one live pipeline, which is otherwise as it was.

    Args:
        pipe: the pipeline.
    """

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._parameters: Mapping[str, Any] | None = None  # of the row before, where a row does not change them
        self._stages: Stages | None = None
        self._captured: tuple[Any, Any, Any, Any] | None = None
        self._forwards: list[Mapping[str, Any]] = []

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
        except BaseException as error:  # of the user's __call__, or of this row's parameters: then the row carries it
            let_through(error)
            return kind.__call__ is Pipeline.__call__
        return True

    def stages(self, row: Row) -> tuple[Any, Stages]:
        """Return what a row's `preprocess` is given first, and what the stages are given beside it.

        Raises:
            TypeError: the class's `__call__` does not hand on a dataset. Whatever else the class raises.
        """
        parameters, known = row.parameters, self._stages
        if known is not None and (parameters is self._parameters or not (parameters or self._parameters)):
            return row.inputs, known
        self._stages = None
        dataset = dataset_of_one(row.inputs)
        given, preprocess, forward, postprocess = self._enter(dataset, parameters)
        stages = Stages(preprocess, self._interned(forward), postprocess)
        if given is not dataset:  # the class changes its inputs: it is asked with every row
            return _first(given), stages
        self._parameters, self._stages = parameters, stages
        return row.inputs, stages

    def _enter(self, dataset: Any, parameters: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
        """Return the dataset that came through and the stages' parameters."""
        with self._replaced():
            token = self._pipe(dataset, **parameters)
        captured: Any = self._captured
        self._captured = None
        if captured is None or token is not self:
            raise TypeError(f"{type(self._pipe).__name__}.__call__ does not hand on a dataset")
        return captured  # type: ignore[no-any-return]

    @contextmanager
    def _replaced(self) -> Iterator[None]:
        """Let what `__call__` hands to `get_iterator` in this thread come here; other threads' calls are their own."""
        kind, thread = type(self._pipe), threading.get_ident()

        def get_iterator(inputs: Any, num_workers: int, batch_size: int, *stages: Any) -> Any:
            if threading.get_ident() != thread:
                return kind.get_iterator(self._pipe, inputs, num_workers, batch_size, *stages)
            self._captured = (inputs, *stages)
            return self

        def iterate(inputs: Any, *stages: Any) -> Any:  # of TensorFlow
            if threading.get_ident() != thread:
                return kind.iterate(self._pipe, inputs, *stages)
            return get_iterator(inputs, 0, 1, *stages)

        ours = {"get_iterator": get_iterator, **({"iterate": iterate} if is_tensorflow(self._pipe) else {})}
        with _ENTERING:
            self._captured = None
            before = {name: vars(self._pipe)[name] for name in ours if name in vars(self._pipe)}
            vars(self._pipe).update(ours)
            try:
                yield
            finally:
                for name in ours:
                    del vars(self._pipe)[name]
                vars(self._pipe).update(before)

    def _interned(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return equal parameters as one object: rows share a batch only if theirs are."""
        for known in self._forwards:
            if _equal(known, parameters):
                return known
        self._forwards = [parameters, *self._forwards[:50]]
        return parameters


def dataset_of_one(inputs: Any) -> Any:
    """Return a torch Dataset of one row."""
    from torch.utils.data import Dataset

    class OneRow(Dataset):  # type: ignore[misc]  # torch is imported here only
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            if index not in (0, -1):
                raise IndexError(index)  # ends a `for` over it in a class's `__call__`
            return inputs

        def __add__(self, other: Any) -> Any:  # a `__call__` that adds to a text: torch would take `other` for rows
            return NotImplemented

    return OneRow()


def as_chat(inputs: Any) -> Any:
    """Return messages as the object that transformers makes of them, but not in a dataset; None for other inputs."""
    if not (isinstance(inputs, (list, tuple)) and inputs and all(isinstance(message, Mapping) for message in inputs)):
        return None
    if not all("role" in message and "content" in message for message in inputs):
        return None
    from transformers.pipelines import text_generation

    return text_generation.Chat(inputs)


def preprocess_again(preprocess: Callable[..., Any], inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """Return what `preprocess` makes of a chat's messages, as whose input it has just failed.

    Raises:
        Exception: the one that is being handled, if the input is no chat.
    """
    chat = as_chat(inputs)
    if chat is None:
        raise
    return preprocess(chat, **parameters)


def _first(dataset: Any) -> Any:
    return dataset[0] if hasattr(dataset, "__getitem__") else next(iter(dataset))


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and tensors compare element by element
        return False
