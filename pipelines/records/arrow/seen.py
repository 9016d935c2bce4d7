"""What the values of a column have in common, and the Arrow type that follows from it.

pyarrow's own inference is not used: it looks at the first value where types are mixed, and takes a date for the type of
dates and times, or whole numbers for that of fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any

from pipesmith.pipelines.records.arrow.types import is_kind, python_types

_MOST_FIELDS = 1000  # a dict with more keys is a table of its own, not a struct
_DEEPEST = 32
_EXACT = 2**53  # whole numbers up to this are exact in double


class NoTypeError(Exception):
    """Values do not unite."""


class Seen:
    """The facts about the values of a column, or of a field or the items in it.

    Args:
        depth: how many structs and lists it lies in.
    """

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._kinds: set[type] = set()
        self._fields: dict[str, Seen] = {}
        self._items: Seen | None = None
        self._low = 0
        self._high = 0
        self._zoned: set[bool] = set()
        self._digits = 0  # of decimals, before the point
        self._scale = 0  # and after it
        self._unfit = False  # some value has no Arrow type

    def add(self, values: Sequence[Any]) -> None:
        """Take in more values."""
        kinds = set(map(type, values))
        self._kinds |= kinds
        if int in kinds:
            whole = [value for value in values if type(value) is int]
            self._low, self._high = min(self._low, min(whole)), max(self._high, max(whole))
        if dict in kinds:
            self._add_dicts([value for value in values if type(value) is dict])
        if list in kinds or tuple in kinds:
            self._add_items([item for value in values if type(value) in (list, tuple) for item in value])
        if kinds & {datetime, time, timedelta, Decimal}:
            for value in values:
                self._add_rare(value)

    def _add_dicts(self, dicts: list[dict[Any, Any]]) -> None:
        for value in dicts:
            if not value.keys() <= self._fields.keys():
                self._fields |= {name: Seen(self._depth + 1) for name in value if name not in self._fields}
                self._unfit |= len(self._fields) > _MOST_FIELDS or self._depth >= _DEEPEST
                self._unfit |= not all(isinstance(name, str) and _is_unicode(name) for name in value)
                if self._unfit:
                    self._fields.clear()
                    return
        for name, field in self._fields.items():
            field.add([value[name] for value in dicts if name in value])

    def _add_items(self, items: list[Any]) -> None:
        self._items = self._items or Seen(self._depth + 1)
        self._unfit |= self._depth >= _DEEPEST
        if not self._unfit:
            self._items.add(items)

    def _add_rare(self, value: Any) -> None:
        if isinstance(value, (datetime, time)):
            self._zoned.add(value.tzinfo is not None)
        elif isinstance(value, timedelta):
            self._unfit |= abs(value) > timedelta(days=10**8)  # 64 bits of microseconds
        elif isinstance(value, Decimal):
            _, digits, exponent = value.as_tuple()
            if not isinstance(exponent, int):  # NaN, infinity
                self._unfit = True
                return
            self._digits = max(self._digits, len(digits) + exponent)
            self._scale = max(self._scale, -exponent)

    def fits(self, type: Any) -> bool:
        """Tell whether all values have the Python types that stand for a pyarrow.DataType in JSON or in records."""
        kinds = self._kinds - {NoneType}
        if self._unfit or not kinds <= python_types(type):
            return False
        if is_kind(type, "struct"):
            types = {field.name: field.type for field in type}
            return all(name in types and field.fits(types[name]) for name, field in self._fields.items())
        if is_kind(type, "map"):
            return all(field.fits(type.item_type) for field in self._fields.values())
        return self._items is None or self._items.fits(type.value_type)

    def type(self) -> Any:
        """Return the pyarrow.DataType that all values have.

        Raises:
            NoTypeError: there is none.
        """
        import pyarrow

        kinds = self._kinds - {NoneType}
        if self._unfit:
            raise NoTypeError
        if kinds == {dict} and self._fields:  # parquet has no struct without fields
            return pyarrow.struct([(name, field.type()) for name, field in self._fields.items()])
        if kinds and kinds <= {list, tuple} and self._items is not None:
            return pyarrow.list_(self._items.type())
        if kinds and kinds <= {int, float}:
            return self._number(pyarrow, is_whole=kinds == {int})
        if kinds == {Decimal}:
            return self._decimal(pyarrow)
        if kinds == {datetime} and len(self._zoned) == 1:
            return pyarrow.timestamp("us", "UTC" if True in self._zoned else None)
        if kinds == {time} and self._zoned == {False}:
            return pyarrow.time64("us")
        return _plain_type(pyarrow, kinds)

    def _number(self, pyarrow: Any, *, is_whole: bool) -> Any:
        if is_whole and self._low >= -(2**63) and self._high < 2**63:
            return pyarrow.int64()
        if is_whole and self._low == 0 and self._high < 2**64:
            return pyarrow.uint64()
        if is_whole or self._low < -_EXACT or self._high > _EXACT:
            raise NoTypeError
        return pyarrow.float64()

    def _decimal(self, pyarrow: Any) -> Any:
        digits = max(1, self._digits + self._scale)
        if digits > 76:
            raise NoTypeError
        return (pyarrow.decimal128 if digits <= 38 else pyarrow.decimal256)(digits, self._scale)


def _plain_type(pyarrow: Any, kinds: set[Any]) -> Any:
    types = {
        bool: pyarrow.bool_(),
        str: pyarrow.string(),
        bytes: pyarrow.binary(),
        date: pyarrow.date32(),
        timedelta: pyarrow.duration("us"),
    }
    if len(kinds) > 1 or not kinds <= types.keys():
        raise NoTypeError
    return types[next(iter(kinds), str)]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
