"""What was typed, piped in or named with --input, as rows for a pipeline."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipesmith.cli import output
from pipesmith.cli.flags import TaskRequest
from pipesmith.pipelines.errors import InputError, ParameterError
from pipesmith.pipelines.records.columns import INPUT, ColumnMap, map_columns, parse_mapping, place
from pipesmith.pipelines.records.opening import MEDIA, STDIN, Records, is_medium, matching, select
from pipesmith.pipelines.records.record import ReadOptions, Record

if TYPE_CHECKING:
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.signature import Signature

_HEAD = 4096  # bytes
_SEEN = 100  # first rows whose columns are looked at, where rows may differ


@dataclass(frozen=True)
class InputOptions:
    """What the command line says of inputs.

    Args:
        arguments: the inputs that stand on it.
        files: those named with --input.
        as_json: whether arguments, and lines of stdin, are JSON.
        format: of the files.
        split: of data sets.
        reading: how files are read.
        columns: each "NAME=COLUMN".
        skip: how many rows are left out at the start.
        limit: how many rows are taken at most.
        sample: how many of those are drawn.
        seed: of the drawing.
        allow_private_urls: whether files may name hosts of this network.
    """

    arguments: Sequence[str] = ()
    files: Sequence[str] = ()
    as_json: bool = False
    format: str | None = None
    split: str | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    columns: Sequence[str] = ()
    skip: int = 0
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    allow_private_urls: bool = False

    @property
    def has_files(self) -> bool:
        """Whether rows come from files, or from stdin in a format."""
        return bool(self.files) or self.format is not None


@dataclass(frozen=True)
class Feed:
    """Rows for a pipeline.

    Args:
        rows: the rows.
        columns: which of their columns is what; None if there are no rows.
        known_columns: those that every row has, in order; none if rows may differ.
        schema: the pyarrow.Schema of the columns, or None.
        files: what the rows are read from, which knows how far that is; None for typed inputs.
        several: whether there is more than one row, as far as is known.
        typed: whether the inputs were typed: then their URLs are the user's own.
        total: how many rows there are, of typed inputs.
    """

    rows: Iterator[Record]
    columns: ColumnMap | None
    known_columns: tuple[str, ...] = ()
    schema: Any = None
    files: Records | None = None
    several: bool = True
    typed: bool = False
    total: int | None = None


def open_feed(
    ctx: typer.Context,
    request: TaskRequest,
    options: InputOptions,
    access: HubAccess,
    notify: Callable[[str], None] = output.note,
) -> Feed:
    """Open the inputs of a run; `notify` is told what a reader should know of them.

    Raises:
        ParameterError: options contradict each other, or a mapping names no parameter.
        InputError: a file cannot be read, or no column can be told to be the input.
        typer.Exit: no input at all, and stdin is a terminal (exit code 2).
    """
    _check(options)
    if options.has_files:
        feed = _of_files(request, options, access, notify)
    elif list(options.arguments) not in ([], [STDIN]):
        feed = _of_arguments(request, options)
    else:
        feed = _of_stdin(ctx, request, options)
    rows = select(feed.rows, skip=options.skip, limit=options.limit, sample=options.sample, seed=options.seed)
    return replace(feed, rows=rows)


def _check(options: InputOptions) -> None:
    if options.arguments and options.has_files:
        raise ParameterError(
            f"Inputs come from the command line ({options.arguments[0]!r}) or from --input, not both.",
            hint="Leave one out. A flag's value that stands alone is taken for an input.",
        )
    if options.split is not None and not options.files:
        raise ParameterError("--split is of a data set: name it with --input.")
    if options.columns and not options.has_files:
        raise ParameterError("--column maps columns of a file: name it with --input.")


def _of_files(request: TaskRequest, options: InputOptions, access: HubAccess, notify: Callable[[str], None]) -> Feed:
    records = Records(
        options.files or [STDIN],
        options.reading,
        format=options.format,
        split=options.split,
        kind=request.target.entry.type,
        access=access,
        stdin=sys.stdin.buffer if sys.stdin is not None else None,
        notify=notify,
    )
    media = all(one.kind == "media" for one in records.inputs)
    with ExitStack() as stack:
        stack.callback(records.close)
        rows = iter(records)
        columns = records.columns
        if columns is None:
            columns, rows = _columns_seen(rows, 1 if records.is_live else _SEEN)
        mapped = None
        if columns is not None:
            mapping = parse_mapping(options.columns)
            kind = request.target.entry.type
            where = records.inputs[0].name
            mapped = map_columns(columns, request.signature, kind, mapping, given=request.values, where=where)
            mapped = replace(mapped, has_nulls=records.has_nulls, is_fixed=records.columns is not None)
            if not media:
                notify(f"Columns: {mapped}")
            if len(columns) == 1 and not records.has_nulls and any(mark in columns[0] for mark in ";\t|"):
                notify(f"{columns[0]!r} is taken for one column; --delimiter says what stands between cells.")
        stack.pop_all()
    return Feed(rows, mapped, tuple(records.columns or ()), records.schema, records, typed=media)


def _columns_seen(rows: Iterator[Record], count: int) -> tuple[Sequence[str] | None, Iterator[Record]]:
    """Return the columns of the first good rows, and all rows again; None if there are no good ones.

    Rows of JSON may lack a column here and there: one row alone does not tell what there is.
    """
    read: list[Record] = []
    columns: dict[str, None] = {}
    for record in rows:
        read.append(record)
        if record.error is None:
            columns.update(dict.fromkeys(record.values))
        if len(read) >= (count if columns else _SEEN):
            break
    is_any_good = any(record.error is None for record in read)  # a row may be good and have no columns: {}
    if len(read) == _SEEN and not is_any_good and read[0].error is not None:
        raise read[0].error
    return list(columns) if is_any_good else None, chain(read, rows)


def _of_arguments(request: TaskRequest, options: InputOptions) -> Feed:
    """Return the inputs on the command line: text, JSON if that is asked for or wanted, or files of the task's kind."""
    kind = request.target.entry.type
    as_json = options.as_json or _takes_json(request.signature)
    column = INPUT if as_json else _column_of(kind)
    texts = list(options.arguments)
    if kind != "text" and not as_json:
        texts = [name for text in texts for name in _matching_media(text, kind) or [text]]
    records: list[Record] = []
    for number, text in enumerate(texts, 1):
        if text == STDIN:
            raise ParameterError(
                "- stands alone: either stdin is read, or the inputs on the command line.",
                hint="Leave the - or the other inputs out.",
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"Input {number} is not UTF-8: {text!r}.", hint="Convert it first, for example with iconv -t utf-8."
            ) from error
        records.append(Record({column: _json(text, f"input {number}") if as_json else text}, number, ""))
    return Feed(iter(records), ColumnMap(column), (column,), several=len(records) > 1, typed=True, total=len(records))


def _of_stdin(ctx: typer.Context, request: TaskRequest, options: InputOptions) -> Feed:
    """Return the lines of stdin, each as it comes; `-` for a task of images, sounds or videos is one of them."""
    asked = bool(options.arguments)
    if not asked and (sys.stdin is None or sys.stdin.isatty()):
        output.note(ctx.get_help())
        raise typer.Exit(2)
    kind = request.target.entry.type
    as_json = options.as_json or _takes_json(request.signature)
    stdin: Any = sys.stdin.buffer
    stdin = stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin)
    if kind != "text" and not as_json and ((asked and kind in MEDIA) or _is_binary(stdin)):
        medium = Records([STDIN], options.reading, format=kind if kind in MEDIA else "image", stdin=stdin)
        return Feed(iter(medium), ColumnMap("bytes"), ("bytes",), several=False, typed=True)
    records = Records([STDIN], options.reading, format="txt", stdin=stdin, notify=output.note)
    if as_json:
        return Feed(_json_lines(records), ColumnMap(INPUT), (INPUT,), files=records)
    return Feed(iter(records), ColumnMap("text"), ("text",), files=records)


def _json_lines(records: Records) -> Iterator[Record]:
    for record in records:
        if record.error is not None:
            yield record
        elif record.values["text"].strip():  # an empty line is no JSON, and no row
            try:
                yield replace(record, values={INPUT: _json(record.values["text"], place(record))})
            except InputError as error:
                yield replace(record, error=error)


def _matching_media(pattern: str, kind: str) -> list[str]:
    """Return the files that a pattern matches, where they are what a task takes; a text may hold a * as well."""
    found = [] if Path(pattern).exists() else matching(pattern)
    return found if kind in MEDIA or all(is_medium(Path(name)) for name in found) else []


def _is_binary(stream: io.BufferedReader) -> bool:
    """Tell whether bytes that come in are those of an image, a sound or a video: they hold zeros, and text does not."""
    return b"\0" in stream.peek(_HEAD)[:_HEAD]


def _column_of(kind: str) -> str:
    return "file" if kind in MEDIA else "text"


def _takes_json(signature: Signature | None) -> bool:
    return signature is not None and signature.input is not None and signature.input.takes_json


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not JSON: {error.msg} at column {error.colno}.",
            hint='The task takes a JSON object or list, such as \'{"text": "..."}\'; quote it for the shell.',
        ) from error
