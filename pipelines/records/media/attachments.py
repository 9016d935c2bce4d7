"""Images, masks, depth maps and audio of results as files beside the output: PNG, TIFF and WAV."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import OutputError

_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"}
_CONVERTED = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}  # any other mode to RGB
_TIFF_MODES = {"F", "I"}  # 32 bits a pixel, which PNG has not
# Arrays of shape (height, width) that are pictures: what they are called in a result, and of which types.
_MASK = re.compile(r"masks?(-\d+)*"), {"bool", "uint8"}
_DEPTH = re.compile(r"(predicted_)?depth(-\d+)*"), {"float16", "float32", "float64", "bfloat16"}


def is_attachment(value: Any, name: str) -> bool:
    """Tell whether a part of a result is an image, a mask, a depth map or audio.

    Args:
        value: the part.
        name: its key, with -1, -2, ... if it is one of a list: it tells arrays that are pictures from others.
    """
    if isinstance(value, Mapping):
        return hasattr(_audio(value), "dtype") and isinstance(value.get("sampling_rate"), (int, float))
    image = sys.modules.get("PIL.Image")
    return (image is not None and isinstance(value, image.Image)) or _is(value, name, _MASK) or _is(value, name, _DEPTH)


class Attachments:
    """Writes the parts of results that are no text.

    Args:
        folder: for the files; made when the first is written.
        force: whether files that are there are replaced.
    """

    def __init__(self, folder: Path, *, force: bool = False) -> None:
        self._folder = folder
        self._force = force
        self._row = 0
        self._names: set[str] = set()  # of this row

    def save(self, value: Any, *, row: int, name: str) -> str | None:
        """Write a value to a file of its own.

        Args:
            value: a PIL image; an array or tensor of shape (height, width), booleans or bytes for a mask and floats for
                a depth map; or {"audio": waves, "sampling_rate": Hz}, waves of shape (samples,) or (channels, samples).
            row: which row it belongs to, from 1.
            name: what it is called in the row, such as mask-1.

        Returns:
            The path of the file, `<row>-<name>.png` in the folder; None for any other value (`is_attachment`).

        Raises:
            OutputError: the file exists, or cannot be written.
        """
        if not is_attachment(value, name):
            return None
        data, ending = _wav(value) if isinstance(value, Mapping) else _picture(value, name)
        file = self._folder / f"{row:06}-{self._free_name(row, name)}{ending}"
        if file.exists() and not self._force:
            raise OutputError(f"{file} exists.", hint="--force replaces it; --output-dir names another folder.")
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputError(
                f"{self._folder} is a file: images and sounds go into a folder.", hint="--output-dir names one."
            )
        part = file.with_name(f".{file.name}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(file)
        except OSError as error:
            raise OutputError(
                f"{file} cannot be written: {error.strerror}.", hint="--output-dir names another folder."
            ) from error
        finally:
            if part.exists():
                part.unlink()
        return str(file)

    def _free_name(self, row: int, name: str) -> str:
        """Return a name that no other file of the row has, in characters that every file system takes."""
        if row != self._row:
            self._row, self._names = row, set()
        clean = re.sub(r"[^\w.-]+", "_", name)[:50] or "result"
        free, number = clean, 1
        while free.casefold() in self._names:
            number += 1
            free = f"{clean}-{number}"
        self._names.add(free.casefold())
        return free


def _is(value: Any, name: str, picture: tuple[re.Pattern[str], set[str]]) -> bool:
    names, types = picture
    return (
        getattr(value, "ndim", 0) == 2
        and 0 not in value.shape
        and names.fullmatch(name) is not None
        and str(getattr(value, "dtype", "")).removeprefix("torch.") in types
    )


def _audio(value: Mapping[str, Any]) -> Any:
    audio = value.get("audio")
    return audio[0] if isinstance(audio, (list, tuple)) and len(audio) == 1 else audio


def _picture(value: Any, name: str) -> tuple[bytes, str]:
    from PIL import Image

    if _is(value, name, _MASK):
        pixels = _to_numpy(value).astype("uint8")
        image = Image.fromarray(pixels * 255 if pixels.max() <= 1 else pixels)
    elif _is(value, name, _DEPTH):
        image = Image.fromarray(_to_numpy(value).astype("float32"))
    else:
        image = value
    kind = "TIFF" if image.mode in _TIFF_MODES else "PNG"
    if kind == "PNG" and image.mode not in _PNG_MODES:
        image = image.convert(_CONVERTED.get(image.mode, "RGB"))
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue(), f".{kind.lower()}"


def _wav(value: Mapping[str, Any]) -> tuple[bytes, str]:
    import numpy
    import soundfile

    wave = numpy.atleast_2d(_to_numpy(_audio(value)))
    wave = wave.reshape(-1, wave.shape[-1])
    if wave.shape[0] < wave.shape[1]:
        wave = wave.T  # soundfile wants (samples, channels)
    if wave.dtype != "int16":
        wave = wave.astype("float32")
    loud = wave.size and wave.dtype.kind == "f" and numpy.abs(wave).max() > 1  # 16 bits would clip it
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, int(value["sampling_rate"]), format="WAV", subtype="FLOAT" if loud else "PCM_16")
    return buffer.getvalue(), ".wav"


def _to_numpy(value: Any) -> Any:
    import numpy

    if hasattr(value, "detach"):  # a tensor; numpy knows no bfloat16
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    return numpy.asarray(value)
