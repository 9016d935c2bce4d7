"""Arrow IPC, as a file (feather's version 2 is the same) and as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.arrow.columns import batches_of, find_schema
from pipesmith.pipelines.records.arrow.rows import reading, reason, seekable
from pipesmith.pipelines.records.formats import Format
from pipesmith.pipelines.records.record import Reading, ReadOptions, Row, WriteOptions
from pipesmith.pipelines.records.source import Source

_FILE = b"ARROW1"
_STREAM = b"\xff\xff\xff\xff"  # what every message begins with since Arrow 0.15; the length of the schema follows
_FEATHER_1 = b"FEA1"
_PIECE_BYTES = 2**20


def read(source: Source, options: ReadOptions) -> Reading:
    """Open an Arrow file, or a stream, which is read as it comes.

    A file from a pipe, or a compressed one, is first copied into a temporary file, without a limit (`seekable`).

    Raises:
        InputError: it is neither, or cut short before its first rows, or names a column twice.
    """
    import pyarrow
    from pyarrow import ipc

    head = source.peek()
    if head.startswith(_FEATHER_1):
        raise InputError(
            f"{source.name} is feather of version 1, which is out of use.",
            hint="Write it again as version 2: pandas.read_feather(...).to_feather(...)",
        )
    if not head.startswith((_FILE, _STREAM)):
        raise InputError(
            f"{source.name} is not Arrow: it begins with {head[:6]!r}.", hint="Say what it is with --input-format."
        )
    is_file = head.startswith(_FILE)
    data = (
        seekable(source, pyarrow.memory_map)
        if is_file or source.path
        else pyarrow.PythonFile(_Pieces(source.stream()), mode="r")
    )
    try:
        reader = ipc.open_file(data) if is_file else ipc.open_stream(data)
        total = (
            reader.count_rows() if hasattr(reader, "count_rows") else None
        )  # a stream's, and older pyarrow's, has not
    except (pyarrow.ArrowException, OSError) as error:
        data.close()
        raise InputError(
            f"{source.name} is cut short or damaged ({reason(error)}).", hint="Fetch or make the file again."
        ) from error
    batches = _batches_of_file(data, reader) if is_file else _batches_of_stream(data, reader)
    return reading(batches, reader.schema, source.name, options, total=total)


def recognise(head: bytes) -> bool:
    """Tell whether the first bytes are those of an Arrow file or stream, or of feather's version 1."""
    return head.startswith((_FILE, _STREAM, _FEATHER_1))


def write(stream: BinaryIO, rows: Callable[[], Iterator[Row]], options: WriteOptions) -> None:
    """Write all rows as a file, under the schema that `find_schema` finds for them.

    What is lost on the way from an Arrow file to another is said at `parquet.write`.
    """
    from pyarrow import ipc

    schema = find_schema(rows, options)
    with ipc.new_file(stream, schema.arrow) as writer:
        for batch in batches_of(rows, schema):
            writer.write_batch(batch)


def _batches_of_file(data: Any, reader: Any) -> Iterator[Any]:
    with data:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _batches_of_stream(data: Any, reader: Any) -> Iterator[Any]:
    with data:
        yield from reader


class _Pieces:
    """A stream that is read piece by piece: a damaged file may ask for any number of bytes at once."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, count: int) -> bytes:
        """Return so many bytes, or those that there are."""
        pieces = []
        while piece := self._stream.read(min(count, _PIECE_BYTES)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """The stream is closed with its source."""


FORMATS = (Format("arrow", (".arrow", ".feather", ".ipc"), read, recognise, None, write, tabular=True, binary=True),)
