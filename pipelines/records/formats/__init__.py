"""The formats that rows are read from and written to. Each is a file beside this one: a new format is a new file.

A module here has `FORMATS`, a tuple of `Format`; nothing else has to know of it. Libraries are imported by the
functions that need them: this package is imported whenever files are.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol

from pipesmith.pipelines.records.partial import Partial
from pipesmith.pipelines.records.record import Reading, ReadOptions, Row, WriteOptions
from pipesmith.pipelines.records.source import Source


class Sink(Protocol):
    """Takes rows for an open file."""

    def write(self, row: Row) -> None:
        """Write one row completely.

        Raises:
            NewColumnsError: the format has one header for all rows, and the row has columns that are not in it.
        """

    def close(self) -> None:
        """Write what can only be written at the end. The stream stays open."""


class NewColumnsError(Exception):
    """A row has columns that the header, already written, lacks.

    Args:
        columns: all columns, the new ones last.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__(", ".join(columns))
        self.columns = columns


@dataclass(frozen=True)
class Format:
    """A format of files.

    Args:
        name: what `--input-format` calls it.
        endings: of its files, such as ".jsonl".
        read: opens a source. Raises InputError where nothing of the file can be read (a header that names a column
            twice, a parquet file cut short).
        recognise: tells from the first bytes of a file (up to 4,096, decompressed) that it is in this format; None if
            they tell nothing.
        sink: writes rows as they come; None if the format can only be written as a whole.
        write: writes all rows at once; it may ask for them several times. None if rows go through `sink` alone; if
            that is None too, the format is only read.
        tabular: whether every row has every column (csv, parquet).
        binary: whether its bytes are no text; then `recognise` is certain, and wins over the file's ending.
        rule_out: tells from the first bytes (the first line, if it can be had) that a file is not in this text format
            though it has its ending; another that recognises it is taken then. None if that cannot be told.
        count: counts the whole rows of a file that `sink` has not finished; None if it cannot be gone on with.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Source, ReadOptions], Reading]
    recognise: Callable[[bytes], bool] | None = None
    sink: Callable[[BinaryIO, WriteOptions], Sink] | None = None
    write: Callable[[BinaryIO, Callable[[], Iterator[Row]], WriteOptions], None] | None = None
    tabular: bool = False
    binary: bool = False
    rule_out: Callable[[bytes, ReadOptions], bool] | None = None
    count: Callable[[Path], Partial] | None = None


@cache
def formats() -> dict[str, Format]:
    """Return every format by its name."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{module}").FORMATS for module in modules]
    return {one.name: one for several in found for one in several}
