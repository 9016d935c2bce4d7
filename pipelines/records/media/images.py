"""Images as PIL images, decoded here so that a broken file is named before a model sees it.

Orientation (EXIF) is left as it is: transformers turns PIL images itself.
"""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.media.files import is_file, missing_file, read_bytes


def read_image(value: Any, *, name: str | None = None) -> Any:
    """Read an image completely; of an animation, the first frame.

    Args:
        value: a path, bytes, a dataset's {"bytes", "path"}, or base64 text (bare or in a data: URI), as transformers
            takes it.
        name: what messages call it; its path if None.

    Returns:
        A PIL.Image.Image.

    Raises:
        InputError: there is no such file, it is no image or a broken one, or it has too many pixels (Pillow's limit).
    """
    from PIL import Image, UnidentifiedImageError

    embedded = _decode_text(value)
    data, name = read_bytes(value if embedded is None else embedded, "image", name)
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ...
        if embedded is not None and not value.startswith("data:"):  # a word of base64 letters is rather a path
            raise missing_file(value, "image") from None
        reason = "its format is not known" if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        raise InputError(
            f"{name} cannot be read as an image: {reason}.", hint="Check that it is complete, or convert it to PNG."
        ) from error
    return image


def _decode_text(value: Any) -> bytes | None:
    """Return the bytes of base64 text; None for anything else, and for the name of a file that exists."""
    if not isinstance(value, str) or is_file(Path(value)):
        return None
    text = value.partition(",")[2] if value.startswith("data:image/") else value
    try:
        return base64.b64decode("".join(text.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None
