"""JSON: an array of rows, or one object. Elements are taken one by one, so that memory does not grow with the file.

The standard library parses them; here only the commas between them are found, and the end of one that it cannot take.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.formats import Format, jsonl
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record, Row, WriteOptions
from pipesmith.pipelines.records.source import Source
from pipesmith.pipelines.records.text import NUL, Problem, find_codec, read_text, too_large

_DECODE = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\r\n]*")
_DOUBLED_FROM = 2**18  # characters; an element larger than this is tried again when twice as much of it has come
_OUTSIDE, _IN_TEXT = re.compile(r'[]["{},]'), re.compile(r'"|\\.?', re.DOTALL)  # what the end of an element hangs on
_WORD = 16  # longer than any word, number's tail or escape that the end of the window can cut in two
_UNCLOSED = Problem("the array is never closed", "The file seems to be cut short: fetch or make it again.")
_NO_COMMA = Problem("not valid JSON (Expecting ',' delimiter)")
_TRAILING = Problem("something follows the end of the array", "If every line is a row: `--input-format jsonl`.")


def read(source: Source, options: ReadOptions) -> Reading:
    """Open a JSON file, or JSON Lines under its name. What is no object is the row {"input": value}."""
    if jsonl.recognise(source.peek()):
        return jsonl.read(source, options)
    return Reading(_Parser(source, options).records())


def recognise(head: bytes) -> bool:
    """Tell whether the first bytes begin an array, or an object of several lines."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"[", b"{")) and not jsonl.recognise(head)


class _WrongError(Exception):
    """Why the file cannot be read on, and from which place in the text."""

    def __init__(self, problem: Problem, position: int) -> None:
        super().__init__(problem.what)
        self.problem = problem
        self.position = position


class _Parser:
    """A window on the file's text that slides from element to element."""

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self._name = source.name
        self._limit = too_large(options)
        self._max = options.max_row_bytes
        self._pieces = read_text(source, find_codec(source, options))
        self._ended = False
        self._failure: Problem | None = None  # of the file itself; what came before it is read to its end
        self._text = ""
        self._position = 0  # in the text, of what comes next
        self._line = 1
        self._line_start = 0  # in the text; negative if that has slid away

    def records(self) -> Iterator[Record]:
        """Return the elements as rows; the last one has an error if the file is not all right."""
        row = 0
        try:
            for row, (line, value) in enumerate(self._values(), 1):
                if isinstance(value, Problem):
                    yield value.record(self._name, row, line)
                else:
                    yield Record(value if type(value) is dict else {"input": value}, row, self._name, line)
            if self._failure is not None:
                raise _WrongError(self._failure, self._position)
        except _WrongError as wrong:
            self._move(wrong.position)
            column = self._position - self._line_start + 1
            error = (self._failure or wrong.problem).error(self._name, row + 1, self._line, column)
            if self._failure is None:
                error = InputError(f"{error.message} Nothing can be read from row {row + 1} on.", hint=error.hint)
            yield Record({}, row + 1, self._name, self._line, error)

    def _values(self) -> Iterator[tuple[int, Any]]:
        """Return the line that each value begins on, and the value, or why it cannot be had."""
        if self._next() != "[":
            yield self._line, self._element()
            while self._next():
                yield self._line, self._element()
            return
        self._position += 1
        mark = self._next()
        while mark != "]":
            yield self._line, self._element()
            mark = self._next()
            if mark == ",":
                self._position += 1
                self._next()
            elif mark != "]":
                raise _WrongError(_UNCLOSED if not mark else _NO_COMMA, self._position)
        self._position += 1
        if self._next():
            raise _WrongError(_TRAILING, self._position)

    def _element(self) -> Any:
        """Take one value, or return why it cannot be had. What is no JSON ends the file: where it ends nobody knows."""
        while True:
            begin, size = self._position, len(self._text)
            try:
                value, end = _DECODE(self._text, begin)
            except json.JSONDecodeError as error:
                # A string that does not end is blamed on its beginning, anything else on the place of parsing.
                cut = error.pos > size - _WORD or error.msg.startswith("Unterminated")
                if self._ended or not cut:
                    nul = self._text[error.pos : error.pos + 1] == "\0"
                    raise _WrongError(NUL if nul else jsonl.not_json(error), error.pos) from error
            except ValueError as error:  # an integer of thousands of digits
                return self._without(jsonl.not_json(error))
            except RecursionError:
                return self._without(jsonl.TOO_DEEP)
            else:
                if self._ended or end < size - _WORD or not isinstance(value, (int, float)):
                    self._move(end)
                    return value if end - begin <= self._max else self._limit
            if size - begin > self._max:
                return self._without(self._limit)
            self._read_on()

    def _without(self, problem: Problem) -> Problem:
        """Move to the end of a value without keeping it: its last quote or bracket, or the next comma."""
        depth, marks, at = 0, _OUTSIDE, self._position
        while True:
            found = marks.search(self._text, at)
            if found is None or found[0] == "\\":  # half of an escape
                self._move(found.start() if found else len(self._text))
                if self._ended:
                    return problem
                self._read_on()
                at = self._position
                continue
            at = found.end()
            if found[0] == '"':
                marks = _OUTSIDE if marks is _IN_TEXT else _IN_TEXT
            elif marks is _OUTSIDE:
                depth += (found[0] in "[{") - (found[0] in "]}")
            if marks is _OUTSIDE and depth <= 0:
                self._move(found.start() if found[0] == "," or depth else at)
                return problem

    def _next(self) -> str:
        """Move to what is no space, and return that character; nothing at the end."""
        while True:
            self._move(_SPACE.match(self._text, self._position).end())  # type: ignore[union-attr]  # it matches nothing, too
            if self._position < len(self._text):
                return self._text[self._position]
            if self._ended:
                return ""
            self._read_on()

    def _move(self, position: int) -> None:
        lines = self._text.count("\n", self._position, position)
        if lines:
            self._line += lines
            self._line_start = self._text.rindex("\n", self._position, position) + 1
        self._position = position

    def _read_on(self) -> None:
        """Let the window slide, and widen it: twofold if much is in it, or a large element would be tried too often."""
        parts = [self._text[self._position :]]
        self._line_start -= self._position
        size = len(parts[0])
        wanted = min(2 * size, self._max + _WORD) if size > _DOUBLED_FROM else size
        self._position = 0
        while not self._ended and size <= wanted:
            try:
                piece = next(self._pieces, None)
            except InputError as error:  # what has come before may still hold whole elements
                piece, self._failure = None, Problem("", cause=error)
            self._ended = piece is None
            parts.append(piece or "")
            size += len(parts[-1])
        self._text = "".join(parts)


def write(stream: BinaryIO, rows: Callable[[], Iterator[Row]], options: WriteOptions) -> None:
    """Write all rows as an array, one a line."""
    before = b"[\n"
    for row in rows():
        stream.write(before + jsonl.json_text(row))
        before = b",\n"
    stream.write(b"[]\n" if before == b"[\n" else b"\n]\n")


FORMATS = (Format("json", (".json",), read, recognise, write=write),)
