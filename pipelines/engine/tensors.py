"""TensorFlow pipelines: the engine packs, pads and takes apart tensors of torch, and the stages see their own.

Not here: loading such a pipeline (`pipelines/tensorflow.py`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import GeneratorType
from typing import Any

_STAGES = ("preprocess", "forward", "postprocess")
_RUNS: Counter[int] = Counter()  # by the id of their pipeline
_OWN: dict[int, dict[str, Any]] = {}  # stages that were set on the pipeline itself
_CHANGING = threading.Lock()


def is_tensorflow(pipe: Any) -> bool:
    """Tell whether a pipeline runs a TensorFlow model."""
    return getattr(pipe, "framework", "pt") == "tf"


@contextmanager
def stages_in_torch(pipe: Any) -> Iterator[None]:
    """Let the stages of a TensorFlow pipeline take and return tensors of torch; no other pipeline is touched.

    Runs of one pipeline may overlap: the first changes it, and the last to end puts it back.
    """
    if not is_tensorflow(pipe):
        yield
        return
    with _CHANGING:
        _RUNS[id(pipe)] += 1
        if _RUNS[id(pipe)] == 1:
            _change(pipe)
    try:
        yield
    finally:
        with _CHANGING:
            _RUNS[id(pipe)] -= 1
            if not _RUNS[id(pipe)]:
                del _RUNS[id(pipe)]
                for name in _STAGES:
                    delattr(pipe, name)
                vars(pipe).update(_OWN.pop(id(pipe)))


def _change(pipe: Any) -> None:
    _OWN[id(pipe)] = {name: vars(pipe)[name] for name in _STAGES if name in vars(pipe)}
    preprocess, forward, postprocess = pipe.preprocess, pipe.forward, pipe.postprocess
    pipe.preprocess = lambda *args, **kwargs: to_torch(preprocess(*args, **kwargs))
    pipe.forward = lambda inputs, **kwargs: to_torch(_of_rows(forward(to_tensorflow(inputs), **kwargs), inputs))
    pipe.postprocess = lambda outputs, **kwargs: postprocess(to_tensorflow(outputs), **kwargs)


def _of_rows(outputs: Any, inputs: Any) -> Any:
    """Leave out `training`, which transformers adds to a batch's inputs, and which chunks hand on with them."""
    if type(outputs) is not dict or "training" in inputs:
        return outputs
    return {name: value for name, value in outputs.items() if name != "training"}


def to_torch(value: Any) -> Any:
    """Return a stage's value with tensors of torch in the place of TensorFlow's."""
    import numpy
    import tensorflow
    import torch

    def convert(tensor: Any) -> Any:
        return torch.from_numpy(numpy.array(tensor)) if isinstance(tensor, tensorflow.Tensor) else tensor

    if isinstance(value, GeneratorType):  # chunks
        return (_mapped(convert, chunk) for chunk in value)
    return _mapped(convert, value)


def to_tensorflow(value: Any) -> Any:
    """Return a stage's value with TensorFlow's tensors in the place of torch's."""
    import tensorflow
    import torch

    def convert(tensor: Any) -> Any:
        return tensorflow.constant(tensor.numpy()) if isinstance(tensor, torch.Tensor) else tensor

    return _mapped(convert, value)


def _mapped(convert: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {key: _mapped(convert, item) for key, item in value.items()}
        return found if type(value) is dict else type(value)(found)  # type: ignore[call-arg]
    if isinstance(value, (list, tuple)) and not (value and isinstance(value[0], str)):
        items = [_mapped(convert, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return convert(value)
