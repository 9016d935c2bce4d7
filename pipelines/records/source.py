"""A file, or stdin, as the bytes that a format reads: decompressed, counted, its failures as sentences."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.names import near_miss

HEAD_BYTES = 4096
_BUFFER_BYTES = 2**16
_ZSTD_PIECE = 4096  # small: what pyarrow has unpacked of a piece is lost when it finds the data cut short
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class Source:
    """Bytes to read rows from; a context manager that closes what it opened.

    Compression (gzip, zstd) is found from the first bytes, not from the name.

    Args:
        name: as its user named it; messages and records say it.
        path: the file; None for stdin.
        stream: where the bytes come from instead of `path`: stdin, or a file of a repository.

    Attributes:
        name: the same.
        path: the file if its bytes are as they lie on disk (no compression), so that a format may seek or map it, else
            None.
        size: bytes on disk, compressed; None where that is not known.
        position: how many of them have been read.

    Raises:
        InputError: there is no such file, it is a folder, it may not be read, or it is empty (0 bytes).
    """

    def __init__(self, name: str, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        self.name = name
        self.path: Path | None = None
        self.size: int | None = None
        self.position = 0
        self._file = _open(name, path) if path is not None and stream is None else None
        origin: Any = self._file or stream
        self._read_origin: Callable[[int], bytes] = getattr(origin, "read1", origin.read)
        self._raw = _Bytes(self._take)
        self._unpacked: _Bytes | None = None
        self._stream: io.BufferedReader | None = None
        if self._file is not None:
            self._look_at_file(self._file, path)

    def _look_at_file(self, file: io.FileIO, path: Path | None) -> None:
        """Learn the size, and whether the bytes are packed; of a named pipe both are unknown until it is read."""
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return
        self.size = status.st_size
        try:
            if not self.size:
                raise _empty(self.name)
            self.path = path if self._compression() is None else None
        except InputError:
            self.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened here; stdin stays open."""
        if self._file is not None:
            self._file.close()

    def peek(self) -> bytes:
        """Return the first bytes, decompressed: up to 4,096, without taking them from the stream.

        Of a pipe that is slow, it is what has come when the first line is complete. To be called before reading.

        Raises:
            InputError: there are none, or the compressed data is broken.
        """
        head = self._bytes().look(HEAD_BYTES)
        if not head:
            raise _empty(self.name)
        return head

    def stream(self) -> io.BufferedReader:
        """Return the decompressed bytes as a stream (`read`, `read1`, `readinto`, `readline`), always the same one.

        `read1` returns what is there, without waiting for more: rows of stdin are read as they come. Reading raises
        InputError where the compressed data is cut short or broken, or the disk fails.
        """
        if self._stream is None:
            self._stream = io.BufferedReader(self._bytes(), _BUFFER_BYTES)
        return self._stream

    def _take(self, count: int) -> bytes:
        try:
            data = self._read_origin(count)
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror or error}.") from error
        self.position += len(data)
        return data

    def _compression(self) -> str | None:
        first = self._raw.look(max(map(len, _MAGIC)))
        return next((kind for magic, kind in _MAGIC.items() if first.startswith(magic)), None)

    def _bytes(self) -> _Bytes:
        if self._unpacked is None:
            compression = self._compression()
            self._unpacked = self._raw if compression is None else self._unpack(compression)
        return self._unpacked

    def _unpack(self, compression: str) -> _Bytes:
        read = _unzipped(self._raw) if compression == "gzip" else _unzstandard(self._raw)

        def take(count: int) -> bytes:
            try:
                return read(count)
            except (EOFError, OSError, zlib.error) as error:
                short = isinstance(error, EOFError) or "Truncated" in str(error)
                how = "is cut short: its" if short else f"is broken ({error}): its"
                raise InputError(
                    f"{self.name} {how} {compression} data {'ends too soon' if short else 'cannot be unpacked'}.",
                    hint="Fetch or make the file again; the rows before this place are good.",
                ) from error

        return _Bytes(take)


class _Bytes(io.RawIOBase):
    """Bytes from a function that hands over up to so many of them; those that were looked at come again."""

    def __init__(self, take: Callable[[int], bytes]) -> None:
        self._take = take
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._ahead[: len(buffer)] or self._take(len(buffer))
        self._ahead = self._ahead[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def look(self, count: int) -> bytes:
        """Return the first bytes: so many, or fewer if these hold a line that is not blank, or are all."""
        while len(self._ahead) < count and b"\n" not in self._ahead.lstrip():
            data = self._take(count - len(self._ahead))
            if not data:
                break
            self._ahead += data
        return self._ahead[:count]


def _unzipped(raw: _Bytes) -> Callable[[int], bytes]:
    return gzip.GzipFile(fileobj=raw, mode="rb").read1


def _unzstandard(raw: _Bytes) -> Callable[[int], bytes]:
    import pyarrow

    unpacker = pyarrow.CompressedInputStream(raw, "zstd")
    return lambda count: cast(bytes, unpacker.read(min(count, _ZSTD_PIECE)))


def _open(name: str, path: Path) -> io.FileIO:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError as error:
        folder = path.parent
        if not folder.is_dir():
            raise InputError(f"{name} cannot be read: there is no folder {folder}.") from error
        hint = near_miss(path.name, sorted(other.name for other in folder.iterdir()))
        raise InputError(f"There is no file {name}.", hint=hint) from error
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder, not a file.", hint=f"Name a file in it: {name.rstrip('/')}/…") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}.") from error


def _empty(name: str) -> InputError:
    hint = "Write the inputs after the task, or pipe them in." if name == "stdin" else "Leave it out, or make it again."
    return InputError(f"{name} is empty.", hint=hint)
