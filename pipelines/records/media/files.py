"""Media as rows bring them: a path, bytes, or the {"bytes", "path"} of Hugging Face's datasets.

Not here: what the bytes mean (`images.py`, `audio.py`, `video.py`), and URLs (`urls.py`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.names import near_miss

_NEIGHBOURS = 1000  # files looked through for a near miss


def is_struct(value: Any) -> bool:
    """Tell whether a value is a file of a Hugging Face dataset: {"bytes": ..., "path": ...}, or one of these alone."""
    return isinstance(value, Mapping) and bool(value) and value.keys() <= {"bytes", "path"}


def unpack(value: Any) -> Any:
    """Return the bytes of a dataset's file, or its path if it has none; any other value as it is.

    In JSON, bytes are base64 text: that is how `plain.to_plain` writes them.
    """
    if not is_struct(value):
        return value
    data = value.get("bytes")
    if isinstance(data, str):
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(data, validate=True)
    return value.get("path") if data is None else data


def locate(value: Any, medium: str, name: str | None = None) -> tuple[Path | bytes, str]:
    """Find the file that a value stands for.

    Args:
        value: a path, bytes, or a dataset's {"bytes", "path"}.
        medium: image, audio or video, for messages.
        name: what messages call it; its path if None.

    Returns:
        The bytes, or the path of a file that exists, and its name.

    Raises:
        InputError: there is no such file, or the value is of another type.
    """
    path = value.get("path") if is_struct(value) else None
    value = unpack(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), name or (str(path) if path else f"The {medium}")
    if not isinstance(value, (str, PathLike)):
        raise InputError(
            f"{value!r:.80} is no {medium}: it is of type {type(value).__name__}.",
            hint=f"Pass the path, the URL or the bytes of the {medium}.",
        )
    file = Path(value)
    if not is_file(file):
        raise missing_file(str(value), medium)
    return file, name or str(value)


def read_bytes(value: Any, medium: str, name: str | None = None) -> tuple[bytes, str]:
    """Return the bytes that a value stands for, and its name; arguments and errors as `locate`."""
    found, name = locate(value, medium, name)
    if isinstance(found, bytes):
        return found, name
    try:
        return found.read_bytes(), name
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}.") from error


def is_file(path: Path) -> bool:
    """Tell whether a file exists; text that no file can be called (too long, a NUL byte) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def missing_file(path: str, medium: str) -> InputError:
    """Return the error for a path that is no file, with the file that was probably meant."""
    text = path if len(path) <= 80 else path[:77] + "..."
    try:
        if path and Path(path).is_dir():
            return InputError(
                f"{text} is a folder, not {_article(medium)} file.", hint=f"Name the files in it: {text}/*"
            )
        folder = Path(path).parent
        near = near_miss(Path(path).name, [file.name for file in islice(folder.iterdir(), _NEIGHBOURS)])
    except (OSError, ValueError):
        near = None
    hint = near or "Check the path: it is relative to this folder."
    return InputError(f"There is no {medium} file {text or repr(text)}.", hint=hint)


def _article(medium: str) -> str:
    return f"an {medium}" if medium[0] in "aeiou" else f"a {medium}"
