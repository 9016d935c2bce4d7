"""A row of an input file, and how files are read and written: the plain data that readers and writers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.errors import InputError

MAX_ROW_BYTES = 64 * 2**20


@dataclass(slots=True)
class Record:
    """One data row.

    Args:
        values: its columns in order. What could be read of it if it failed.
        row: which data row of its file it is, from 1.
        file: the file as its user named it.
        line: the line that it begins on, from 1; None for formats without lines.
        error: why it cannot be read; None for a good row. Its message names file and row (and line).
    """

    values: dict[str, Any]
    row: int
    file: str
    line: int | None = None
    error: InputError | None = None


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Args:
        delimiter: between the cells of csv and tsv; the format's own if None.
        quoting: "minimal" (cells in double quotes where they need it) or "none" (a quote is a character).
        header: whether the first line of csv and tsv names the columns.
        columns: names of the columns where there is no header.
        encoding: of text formats; None is UTF-8, or what a byte order mark says.
        max_row_bytes: a row larger than this is a bad row.
    """

    delimiter: str | None = None
    quoting: str = "minimal"
    header: bool = True
    columns: tuple[str, ...] = ()
    encoding: str | None = None
    max_row_bytes: int = MAX_ROW_BYTES


@dataclass
class Reading:
    """An opened file: its rows, each read when it is asked for.

    Args:
        records: the rows. A row that cannot be read comes with its error; where reading cannot go on after it, it is
            the last one.
        columns: the columns that every row has, in order; None where rows may differ.
        schema: the pyarrow.Schema of the columns where the format has one.
        total: how many rows there are, where that is known before reading.
        has_nulls: whether the format tells an empty text from nothing at all.
        has_lines: whether a row is a line, mostly.
    """

    records: Iterator[Record]
    columns: Sequence[str] | None = None
    schema: Any = None
    total: int | None = None
    has_nulls: bool = True
    has_lines: bool = False


@dataclass(frozen=True)
class WriteOptions:
    """How rows are written.

    Args:
        columns: the columns known before the first row, in order; rows may bring more.
        has_header: whether a header with `columns` is written already: rows are added to a file.
        last: columns that stand after all others, in formats that are written as a whole.
        schema: a pyarrow.Schema with the types of columns that came from a typed file: their values may be plain JSON
            by now (ISO text for times, base64 for bytes) and are turned back. To be given only if all rows come from
            files of that schema: the text of another file may be base64 by chance ("abcd"), or a date. Without it
            bytes and times that are JSON by now stay text.
    """

    columns: tuple[str, ...] = ()
    has_header: bool = False
    last: tuple[str, ...] = ()
    schema: Any = field(default=None, compare=False)


Row = Mapping[str, Any]
"""A row to write: column to plain value, as `plain.to_plain` gives it; formats with types take dates and bytes too."""
