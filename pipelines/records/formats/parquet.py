"""Parquet. It is read through its footer, at the end: what comes from a pipe is copied to a temporary file first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.arrow.columns import batches_of, find_schema
from pipesmith.pipelines.records.arrow.rows import reading, reason, rows_per_step, seekable
from pipesmith.pipelines.records.formats import Format
from pipesmith.pipelines.records.record import Reading, ReadOptions, Row, WriteOptions
from pipesmith.pipelines.records.source import Source

_MAGIC = b"PAR1"
_MAGIC_ENCRYPTED = b"PARE"
_GROUP_ROWS = 2**17
_GROUP_BYTES = 64 * 2**20


def read(source: Source, options: ReadOptions) -> Reading:
    """Open a parquet file.

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
    """Write all rows, in row groups of about 64 MB, under the schema that `find_schema` finds for them."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = find_schema(rows, options)
    with ParquetWriter(stream, schema.arrow, compression="zstd") as writer:
        for group in _groups(batches_of(rows, schema)):
            writer.write_table(pyarrow.Table.from_batches(group))


def _groups(batches: Iterator[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


def _batches(data: Any, file: Any) -> Iterator[Any]:
    """Read row group by row group, few rows at once where they are large."""
    with data:
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            step = rows_per_step(group.num_rows, group.total_byte_size)
            yield from file.iter_batches(step, row_groups=[number])


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
