"""Parquet. It is read through its footer, at the end: what comes from a pipe is copied to a temporary file first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.arrow.columns import batches_of, find_schema
from pipesmith.pipelines.records.arrow.rows import (
    FEW_ROWS,
    STEP_BYTES,
    STEP_ROWS,
    reading,
    reason,
    rows_per_step,
    seekable,
)
from pipesmith.pipelines.records.arrow.types import is_kind, shares_values
from pipesmith.pipelines.records.formats import Format
from pipesmith.pipelines.records.record import Reading, ReadOptions, Row, WriteOptions
from pipesmith.pipelines.records.source import Source

_MAGIC = b"PAR1"
_MAGIC_ENCRYPTED = b"PARE"
_GROUP_ROWS = 2**17
_GROUP_BYTES = 64 * 2**20


def read(source: Source, options: ReadOptions) -> Reading:
    """Open a parquet file.

    From a pipe, or compressed as a whole (.parquet.gz, .parquet.zst), it is first copied into a temporary file, all of
    it and without a limit (`seekable`).

    Raises:
        InputError: it is not parquet, cut short, encrypted, or names a column twice.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    data = seekable(source, pyarrow.OSFile)
    try:
        file = ParquetFile(data, buffer_size=2**20)
        schema = file.schema_arrow
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(source, data, error) from error
    return reading(_batches(data, file), schema, source.name, options, total=file.metadata.num_rows)


def recognise(head: bytes) -> bool:
    """Tell whether the first bytes are parquet's."""
    return head.startswith((_MAGIC, _MAGIC_ENCRYPTED))


def write(stream: BinaryIO, rows: Callable[[], Iterator[Row]], options: WriteOptions) -> None:
    """Write all rows, in row groups of about 64 MB, under the schema that `find_schema` finds for them.

    What is lost on the way from a parquet file to another: times and durations in nanoseconds are cut to microseconds
    when they are read (`arrow.rows.reading`). Rows that come by way of JSON, as those of `OutputFile` do, have null in
    place of NaN and infinity; their bytes, times and durations are turned back if `options.schema` has their types,
    and are text otherwise.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = find_schema(rows, options)
    with ParquetWriter(stream, schema.arrow, compression="zstd") as writer:
        for group in _groups(batches_of(rows, schema), _GROUP_ROWS, _GROUP_BYTES):
            writer.write_table(pyarrow.Table.from_batches(group))


def _groups(batches: Iterator[Any], most_rows: int, most_bytes: int) -> Iterator[list[Any]]:
    group: list[Any] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.get_total_buffer_size()
        if rows >= most_rows or size >= most_bytes:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


def _batches(data: Any, file: Any) -> Iterator[Any]:
    """Read batches of about 8 MB, or of 1,024 rows."""
    with data:
        failed: list[Exception] = []
        for group in _groups(_until_failure(_pieces(file), failed), STEP_ROWS, STEP_BYTES):
            yield from _joined(group)
        if failed:
            raise failed[0]


def _until_failure(batches: Iterator[Any], failed: list[Exception]) -> Iterator[Any]:
    """Hand over batches; where they cannot be read on, end, and add the reason to a list."""
    import pyarrow

    try:
        yield from batches
    except (pyarrow.ArrowException, OSError, InputError) as error:
        failed.append(error)


def _joined(group: list[Any]) -> list[Any]:
    """Return batches as one, if it takes no more than they do."""
    import pyarrow

    if len(group) == 1 or any(shares_values(type) for type in group[0].schema.types):
        return group
    try:
        return [pyarrow.concat_batches(group)]
    except pyarrow.ArrowException:  # of different types (`_with_values`), or more text than one array holds
        return group


def _pieces(file: Any) -> Iterator[Any]:
    """Read few rows at once, fewer where they are large.

    How large they are is seen when they are decoded: a value that a column repeats stands in the file once, so neither
    its size nor what the footer says bounds them. pyarrow cannot change its step on the way. It begins again then, and
    the rows that were read are left out: to fewer rows a few times in a row group, to more rows at its start alone.
    """
    step = 1
    has_dictionaries = any(is_kind(type, "dictionary") for type in file.schema_arrow.types)
    for number in range(file.num_row_groups):
        about = file.metadata.row_group(number)
        step = min(step, rows_per_step(about.num_rows, about.total_byte_size))
        done, is_at_end = 0, False
        while not is_at_end:
            is_at_end = True
            for batch in _from_row(done, file.iter_batches(step, row_groups=[number], use_threads=False)):
                piece = _with_values(batch) if has_dictionaries else batch
                yield piece
                done += piece.num_rows
                fit = rows_per_step(piece.num_rows, piece.get_total_buffer_size(), FEW_ROWS)
                if done < about.num_rows and (fit < step or (fit > step and done <= FEW_ROWS)):
                    step, is_at_end = min(fit, step // 2) if fit < step else fit, False
                    break


def _from_row(row: int, batches: Iterator[Any]) -> Iterator[Any]:
    """Leave out the first rows."""
    for batch in batches:
        if row < batch.num_rows:
            yield batch.slice(row) if row else batch
        row = max(0, row - batch.num_rows)


def _with_values(batch: Any) -> Any:
    """Return a batch with values in place of dictionaries, so that its size is that of its rows."""
    import pyarrow

    try:
        columns = [
            column.dictionary_decode() if is_kind(column.type, "dictionary") else column for column in batch.columns
        ]
    except pyarrow.ArrowException:  # an index without a value, or more text than one array holds
        return batch
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _unreadable(source: Source, data: Any, error: Exception) -> InputError:
    end = data.size()
    data.seek(max(0, end - len(_MAGIC)))
    tail = data.read()
    data.seek(0)
    head = data.read(len(_MAGIC))
    data.close()
    if _MAGIC_ENCRYPTED in (head, tail) or "encrypt" in str(error):
        return InputError(f"{source.name} is encrypted.", hint="Write it again without encryption.")
    if head != _MAGIC:
        return InputError(
            f"{source.name} is not parquet: it begins with {head!r}.", hint="Say what it is with --input-format."
        )
    again = "Fetch or make the file again."
    if tail != _MAGIC:
        return InputError(f"{source.name} is cut short: parquet's footer is missing at its end.", hint=again)
    return InputError(f"{source.name} is damaged: its footer cannot be read ({reason(error)}).", hint=again)


FORMATS = (Format("parquet", (".parquet", ".pq"), read, recognise, None, write, tabular=True, binary=True),)
