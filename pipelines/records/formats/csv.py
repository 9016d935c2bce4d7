"""Comma- and tab-separated values, by the csv module of the standard library. Cells are read as text, "007" too."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.formats import Format, NewColumnsError, jsonl
from pipesmith.pipelines.records.partial import count_table
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record, Row, WriteOptions
from pipesmith.pipelines.records.source import Source
from pipesmith.pipelines.records.text import Block, Problem, read_blocks, too_large

_NO_QUOTES = "If a quote is an ordinary character in this file, read it with `--quoting none`."
# What the csv module says, in words for somebody who has never heard of its states.
_PROBLEMS = {
    "unexpected end of data": Problem("a quote is opened and never closed", _NO_QUOTES),
    "expected after": Problem("text stands between a closing quote and the next delimiter", _NO_QUOTES),
    "new-line character": Problem(
        "a carriage return stands in a cell without quotes",
        "If lines end in it alone, change them first: tr '\\r' '\\n' < FILE > NEW_FILE",
    ),
}


class _Line(NamedTuple):
    """What the csv module makes of one line, or of several where a cell holds line breaks."""

    cells: list[str]
    line: int
    problem: Problem | None


def read(source: Source, options: ReadOptions, *, delimiter: str) -> Reading:
    """Open a file of delimited cells. Blank lines are no rows.

    Raises:
        InputError: the header cannot be read or names a column twice, or the options do not fit together.
    """
    if options.columns and options.header:
        raise InputError(
            f"{source.name}: its first line names the columns, so `--columns` cannot.",
            hint="If its first line is a row already, add `--no-header`.",
        )
    blocks = read_blocks(source, options, has_quotes=options.quoting != "none")
    lines = _read_lines(blocks, options, _delimiter(options.delimiter or delimiter))
    columns: Sequence[str] = options.columns
    if options.header:
        columns = _header(source.name, next(lines, None))
    elif not columns:
        first = list(_until_cells(lines))
        columns = [f"column_{number}" for number in range(1, len(first[-1].cells) + 1)] if first else []
        lines = chain(first, lines)
    for column, count in Counter(columns).items():
        if count > 1:
            raise InputError(
                f"{source.name}: {count} columns have the name {column!r}.",
                hint="Name all of them yourself: `--no-header --skip 1 --columns a,b,c`.",
            )
    return Reading(
        _records(source.name, lines, columns, options), columns=tuple(columns), has_nulls=False, has_lines=True
    )


def _read_lines(blocks: Iterator[Block], options: ReadOptions, delimiter: str) -> Iterator[_Line]:
    line = 1  # that the row in progress begins on
    is_cut = False  # the csv module was made to forget what it has of that row
    large = too_large(options)
    problems: dict[int, Problem] = {}

    def feed() -> Iterator[Any]:
        nonlocal is_cut
        held = 0  # characters of the whole blocks that the row in progress has gone through
        for block in blocks:
            text = block.text
            if held > options.max_row_bytes:
                is_cut = True
                problems.clear()
                yield None  # no text: the csv module gives the row up
                text = f'"{text}'  # a row goes on in the next block only inside a cell in quotes: there again
                held = 0
            problems.update(block.problems)
            yield from io.StringIO(text, newline="\n")
            held = held + len(block.text) if line < block.first else 0

    csv.field_size_limit(sys.maxsize)  # of the process; what a cell may hold is seen to above
    reader = csv.reader(
        feed(),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if options.quoting == "none" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        problem = None
        try:
            cells = next(reader, None)
        except csv.Error as error:  # the module goes on with the next line
            cells, problem = [], large if is_cut else _explained(str(error))
        while is_cut:  # what comes next is the rest of this row
            is_cut = False
            try:
                next(reader)
            except csv.Error as error:
                problem = large if is_cut else _explained(str(error))
        if reader.line_num > line and sum(map(len, cells or ())) > options.max_row_bytes:
            problem = large
        if problems:
            of_these = [problems.pop(number) for number in list(problems) if number <= reader.line_num]
            problem = of_these[0] if of_these else problem
        if cells is None:
            return
        if problem == large:
            cells = []
        if cells or problem is not None:
            yield _Line(cells, line, problem)


def _explained(message: str) -> Problem:
    return next((problem for part, problem in _PROBLEMS.items() if part in message), Problem(message))


def _header(name: str, first: _Line | None) -> list[str]:
    if first is None:
        raise InputError(f"{name} holds blank lines alone: there is no header.")
    if first.problem is not None:
        raise first.problem.error(name, None, first.line)
    return first.cells


def _until_cells(lines: Iterator[_Line]) -> Iterator[_Line]:
    """Take lines up to the first that has cells."""
    for line in lines:
        yield line
        if line.cells:
            return


def _records(name: str, lines: Iterator[_Line], columns: Sequence[str], options: ReadOptions) -> Iterator[Record]:
    width = len(columns)
    for row, (cells, line, problem) in enumerate(lines, 1):
        if problem is None and len(cells) != width:
            problem = _ragged(columns, len(cells), options)
        if problem is None:
            yield Record(dict(zip(columns, cells)), row, name, line)
        else:
            yield problem.record(name, row, line, dict(zip(columns, cells)))


def _ragged(columns: Sequence[str], cells: int, options: ReadOptions) -> Problem:
    hint = "A cell that holds the delimiter has to stand in quotes."
    if options.quoting != "none":
        hint = f"{hint} {_NO_QUOTES}"
    for mark in "\t;|,":
        if len(columns) == 1 and mark in columns[0]:
            hint = f"If {mark!r} is what stands between cells, say so: `--delimiter {mark!r}`."
    return Problem(f"{_count(cells, 'cell')} for {_count(len(columns), 'column')}", hint)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _delimiter(text: str) -> str:
    text = "\t" if text == "\\t" else text  # as it is typed in a shell
    if len(text) != 1 or text in '\r\n"':
        raise InputError(f"{text!r} cannot be a delimiter: it is one character.", hint="A tab is `--delimiter '\\t'`.")
    return text


class CsvSink:
    """Writes rows under one header: text as it is, nothing for None, anything else as JSON text."""

    def __init__(self, stream: BinaryIO, options: WriteOptions, *, delimiter: str) -> None:
        self._columns = options.columns
        self._known = frozenset(options.columns if options.has_header else ())  # the header; empty until it is written
        self._waiting = 0  # rows without columns, while there is no header that they could stand under
        # It quotes what looks like this end of a line, so \r as well as \n; `_Encoded` writes \n alone.
        self._writer = csv.writer(_Encoded(stream), delimiter=delimiter, lineterminator="\r\n")

    def write(self, row: Row) -> None:
        """Write one row, and before the first one the header: the columns known before, then those of this row.

        Raises:
            NewColumnsError: the row has columns that the header lacks.
        """
        if not self._known:
            self._columns = tuple(dict.fromkeys((*self._columns, *row)))
            if not self._columns:
                self._waiting += 1
                return
            self._write_header()
        if not row.keys() <= self._known:
            raise NewColumnsError(tuple(dict.fromkeys((*self._columns, *row))))
        values = [row.get(column) for column in self._columns]
        self._writer.writerow([value if type(value) is str or value is None else _cell(value) for value in values])

    def close(self) -> None:
        """Write the header if there were no rows."""
        if not self._known and self._columns:
            self._write_header()

    def _write_header(self) -> None:
        self._known = frozenset(self._columns)
        self._writer.writerow(self._columns)
        self._writer.writerows([None] * len(self._columns) for _ in range(self._waiting))


class _Encoded:
    """Takes the text of a whole row from csv.writer and hands on its bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        text = text[: -len("\r\n")].replace("\0", "\N{REPLACEMENT CHARACTER}") + "\n"  # few programs read NUL
        try:
            data = text.encode()
        except UnicodeEncodeError:  # halves of surrogate pairs: UTF-16 joins them, or puts U+FFFD for one alone
            data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        self._stream.write(data)


def _cell(value: Any) -> str | None:
    if not isinstance(value, (dict, list)):
        value = to_plain(value)
        if value is None or isinstance(value, str):
            return value
    return jsonl.json_text(value).decode()


def write(stream: BinaryIO, rows: Callable[[], Iterator[Row]], options: WriteOptions, *, delimiter: str) -> None:
    """Write all rows, under the columns of all of them."""
    columns = dict.fromkeys(options.columns)
    for row in rows():
        columns.update(dict.fromkeys(row))
    sink = CsvSink(stream, WriteOptions(tuple(columns)), delimiter=delimiter)
    for row in rows():
        sink.write(row)
    sink.close()


def _format(name: str, endings: tuple[str, ...], delimiter: str) -> Format:
    return Format(
        name,
        endings,
        read=partial(read, delimiter=delimiter),
        sink=partial(CsvSink, delimiter=delimiter),
        write=partial(write, delimiter=delimiter),
        tabular=True,
        rule_out=lambda head, options: options.header and jsonl.is_object(head),
        count=partial(count_table, delimiter=delimiter),
    )


FORMATS = (_format("csv", (".csv",), ","), _format("tsv", (".tsv", ".tab"), "\t"))
