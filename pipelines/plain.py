"""What a pipeline returns, as plain JSON values."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import math
import sys
from collections import deque
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from pathlib import PurePath
from typing import Any, NamedTuple

_JSON = {type(None), bool, int, str}  # most of what is ever seen: by type, since subclasses are turned into these
Attach = Callable[[Any, str], Any]


def to_plain(value: Any, attach: Attach | None = None) -> Any:
    """Turn a pipeline's result into None, bool, int, float, str, list and dict.

    Tensors, arrays and iterators become (nested) lists, their scalars numbers, dataclasses and mappings objects, sets
    sorted lists, bytes base64 text, dates and times ISO text, images an object that says their mode and size in
    pixels. NaN and infinities become None: JSON has no word for them. Anything else becomes its `str`.

    Args:
        value: the result.
        attach: puts an image, a mask, a depth map or audio into a file (see `records.attachments`): takes the value and
            its name, `result` or its key, with -1, -2, ... if it is one of a list; returns what is written in its
            place (its path), or None to write it as above.
    """
    return _plain(value, None if attach is None else _Place(attach))


class _Place(NamedTuple):
    """Where in a result a value stands: its key, and which one of the lists around it."""

    attach: Attach
    key: str = "result"
    numbers: str = ""

    def under(self, key: Any) -> _Place:
        return _Place(self.attach, str(key), self.numbers)

    def at(self, number: int) -> _Place:
        return _Place(self.attach, self.key, f"{self.numbers}-{number}")

    def attached(self, value: Any) -> Any:
        from pipesmith.pipelines.records.media.attachments import is_attachment

        name = self.key + self.numbers
        return self.attach(value, name) if is_attachment(value, name) else None


def _plain(value: Any, place: _Place | None = None) -> Any:
    if type(value) in _JSON:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return _mapping(value, place)
    if isinstance(value, (list, tuple, range, deque, Iterator, KeysView, ValuesView, ItemsView)):
        if place is None:
            return [_plain(item) for item in value]
        return [_plain(item, _inner(place.at, number, item)) for number, item in enumerate(value, 1)]
    if isinstance(value, (Set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, place)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    return _library_value(value, place)


def _mapping(value: Mapping[Any, Any], place: _Place | None) -> dict[str, Any]:
    if place is None:
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    file = place.under("audio").attached(value) if "audio" in value else None
    if file is not None:
        value = {**value, "audio": file}
    return {str(_plain(key)): _plain(item, _inner(place.under, key, item)) for key, item in value.items()}


def _inner(move: Callable[[Any], _Place], step: Any, item: Any) -> _Place | None:
    """Return the place of an item; most are numbers and text, which need none."""
    return None if isinstance(item, (float, int, str)) else move(step)


def _tensor(tensor: Any) -> Any:
    if tensor.is_meta:
        return f"tensor without values, of shape {tuple(tensor.shape)}"
    if tensor.is_sparse or tensor.layout != sys.modules["torch"].strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    return _plain(tensor.detach().cpu().tolist())  # tolist reads bfloat16 as well


def _library_value(value: Any, place: _Place | None) -> Any:
    """Convert the values of libraries that are only looked at if something else has imported them."""
    file = place.attached(value) if place else None
    if file is not None:
        return file
    torch, numpy, image = (sys.modules.get(name) for name in ("torch", "numpy", "PIL.Image"))
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(value)
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        plain = value.tolist()
        return str(value) if isinstance(plain, (numpy.ndarray, numpy.generic)) else _plain(plain)
    if image is not None and isinstance(value, image.Image):
        return {"type": "image", "mode": value.mode, "width": value.width, "height": value.height}
    if hasattr(value, "data") and isinstance(value.data, Mapping):  # UserDict: BatchEncoding
        return _mapping(value.data, place)
    return str(value)
