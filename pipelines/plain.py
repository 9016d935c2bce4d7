"""What a pipeline returns, as plain JSON values."""

from __future__ import annotations

import base64
import dataclasses
import enum
import math
import sys
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from pathlib import PurePath
from typing import Any


def to_plain(value: Any) -> Any:
    """Turn a pipeline's result into None, bool, int, float, str, list and dict.

    Tensors, arrays and iterators become (nested) lists, their scalars numbers, dataclasses and mappings objects, sets
    sorted lists, bytes base64 text, images an object that says their mode and size in pixels. NaN and infinities
    become None: JSON has no word for them. Anything else becomes its `str`.
    """
    if value is None or (isinstance(value, (bool, str)) and type(value) in (bool, str)):
        return value
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(to_plain(key)): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range, deque, Iterator, KeysView, ValuesView, ItemsView)):
        return [to_plain(item) for item in value]
    if isinstance(value, (Set, frozenset)):
        return sorted((to_plain(item) for item in value), key=str)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, PurePath):
        return str(value)
    return _library_value(value)


def _tensor(tensor: Any) -> Any:
    if tensor.is_meta:
        return f"tensor without values, of shape {tuple(tensor.shape)}"
    if tensor.is_sparse or tensor.layout != sys.modules["torch"].strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    return to_plain(tensor.detach().cpu().tolist())  # tolist reads bfloat16 as well


def _library_value(value: Any) -> Any:
    """Convert the values of libraries that are only looked at if something else has imported them."""
    torch, numpy, image = (sys.modules.get(name) for name in ("torch", "numpy", "PIL.Image"))
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(value)
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        plain = value.tolist()
        return str(value) if isinstance(plain, (numpy.ndarray, numpy.generic)) else to_plain(plain)
    if image is not None and isinstance(value, image.Image):
        return {"type": "image", "mode": value.mode, "width": value.width, "height": value.height}
    if hasattr(value, "data") and isinstance(value.data, Mapping):  # UserDict: BatchEncoding
        return to_plain(value.data)
    return str(value)
