"""Rows of Arrow batches as Python values: what parquet, arrow and data sets share for reading."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.arrow.types import is_kind, is_list, shares_values
from pipesmith.pipelines.records.arrow.values import Convert, finish, readable_type
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record
from pipesmith.pipelines.records.source import Source
from pipesmith.pipelines.records.text import too_large

STEP_ROWS = 1024
STEP_BYTES = 8 * 2**20
FEW_ROWS = 64  # held at once where their size is known only afterwards


def reading(
    batches: Iterable[Any], schema: Any, file: str, options: ReadOptions, *, total: int | None = None
) -> Reading:
    """Return the rows of Arrow batches, each turned into Python values when it is asked for.

    Values are those of pyarrow's `to_pylist`, with two differences. Times in nanoseconds lose what is below a
    microsecond, since datetime has no room for it. Maps are dicts if their keys are texts and unique, else lists of
    pairs. What a row cannot hold (text that is not UTF-8, a date after the year 9999) spoils that row alone.

    Args:
        batches: of type pyarrow.RecordBatch; where they cannot be read on, the last row is a bad one.
        schema: of type pyarrow.Schema, that of every batch; None if batches may differ.
        file: as its user named it.
        options: how rows are read.
        total: how many rows there are, if that is known.

    Raises:
        InputError: two columns, or two fields of one, have the same name, or a name is not UTF-8.
    """
    names = None if schema is None else _checked_names(schema, file)
    return Reading(_records(iter(batches), file, options), names, schema, total)


def rows_per_step(rows: int, size: int, most: int = STEP_ROWS) -> int:
    """Return how many rows to hold at once, of a run of rows that takes so many bytes: about 8 MB of them."""
    return max(1, min(most, rows * STEP_BYTES // max(size, 1)))


def seekable(source: Source, open_file: Callable[[str], Any]) -> Any:
    """Open a source for a format that has to seek.

    Its bytes are copied into a temporary file, which has no name any more, unless they lie on disk as they are. All of
    them, without a limit: a small compressed file may fill the folder for temporary files.

    Args:
        source: to read from.
        open_file: pyarrow.OSFile or pyarrow.memory_map.

    Raises:
        InputError: the source cannot be read, or the temporary folder has no room.
    """
    if source.path is not None:
        return open_file(str(source.path))
    source.peek()  # an empty source is named as such; it could not be mapped
    try:
        with tempfile.NamedTemporaryFile() as file:
            shutil.copyfileobj(source.stream(), file, 2**20)
            file.flush()
            return open_file(file.name)
    except OSError as error:
        raise InputError(
            f"{source.name} has to be unpacked into {tempfile.gettempdir()} to be read: {error.strerror or error}.",
            hint="Make room there, or name another folder with the environment variable TMPDIR.",
        ) from error


@dataclass(frozen=True, slots=True)
class _Column:
    """How a column becomes Python values.

    Args:
        name: of the column.
        type: the pyarrow.DataType to cast it to before; None if that is not needed.
        finish: applied to each value after; None if that is not needed.
        is_shared: whether values may lie in it once for many rows.
    """

    name: str
    type: Any
    finish: Convert | None
    is_shared: bool

    @classmethod
    def of(cls, field: Any) -> _Column:
        """Return that of a pyarrow.Field."""
        return cls(field.name, readable_type(field.type), finish(field.type), shares_values(field.type))

    def cast(self, column: Any) -> Any:
        """Return the column in a type whose values Python can hold."""
        return column if self.type is None else column.cast(self.type, safe=False)

    def values(self, column: Any) -> list[Any]:
        """Return a column's values, once it is cast."""
        values: list[Any] = column.to_pylist()
        return values if self.finish is None else [self.finish(value) for value in values]


def _records(batches: Iterator[Any], file: str, options: ReadOptions) -> Iterator[Record]:
    import pyarrow

    row = 0
    schema = None
    columns: list[_Column] = []
    while True:
        try:
            batch = next(batches, None)
        except (pyarrow.ArrowException, OSError, InputError) as error:
            yield Record({}, row + 1, file, error=_cut_off(error, file, row + 1))
            return
        if batch is None:
            return
        if schema is None or not schema.equals(batch.schema):
            schema = batch.schema
            columns = [_Column.of(field) for field in schema]
        for part, rows in _parts(batch, columns, options.max_row_bytes):
            for index in range(part.num_rows):
                row += 1
                if rows is not None:
                    yield Record(rows[index], row, file)
                else:
                    yield _doubtful_row(part.slice(index, 1), columns, row, file, options)


def _parts(batch: Any, columns: list[_Column], limit: int) -> Iterator[tuple[Any, list[dict[str, Any]] | None]]:
    """Cut a batch into parts that may be held as Python values, single rows if something is wrong with it.

    Each comes with its rows; None if one of them is bad, or may be over the limit. Where values are shared, the size of
    a part tells how many rows the next one has.
    """
    import pyarrow

    is_shared = any(column.is_shared for column in columns)
    try:
        batch.validate(full=True)  # offsets of a damaged file may point anywhere: reading there ends the process
        is_valid, step = True, 1 if is_shared else rows_per_step(batch.num_rows, batch.nbytes)
    except pyarrow.ArrowException:
        is_valid, step = False, 1
    start = 0
    while start < batch.num_rows:
        part = batch.slice(start, step)
        start += step
        cast = _cast(part, columns, is_valid=is_valid)
        size = limit + 1 if cast is None else sum(cells.nbytes for cells in cast)
        yield part, None if cast is None or size > limit else _good_rows(part, cast, columns)
        if is_shared and is_valid:
            step = 1 if cast is None else rows_per_step(part.num_rows, size, FEW_ROWS)


def _cast(part: Any, columns: list[_Column], *, is_valid: bool) -> list[Any] | None:
    """Return the columns of a part in types whose values Python can hold, None if one has others."""
    import pyarrow

    try:
        if not is_valid:
            part.validate(full=True)
        return [column.cast(cells) for column, cells in zip(columns, part.columns)]
    except (pyarrow.ArrowException, ValueError, OverflowError):
        return None


def _good_rows(part: Any, cast: list[Any], columns: list[_Column]) -> list[dict[str, Any]] | None:
    """Return the rows of a part; None if one of them is bad."""
    import pyarrow

    try:
        lists = [column.values(cells) for column, cells in zip(columns, cast)]
    except (pyarrow.ArrowException, ValueError, OverflowError):
        return None
    if not columns:
        return [{} for _ in range(part.num_rows)]
    names = [column.name for column in columns]
    return [dict(zip(names, row)) for row in zip(*lists)]


def _doubtful_row(one: Any, columns: list[_Column], row: int, file: str, options: ReadOptions) -> Record:
    """Read a single row cell by cell, so that it comes with what is good of it."""
    import pyarrow

    values: dict[str, Any] = {}
    problem = None
    size = 0
    for column, cells in zip(columns, one.columns):
        try:
            cells.validate(full=True)
            cells = column.cast(cells)
            size += cells.nbytes
            if size > options.max_row_bytes:
                large = too_large(options)
                return Record({}, row, file, error=InputError(f"{file}, row {row}: {large.what}.", hint=large.hint))
            (values[column.name],) = column.values(cells)
        except (pyarrow.ArrowException, ValueError, OverflowError) as error:
            values[column.name] = None
            problem = problem or InputError(
                f"{file}, row {row}: the value of column {column.name} cannot be read ({reason(error)})."
            )
    return Record(values, row, file, error=problem)


def reason(error: Exception) -> str:
    """Return what an exception says, as the part of a sentence."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _cut_off(error: Exception, file: str, row: int) -> InputError:
    if isinstance(error, InputError):
        return InputError(f"{error.message} Nothing can be read from row {row} on.", hint=error.hint)
    return InputError(
        f"{file} is damaged: nothing can be read from row {row} on ({reason(error)}).",
        hint="Fetch or make the file again; the rows before this place are good.",
    )


def _checked_names(schema: Any, file: str) -> tuple[str, ...]:
    """Return the names of the columns, if a row can be a dict of them."""
    try:
        _refuse_double_names(schema, schema.names, file)
        return tuple(schema.names)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is damaged: the name of a column is not UTF-8.", hint="Fetch or make the file again."
        ) from error


def _refuse_double_names(type: Any, names: list[str], file: str, of: str = "") -> None:
    """Raise InputError if a schema, or a struct in it, has two fields of one name: a row is a dict."""
    double = next((name for name, count in Counter(names).items() if count > 1), None)
    if double is not None:
        raise InputError(
            f"{file} has two columns with the name {of}{double}.", hint="Rename or drop one where the file is made."
        )
    for field in type:
        inner = field.type
        while is_list(inner):
            inner = inner.value_type
        if is_kind(inner, "struct"):
            _refuse_double_names(inner, [one.name for one in inner], file, f"{of}{field.name}.")
