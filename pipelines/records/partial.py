"""What an unfinished file of results holds: its whole rows, and where they end."""

from __future__ import annotations

import csv
import json
import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipesmith.pipelines.errors import OutputError

_ERROR = "error"  # the column of failed rows
PART = ".part"
AGAIN = ".again"  # after the name of a file, or PART: what takes its place when it is whole
_PARTS = (PART, f"{PART}{AGAIN}")
PARTIAL = tuple(part + ending for part in _PARTS for ending in ("", ".jsonl", ".wider", f".jsonl{AGAIN}", ".journal"))


def is_partial(path: Path) -> bool:
    """Tell whether a file is what pipesmith writes on the way to another: no input."""
    return path.name.endswith(PARTIAL)


@dataclass(frozen=True)
class Partial:
    """The whole rows of an unfinished file.

    Args:
        rows: how many there are.
        failed: how many of them have an error in their place.
        size: the bytes that they, and the header before them, take; what follows is half a row.
        columns: of the header; () for JSON lines.
    """

    rows: int
    failed: int
    size: int
    columns: tuple[str, ...] = ()


class Whole:
    """A stream whose every write is whole or undone: half a row is worse than none."""

    def __init__(self, raw: BinaryIO, size: int = 0, checksum: int = 0) -> None:
        self._raw = raw
        self.size = size
        self.checksum = checksum

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                written += self._raw.write(view[written:])
        except OSError:
            if written and self._raw.seekable():
                self._raw.seek(-written, os.SEEK_CUR)
                self._raw.truncate()
            raise
        self.size += written
        self.checksum = zlib.crc32(view, self.checksum)
        return written

    def flush(self) -> None:
        """There is nothing to flush: every write goes to the system."""

    def close(self) -> None:
        """Close the stream."""
        self._raw.close()


def checksum(path: Path, size: int) -> int:
    """Return the CRC-32 of the first bytes of a file."""
    found = 0
    with path.open("rb") as stream:
        while size > 0 and (block := stream.read(min(size, 2**20))):
            found = zlib.crc32(block, found)
            size -= len(block)
    return found


def count_lines(path: Path) -> Partial:
    """Count the whole rows of an unfinished file of JSON lines.

    Raises:
        OutputError: it is none that pipesmith has begun.
    """
    rows = failed = size = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _edited(path, number) from error
            rows += 1
            failed += isinstance(row, dict) and row.get(_ERROR) is not None
            size += len(line)
    return Partial(rows, failed, size)


def count_table(path: Path, *, delimiter: str) -> Partial:
    """Count the whole rows of an unfinished file of delimited cells.

    Raises:
        OutputError: it is none that pipesmith has begun.
    """
    csv.field_size_limit(sys.maxsize)  # a result may be a long cell
    taken = 0  # bytes that the reader has been given

    with path.open("rb") as lines:

        def texts() -> Iterator[str]:
            nonlocal taken
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                taken += len(line)
                yield line.decode()

        header: tuple[str, ...] = ()
        rows = failed = size = 0
        reader = csv.reader(texts(), delimiter=delimiter, strict=True)
        while True:
            try:
                cells = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                if "unexpected end of data" in str(error):  # half a row: its last cell is open
                    break
                raise _edited(path, reader.line_num) from error
            if cells is None:
                break
            if not header:
                header = tuple(cells)
            elif len(cells) != len(header):
                raise _edited(path, reader.line_num)
            else:
                rows += 1
                failed += _ERROR in header and cells[header.index(_ERROR)] != ""
            size = taken
    return Partial(rows, failed, size, header)


def _edited(path: Path, line: int) -> OutputError:
    return OutputError(
        f"{path}, line {line} is none that was written there: the file was changed since the run stopped.",
        hint="--force starts again.",
    )
