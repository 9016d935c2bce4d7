"""Videos as files: transformers' pipelines open a path with PyAV (the extra `video`)."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.media.files import locate


class VideoFiles:
    """The files of videos; those that came as bytes are written to one folder, which is removed at exit."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._count = 0

    def path(self, value: Any, *, name: str | None = None) -> str:
        """Return the path of a video whose first frame can be decoded.

        Args:
            value: a path, bytes, or a dataset's {"bytes", "path"}. Bytes become a file that lives as long as the
                returned text does.
            name: what messages call it; its path if None.

        Raises:
            InputError: there is no such file, it is no video or a broken one, or PyAV is not installed.
        """
        found, name = locate(value, "video", name)
        path = self._write(found) if isinstance(found, bytes) else str(found)
        _check(path, name)
        return path

    def _write(self, data: bytes) -> str:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="pipesmith-video-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._count += 1
        file = self._folder / f"{self._count:06}"
        path = _TemporaryPath(file)
        weakref.finalize(path, file.unlink, missing_ok=True)
        try:
            file.write_bytes(data)
        except OSError as error:
            raise InputError(
                f"A video of {len(data):,} bytes cannot be kept in {file.parent}: {error.strerror}."
            ) from error
        return path


class _TemporaryPath(str):
    """The path of a file that is removed when nobody holds the path any more: text itself cannot be watched."""


def _check(path: str, name: str) -> None:
    try:
        import av
    except ImportError as error:
        raise InputError(
            "Videos are read with PyAV, which is not installed.", hint="Install it: pip install 'pipesmith[video]'"
        ) from error
    try:
        with av.open(path) as container:
            frame = next(container.decode(video=0), None) if container.streams.video else None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{name} cannot be read as a video: {reason}.", hint="Check that it is complete, or convert it to MP4."
        ) from error
    if frame is None:
        raise InputError(f"{name} holds no video: it has no frames.")
