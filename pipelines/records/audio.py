"""Audio files as the mono float32 waves that transformers' audio pipelines take.

Those pipelines ask the ffmpeg program to decode a path; soundfile and soxr need nothing installed beside Python. A
user's own pipeline gets its path as given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError

# The wave alone, or with its rate: what each class's preprocess takes.
_WAVE_ALONE = {"ZeroShotAudioClassificationPipeline"}
_WAVE_AND_RATE = {"AudioClassificationPipeline", "AutomaticSpeechRecognitionPipeline"}


def decode_for(pipe: Any, inputs: Any) -> Any:
    """Decode a path for one of transformers' own audio pipelines; any other input or pipeline is left as it is.

    Args:
        pipe: the live pipeline, whose feature extractor names the sampling rate in Hz.
        inputs: what `preprocess` is to be given.

    Raises:
        InputError: there is no such file, or it holds no audio.
    """
    name = type(pipe).__name__
    ours = type(pipe).__module__.startswith("transformers.") and name in _WAVE_ALONE | _WAVE_AND_RATE
    if not ours or not isinstance(inputs, str) or inputs.startswith(("http://", "https://")):
        return inputs
    rate = int(pipe.feature_extractor.sampling_rate)
    wave = read_audio(Path(inputs), rate)
    return wave if name in _WAVE_ALONE else {"raw": wave, "sampling_rate": rate}


def read_audio(file: Path, sampling_rate: int) -> Any:
    """Read an audio file as one channel at a sampling rate.

    Args:
        file: WAV, FLAC, OGG, MP3 or whatever else libsndfile reads.
        sampling_rate: in Hz.

    Returns:
        A numpy array of float32 of shape (samples,), in -1 to 1.

    Raises:
        InputError: there is no such file, it is not audio, or it has no samples.
    """
    import soundfile

    if not file.is_file():
        raise InputError(f"There is no audio file {file}.", hint="Check the path: it is relative to this folder.")
    try:
        channels, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{file} cannot be read as audio: {error}.", hint="Convert it to WAV or FLAC.") from error
    if not len(channels):
        raise InputError(f"{file} holds no audio: it is zero seconds long.")
    wave = channels.mean(axis=1)
    if rate == sampling_rate:
        return wave
    import soxr

    return soxr.resample(wave, rate, sampling_rate)
