"""JSON Lines: a JSON value a line. An object is a row; any other value is the row {"input": value}."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from pipesmith.pipelines.errors import OutputError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.formats import Format
from pipesmith.pipelines.records.partial import count_lines
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record, Row, WriteOptions
from pipesmith.pipelines.records.source import Source
from pipesmith.pipelines.records.text import Block, Problem, read_blocks

TOO_DEEP = Problem("it is nested too deeply to be read")
# Made once: json.dumps makes a new encoder at every call with options.
_DECODE = json.JSONDecoder().raw_decode
_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_ENCODE_ASCII = json.JSONEncoder(allow_nan=False).encode


def read(source: Source, options: ReadOptions) -> Reading:
    """Open a file of JSON Lines. Blank lines are no rows."""
    return Reading(_records(source.name, read_blocks(source, options)), has_lines=True)


def recognise(head: bytes) -> bool:
    """Tell whether the first line is a whole JSON object, or the beginning of a long one."""
    line, is_whole, _ = _first_line(head)
    return line.startswith(b"{") and (not is_whole or isinstance(_value(line), dict))


def is_object(head: bytes) -> bool:
    """Tell whether the first line is a JSON object: no header of a table."""
    return isinstance(_value(_first_line(head)[0]), dict)


def is_array(head: bytes, options: ReadOptions) -> bool:
    """Tell whether the first bytes are those of one array, rather than of lines that are arrays each."""
    line, _, rest = _first_line(head)
    return line.startswith(b"[") and not (rest.strip() and isinstance(_value(line), list))


def _first_line(head: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the first line, its end if it is there, and what follows."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # ValueError: wrong JSON, wrong UTF-8, a number of too many digits
        return None


def not_json(error: ValueError) -> Problem:
    """Return the problem of a row that the json module refuses; its place is for the caller to say."""
    return Problem(f"not valid JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})")


def json_text(value: Any) -> bytes:
    """Return a row, or what is in one, as JSON text in UTF-8 on one line.

    What JSON cannot write is made plain: NaN and infinities are null, dates ISO text, bytes base64.

    Raises:
        OutputError: it is nested too deeply.
    """
    try:
        return _encoded(value)
    except RecursionError as error:
        raise OutputError("A row is nested too deeply to be written as JSON.") from error


def _encoded(value: Any) -> bytes:
    try:
        text = _ENCODE(value)
    except (TypeError, ValueError):  # something in it that JSON has no word for
        value = to_plain(value)
        text = _ENCODE(value)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot write and JSON can escape
        return _ENCODE_ASCII(value).encode()


def _records(name: str, blocks: Iterator[Block]) -> Iterator[Record]:
    row = 0
    for block in blocks:
        for line, text in enumerate(block.lines(), block.first):
            try:
                value, end = _DECODE(text)
            except (ValueError, RecursionError):
                end = -1
            if end == len(text) and not block.problems:
                row += 1
                yield Record(value if type(value) is dict else {"input": value}, row, name, line)
            elif line in block.problems:
                row += 1
                yield block.problems[line].record(name, row, line)
            elif text.strip(" \t\r"):
                row += 1
                yield _unusual(text, name, row, line)


def _unusual(text: str, name: str, row: int, line: int) -> Record:
    """Read a line that is more than a JSON value: space around it, or something wrong."""
    try:
        value = json.loads(text)
    except RecursionError:
        return TOO_DEEP.record(name, row, line)
    except ValueError as error:
        column = error.colno if isinstance(error, json.JSONDecodeError) else None
        return Record({}, row, name, line, not_json(error).error(name, row, line, column))
    return Record(value if type(value) is dict else {"input": value}, row, name, line)


class JsonlSink:
    """Writes a JSON object a line, each in one piece."""

    def __init__(self, stream: BinaryIO, options: WriteOptions) -> None:
        self._stream = stream

    def write(self, row: Row) -> None:
        """Write one row."""
        self._stream.write(json_text(row) + b"\n")

    def close(self) -> None:
        """Nothing is left to write."""


def write(stream: BinaryIO, rows: Callable[[], Iterator[Row]], options: WriteOptions) -> None:
    """Write all rows."""
    sink = JsonlSink(stream, options)
    for row in rows():
        sink.write(row)


FORMATS = (
    Format(
        "jsonl",
        (".jsonl", ".ndjson"),
        read,
        recognise,
        JsonlSink,
        write,
        rule_out=is_array,
        count=count_lines,
    ),
)
