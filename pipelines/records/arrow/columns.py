"""Rows as Arrow batches under one schema that holds for all of them: what parquet and arrow share for writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.arrow.seen import NoTypeError, Seen
from pipesmith.pipelines.records.arrow.types import stored_type
from pipesmith.pipelines.records.arrow.values import Convert, revive
from pipesmith.pipelines.records.record import Row, WriteOptions

_STEP_ROWS = 1024
_STEP_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Column:
    """How the values of a column become an Arrow array.

    Args:
        type: a pyarrow.DataType.
        convert: applied to each value before; None if that is not needed.
    """

    type: Any
    convert: Convert | None = None

    def array(self, values: list[Any]) -> Any:
        """Return values as a pyarrow.Array; half a surrogate pair, which UTF-8 cannot write, becomes its escape."""
        import pyarrow

        if self.convert is not None:
            values = [None if value is None else self.convert(value) for value in values]
        try:
            return pyarrow.array(values, self.type)
        except UnicodeEncodeError:
            return pyarrow.array([_escaped(value) for value in values], self.type)


@dataclass(frozen=True)
class RowSchema:
    """The columns of all rows.

    Args:
        columns: by name, in order.
    """

    columns: dict[str, Column]

    @property
    def arrow(self) -> Any:
        """The same as a pyarrow.Schema."""
        import pyarrow

        return pyarrow.schema([(_escaped(name), column.type) for name, column in self.columns.items()])


def find_schema(rows: Callable[[], Iterator[Row]], options: WriteOptions) -> RowSchema:
    """Find the columns of all rows, and for each a type that all its values have.

    A column of `options.schema` keeps its type if all values fit it. Of other columns, whole numbers and fractions
    unite to double, dicts to a struct with the fields of all, lists to a list; without any value they are text. Columns
    whose values do not unite (text and numbers, whole numbers beyond 64 bits) are JSON text in every row.

    Args:
        rows: gives the rows; called once.
        options: the columns known before, and their types.
    """
    import pyarrow

    seen = {name: Seen() for name in options.columns}
    typed = _typed(options.schema)
    for chunk in _chunks(rows()):
        for row in chunk:
            if not row.keys() <= seen.keys():
                seen |= {name: Seen() for name in row if name not in seen}
        for name, facts in seen.items():
            values = [row.get(name) for row in chunk]
            facts.add(values)
            if name in typed:
                try:
                    typed[name].array(values)
                except (pyarrow.ArrowException, ValueError, ArithmeticError, TypeError):  # of any value in any type
                    del typed[name]
    return RowSchema({name: _column(facts, typed.get(name)) for name, facts in seen.items()})


def batches_of(rows: Callable[[], Iterator[Row]], schema: RowSchema) -> Iterator[Any]:
    """Return the rows as batches of type pyarrow.RecordBatch, of about 8 MB at most."""
    import pyarrow

    arrow = schema.arrow
    for chunk in _chunks(rows()):
        arrays = [column.array([row.get(name) for row in chunk]) for name, column in schema.columns.items()]
        yield pyarrow.RecordBatch.from_arrays(arrays, schema=arrow)


def _typed(schema: Any) -> dict[str, Column]:
    """Return the columns of a schema whose types can be written."""
    columns = {}
    for field in () if schema is None else schema:
        type = stored_type(field.type)
        if type is not None:
            columns[field.name] = Column(type, revive(type))
    return columns


def _column(facts: Seen, typed: Column | None) -> Column:
    import pyarrow

    if typed is not None and facts.fits(typed.type):
        return typed
    try:
        return Column(facts.type())
    except NoTypeError:
        return Column(pyarrow.string(), _json_text)


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # a value that JSON has no word for
        return json.dumps(to_plain(value), ensure_ascii=False)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, (list, tuple)) else value


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += _size(row.values())
        if len(chunk) == _STEP_ROWS or size >= _STEP_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _size(values: Iterable[Any]) -> int:
    """Return about how many bytes texts, bytes and lists take; a number outside of a list counts for nothing."""
    size = 0
    for value in values:
        kind = type(value)
        if kind is str or kind is bytes:
            size += len(value)
        elif kind is dict:
            size += _size(value.values())
        elif kind is list or kind is tuple:
            size += 8 * len(value) if value and isinstance(value[0], (int, float)) else _size(value)
    return size
