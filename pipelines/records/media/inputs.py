"""What the input of a row becomes before `preprocess`: images, audio and videos from paths, URLs and bytes.

transformers' own pipelines, and the built-in ones, get what they would have read themselves, decoded and fetched within
pipesmith's limits; so does a user's subclass that leaves it to their `preprocess`. Any other gets what the row holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from pipesmith.pipelines.records.media import audio
from pipesmith.pipelines.records.media.files import is_struct, unpack
from pipesmith.pipelines.records.media.images import read_image
from pipesmith.pipelines.records.media.urls import check_url, fetch, is_url, shown
from pipesmith.pipelines.records.media.video import VideoFiles
from pipesmith.pipelines.user_code import is_builtin

_MEDIA = ("image", "audio", "video")
_MEDIUM_OF_KEY = {
    **{"image": "image", "images": "image", "image_url": "image"},
    **{"audio": "audio", "video": "video", "videos": "video"},
}
_FILE_KEYS = ("url", "path", "base64")  # of a part of a chat message: {"type": "image", "url": ...}
# Classes whose bare text is text, and which find media in a dict or a chat.
_TAKES_DICTS = {"DocumentQuestionAnsweringPipeline", "ImageTextToTextPipeline", "AnyToAnyPipeline"}


class MediaInputs:
    """Makes a row's input ready for a pipeline.

    Args:
        pipe: the live pipeline.
        kind: the entry's type: text, audio, image, video or multimodal.
        allow_private_urls: whether URLs may lead to private addresses.
        asked: whether the user typed the inputs; a private host is then fine. They come from a data file otherwise.
        limit: of what a URL answers, in bytes.
    """

    def __init__(self, pipe: Any, *, kind: str, allow_private_urls: bool, asked: bool, limit: int) -> None:
        self._pipe = pipe
        self._kind = kind
        self._allow_private = allow_private_urls
        self._asked = asked
        self._limit = limit
        self._reader = _definer(pipe, "preprocess")
        self._is_users = not all(
            cls.__module__.startswith("transformers.") or is_builtin(cls)
            for cls in (self._reader, _definer(pipe, "__call__"))
        )
        self._medium = _medium(self._reader)
        self._videos = VideoFiles()
        self._readers: dict[str, Callable[[Any, str | None], Any]] = {
            "image": lambda value, name: read_image(value, name=name),
            "audio": self._read_audio,
            "video": lambda value, name: self._videos.path(value, name=name),
        }

    def __call__(self, inputs: Any) -> Any:
        """Return the input as `preprocess` is to get it.

        Raises:
            InputError: a file is missing or broken, or a URL cannot be fetched or leads to a private address.
        """
        if self._is_users:
            return inputs if self._kind == "text" else self._as_given(inputs)
        if self._medium is None and self._reader.__name__ not in _TAKES_DICTS:
            return inputs
        return self._read(inputs, self._medium)

    def _as_given(self, value: Any) -> Any:
        """Take files of datasets apart, and check the URLs of data files."""
        value = unpack(value)
        if isinstance(value, Mapping):
            return {key: self._as_given(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._as_given(item) for item in value]
        if is_url(value) and not self._asked and len(value.split()) == 1:  # text may begin with a URL
            check_url(value, allow_private=self._allow_private)
        return value

    def _read(self, value: Any, medium: str | None) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._read(item, medium) for item in value]
        if isinstance(value, Mapping) and not (medium and is_struct(value)):
            if medium == "audio" and audio.is_wave(value):
                # A stride counts samples at the given rate: it stays with them.
                return value if "stride" in value else self._read_audio(value, None)
            return self._read_keys(value, medium)
        if medium is None:
            return value
        content = unpack(value)
        if is_url(content):
            data = fetch(content, asked=self._asked, allow_private=self._allow_private, limit=self._limit)
            return self._readers[medium](data, shown(content))
        if not isinstance(content, (str, PathLike, bytes, bytearray, memoryview)):
            return content  # already an image or an array
        return self._readers[medium](value, None)

    def _read_keys(self, value: Mapping[Any, Any], medium: str | None) -> dict[Any, Any]:
        if value.get("type") in _MEDIA:
            medium = value["type"]
        return {
            key: self._read(item, _MEDIUM_OF_KEY.get(key) or (medium if key in _FILE_KEYS else None))
            for key, item in value.items()
        }

    def _read_audio(self, value: Any, name: str | None) -> Any:
        extractor = getattr(self._pipe, "feature_extractor", None) or self._pipe.processor.feature_extractor
        rate = int(extractor.sampling_rate)
        wave = audio.read_audio(value, rate, name=name)
        if self._reader.__name__ not in audio.WAVE_AND_RATE:
            return wave
        return {"raw": wave, "sampling_rate": rate}


def _definer(pipe: Any, method: str) -> type[Any]:
    """Return the class that defines what a pipeline's method does."""
    return next((cls for cls in type(pipe).__mro__ if method in vars(cls)), type(pipe))


def _medium(cls: type[Any]) -> str | None:
    """Return what one of transformers' own or the built-in pipelines takes, None if bare text is text to it."""
    name = cls.__name__
    if name in audio.WAVE_ALONE | audio.WAVE_AND_RATE:
        return "audio"
    if name == "VideoClassificationPipeline":
        return "video"
    return "image" if getattr(cls, "_load_image_processor", False) else None
