"""A file of results that is complete or plainly partial.

Rows go to `NAME.part` as they come, which is renamed when the last is written; a format that can only be written as a
whole is assembled then from JSON lines in `NAME.part.jsonl`. Whatever stops the run, the rows written so far lie in
that file, each of them whole.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from pipesmith.pipelines.errors import OutputError
from pipesmith.pipelines.names import IS, counted, nearest
from pipesmith.pipelines.records.compression import COMPRESSIONS, compressed, format_ending
from pipesmith.pipelines.records.formats import Format, NewColumnsError, Sink, formats
from pipesmith.pipelines.records.partial import AGAIN, PART, Partial, Whole, checksum
from pipesmith.pipelines.records.record import ReadOptions, Row, WriteOptions
from pipesmith.pipelines.records.source import Source


def format_of_output(path: Path, name: str | None = None) -> Format:
    """Return the format that a file of results is written in: the one named, or by its ending.

    Raises:
        OutputError: the ending is unknown, or the format cannot be written.
    """
    writable = {one.name: one for one in formats().values() if one.write is not None or one.sink is not None}
    endings = {ending: one for one in writable.values() for ending in one.endings}
    if name is not None and name not in writable:
        raise OutputError(f"Results are not written as {name}.", hint=f"There are {', '.join(writable)}.")
    if name is not None:
        return writable[name]
    ending = format_ending(path)
    if ending not in endings:
        near = nearest(ending, endings) if ending else []
        raise OutputError(
            f"{path}: the ending {ending or '(none)'} says no format that results are written in.",
            hint=f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(endings)}, or --format.",
        )
    return endings[ending]


class OutputFile:
    """Takes rows for a file; a context manager that finishes it, or leaves it partial if an exception passes.

    Args:
        path: the file.
        format: its format's name; by its ending if None.
        options: the columns that are known before the first row.
        force: whether an existing file is replaced.
        streamed: whether rows are written as they come, if the format can; else all at once at the end.
        resume: whether an unfinished file is gone on with: `kept` says what it holds, and `go_on` opens it.
        part: what its name ends in until it is complete. If that ends in `AGAIN`, its rows are in the file that it
            replaces as well: nothing is left of it if it is abandoned.

    Raises:
        OutputError: the file exists and `force` is not given, its folder cannot be written to, or its ending says no
            format; or `resume` is asked for and the format cannot be gone on with.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        format: str | None = None,
        options: WriteOptions | None = None,
        force: bool = False,
        streamed: bool = True,
        resume: bool = False,
        part: str = PART,
    ) -> None:
        if not str(path):
            raise OutputError("--output is empty.", hint="Name a file, such as results.jsonl.")
        path = Path(path)
        if path.is_dir():
            raise OutputError(f"{path} is a folder.", hint="Name a file in it, such as results.jsonl.")
        self.path = path
        self.format = format_of_output(path, format)
        self.rows = 0
        self.was_widened = False  # by the last row: the bytes before it are others now
        self._stream: BinaryIO | None = None
        self._options = options or WriteOptions()
        self._force = force
        self._is_file = path.is_file() or not path.exists()  # else a named pipe, or a device
        self._target = path.resolve() if self._is_file else path  # a link stays one
        self._compression = path.suffix.lower() if path.suffix.lower() in COMPRESSIONS else None
        self._assembled = self.format.sink is None or self._compression is not None or not streamed
        if self._assembled and not self._is_file:
            raise OutputError(
                f"{path} is no file: rows can only go there as they come, as jsonl or csv.",
                hint="Write to a file.",
            )
        self._streamed = formats()["jsonl"] if self._assembled else self.format
        if resume and self._streamed.count is None:
            raise OutputError(
                f"{path}: an unfinished file of {self.format.name} cannot be gone on with.",
                hint="Leave --resume out; --force starts again.",
            )
        beside = self._target if path.is_symlink() else path  # a rename does not reach another file system
        self._final = Path(f"{beside}{part}")
        self.part = Path(f"{beside}{part}.jsonl") if self._assembled else self._final
        self._is_copy = part.endswith(AGAIN)
        self.kept = self._kept() if resume and self._is_file and self.part.exists() else None
        if self.kept is None:
            self._refuse_existing()
            self._open(self.part if self._is_file else self._target, "xb" if self._is_file else "wb")

    def go_on(self) -> None:
        """Open the unfinished file that is resumed, after its last whole row.

        Raises:
            OutputError: it cannot be written.
        """
        assert self.kept is not None
        self.rows = self.kept.rows
        if self.kept.columns:
            self._options = replace(self._options, columns=self.kept.columns, has_header=True)
        self._open(self.part, "r+b", self.kept.size)
        Path(f"{self.part}{AGAIN}").unlink(missing_ok=True)  # of a run that was killed while it replaced rows

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._whole.size

    @property
    def checksum(self) -> int:
        """CRC-32 of the bytes written so far."""
        return self._whole.checksum

    def write(self, row: Row) -> None:
        """Write one row; it is with the system when this returns.

        Raises:
            OutputError: it cannot be written. The rows before it are whole.
        """
        self.was_widened = False
        try:
            self._write(row)
        except NewColumnsError as error:
            self._widen(error.columns)
            self.was_widened = True
            self._write(row)
        self.rows += 1

    def finish(self) -> None:
        """Write what is left and give the file its name.

        Raises:
            OutputError: the disk is full, or the folder has become read-only; the rows are in `part`.
        """
        stream = self._stream
        if stream is None:
            raise OutputError(f"{self.part} has rows, and the input has none.", hint="--force starts again.")
        try:
            self._sink.close()
            if self._is_file and not self._assembled:
                os.fsync(stream.fileno())
            stream.close()
            if self._assembled:
                self._assemble()
            elif self._is_file:
                self.part.replace(self._target)
        except OSError as error:
            raise self._failed(error) from error

    def abandon(self) -> None:
        """Leave the file partial; one without rows, or whose rows are elsewhere as well, is removed."""
        if self._stream is None:
            return
        self._stream.close()
        if self._is_file and (self._is_copy or not self.rows):
            self.part.unlink(missing_ok=True)
        if self._is_copy:
            self._final.unlink(missing_ok=True)

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.abandon()

    def _refuse_existing(self) -> None:
        if not self._is_file:
            return
        if self._target.exists() and not self._force:
            raise OutputError(f"{self.path} exists.", hint="--force replaces it.")
        for part in {self.part, self._final}:
            if self._force:
                part.unlink(missing_ok=True)
            elif part.exists():
                raise OutputError(
                    f"{part} is left of a run that did not finish, or of one that is under way.",
                    hint="--force starts again."
                    if self._streamed.count is None
                    else "--resume goes on with it; --force starts again.",
                )

    def _kept(self) -> Partial:
        if self._target.exists() and not self._force:
            raise OutputError(f"{self.path} exists beside {self.part}.", hint="Move one of them away.")
        assert self._streamed.count is not None
        return self._streamed.count(self.part)

    def _open(self, path: Path, mode: str, size: int = 0) -> None:
        self._stream = self._opened(path, mode)
        if size:
            self._stream.truncate(size)
            self._stream.seek(size)
        self._whole = Whole(self._stream, size, checksum(self.part, size) if size else 0)
        self._sink = self._new_sink(self._options)

    def _opened(self, path: Path, mode: str) -> BinaryIO:
        try:
            return path.open(mode, buffering=0)  # type: ignore[return-value]  # every row goes to the system at once
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}.", hint="Make its folder, or write elsewhere."
            ) from error

    def _new_sink(self, options: WriteOptions) -> Sink:
        assert self._streamed.sink is not None
        return self._streamed.sink(cast(BinaryIO, self._whole), options)  # a sink only writes

    def _write(self, row: Row) -> None:
        try:
            self._sink.write(row)
        except OSError as error:
            raise self._failed(error) from error

    def _widen(self, columns: tuple[str, ...]) -> None:
        """Begin again with a wider header, and the rows so far under it: in csv the header stands before them."""
        if not self._is_file:
            raise OutputError(
                f"{self.path}: row {self.rows + 1} has columns that the header, already written, lacks.",
                hint="Write to a file, or as jsonl.",
            )
        wider = Path(f"{self.part}.wider")
        old = self._stream
        self._options = replace(self._options, columns=columns, has_header=False)
        self._open(wider, "wb")
        with Source(str(self.part), self.part) as source:
            for record in self.format.read(source, ReadOptions(max_row_bytes=sys.maxsize)).records:
                if record.error is not None:  # somebody has changed the file
                    raise record.error
                self._write(dict(zip(columns, record.values.values())))  # the new ones are last
        if old is not None:
            old.close()
        wider.replace(self.part)

    def _assemble(self) -> None:
        with self._final.open("wb") as stream:
            with compressed(stream, self._compression) as packed:
                if self.format.write is not None:
                    self.format.write(packed, self._spooled, self._all_columns())
                else:
                    self._write_one_by_one(packed)
            stream.flush()
            os.fsync(stream.fileno())
        self._final.replace(self._target)
        self.part.unlink()

    def _write_one_by_one(self, stream: BinaryIO) -> None:
        assert self.format.sink is not None
        sink = self.format.sink(stream, self._all_columns())
        for row in self._spooled():
            sink.write(row)
        sink.close()

    def _all_columns(self) -> WriteOptions:
        """Return the columns of all rows where some are to stand last: only the last row tells what comes before."""
        last = self._options.last
        if not self.format.tabular or not (last or self.format.write is None):
            return self._options
        columns = dict.fromkeys(self._options.columns)
        for row in self._spooled():
            columns.update(dict.fromkeys(row))
        return replace(self._options, columns=(*(name for name in columns if name not in last), *last))

    def _spooled(self) -> Iterator[Row]:
        with self.part.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    def _failed(self, error: OSError) -> OutputError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kept = ""
        if self.rows and self._is_file and not self._is_copy:
            kept = f" {counted(self.rows, 'row', IS)} in {self.part}."
        return OutputError(
            f"{self.path} cannot be written: {error.strerror or error}.{kept}",
            hint="Make room, or write elsewhere." if full else "Check the folder, or write elsewhere.",
        )
