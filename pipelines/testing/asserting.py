"""Small things that tests of pipelines compare with, in the vocabulary of transformers' own tests."""

from __future__ import annotations

import importlib.util
import unittest
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pipesmith.pipelines.plain import to_plain

Test = TypeVar("Test", bound="Callable[..., Any] | type")


class ANY:
    """Equals every value of the given types.

    Args:
        types: one or several types: `{"score": ANY(float)}`.
    """

    __hash__ = None  # type: ignore[assignment]  # it equals many

    def __init__(self, *types: type) -> None:
        self._types = types

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self._types)

    def __repr__(self) -> str:
        return f"ANY({', '.join(kind.__name__ for kind in self._types)})"


def nested_simplify(value: Any, decimals: int = 3) -> Any:
    """Return a pipeline's output as plain values that can be compared: no tensors, numbers rounded.

    Args:
        value: what a pipeline returns.
        decimals: how many a number keeps.
    """
    return _rounded(to_plain(value), decimals)


def _rounded(value: Any, decimals: int) -> Any:
    if isinstance(value, float):
        return round(value, decimals)
    if isinstance(value, list):
        return [_rounded(item, decimals) for item in value]
    if isinstance(value, Mapping):
        return {key: _rounded(item, decimals) for key, item in value.items()}
    return value


def slow(test: Test) -> Test:
    """Mark a test that runs with `pytest --slow` only."""
    import pytest

    marked: Test = pytest.mark.slow(test)
    return marked


def require_torch(test: Test) -> Test:
    """Skip a test where PyTorch is not installed."""
    return unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed")(test)


def require_tf(test: Test) -> Test:
    """Skip a test where transformers has no TensorFlow models: without TensorFlow, and in transformers 5."""
    import transformers

    if int(transformers.__version__.partition(".")[0]) >= 5:
        return unittest.skip(f"transformers {transformers.__version__} has no TensorFlow models, 4.57 has")(test)
    available = transformers.utils.is_tf_available()
    return unittest.skipUnless(available, "TensorFlow is not installed, or USE_TF=0 turns it off")(test)
