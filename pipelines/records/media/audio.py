"""Audio files as the mono float32 waves that transformers' audio pipelines take.

Those pipelines ask the ffmpeg program to decode a path; soundfile and soxr need nothing installed beside Python. A
user's own pipeline gets its path as given.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.media.files import locate

# The wave alone, or with its rate: what each class's preprocess takes.
WAVE_ALONE = {"ZeroShotAudioClassificationPipeline"}
WAVE_AND_RATE = {"AudioClassificationPipeline", "AutomaticSpeechRecognitionPipeline"}


def is_wave(value: Any) -> bool:
    """Tell whether a value is decoded audio: {"array": ..., "sampling_rate": Hz}, or "raw" instead of "array"."""
    return isinstance(value, Mapping) and "sampling_rate" in value and ("array" in value or "raw" in value)


def read_audio(value: Any, sampling_rate: int, *, name: str | None = None) -> Any:
    """Read audio as one channel at a sampling rate.

    Args:
        value: a path or bytes (WAV, FLAC, OGG, MP3 or whatever else libsndfile reads), a dataset's {"bytes", "path"},
            or decoded audio of shape (samples,) or (channels, samples) with its rate (`is_wave`).
        sampling_rate: in Hz.
        name: what messages call it; its path if None.

    Returns:
        A numpy array of float32 of shape (samples,); what was read from a file is in -1 to 1.

    Raises:
        InputError: there is no such file, it is not audio, or it has no samples.
    """
    if is_wave(value):
        name = name or "The audio"
        wave, rate = _given_wave(value, name)
    else:
        wave, rate, name = _decoded_wave(value, name)
    if not len(wave):
        raise InputError(f"{name} holds no audio: it is zero seconds long.")
    if rate == sampling_rate:
        return wave
    import soxr

    return soxr.resample(wave, rate, sampling_rate)


def _decoded_wave(value: Any, name: str | None) -> tuple[Any, int, str]:
    import soundfile

    found, name = locate(value, "audio", name)
    if _is_cut(found):
        raise InputError(
            f"{name} is cut short: its header promises more than it holds.", hint="Fetch or make it again."
        )
    try:
        channels, rate = soundfile.read(
            io.BytesIO(found) if isinstance(found, bytes) else found, dtype="float32", always_2d=True
        )
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise InputError(f"{name} cannot be read as audio: {reason}.", hint="Convert it to WAV or FLAC.") from error
    return channels.mean(axis=1), rate, name


def _is_cut(found: Path | bytes) -> bool:
    """Tell whether a WAV file has fewer bytes than it says; one that was streamed does not know, and says the most."""
    if isinstance(found, bytes):
        head, size = found[:8], len(found)
    else:
        with found.open("rb") as stream:
            head, size = stream.read(8), found.stat().st_size
    return head[:4] == b"RIFF" and size < int.from_bytes(head[4:8], "little") + 8 < 2**31


def _given_wave(value: Mapping[str, Any], name: str) -> tuple[Any, float]:
    import numpy

    samples = value["array"] if value.get("raw") is None else value["raw"]
    rate = value["sampling_rate"]
    if not isinstance(rate, (int, float)) or not rate > 0:
        raise InputError(f"{name} has the sampling rate {rate!r}.", hint="Give it in Hz, for example 16000.")
    try:
        wave = numpy.asarray(samples, dtype=numpy.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a list of samples: {error}.") from error
    if wave.ndim == 2:
        wave = wave.mean(axis=0)
    if wave.ndim != 1:
        raise InputError(
            f"{name} has the shape {wave.shape}.",
            hint="Audio is (samples,), or (channels, samples) for several channels.",
        )
    return wave, rate
