"""Values between Arrow and Python: what is done before and after pyarrow's own conversion, in both directions."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from pipesmith.pipelines.records.arrow.types import is_kind, is_list, list_of

Convert = Callable[[Any], Any]


def readable_type(type: Any) -> Any:
    """Return the type to cast a column to so that Python can hold its values, None if it can already."""
    import pyarrow

    if is_kind(type, "timestamp"):
        unit, zone = ("us" if type.unit == "ns" else type.unit), _known_zone(type.tz)
        return None if (unit, zone) == (type.unit, type.tz) else pyarrow.timestamp(unit, zone)
    if is_kind(type, "duration"):
        return pyarrow.duration("us") if type.unit == "ns" else None
    if is_kind(type, "time64"):
        return pyarrow.time64("us") if type.unit == "ns" else None
    if is_kind(type, "string_view"):  # pyarrow does not count the bytes of views
        return pyarrow.large_string()
    if is_kind(type, "binary_view"):
        return pyarrow.large_binary()
    if is_kind(type, "dictionary"):  # decoded, so that a slice has the size of its rows
        return readable_type(type.value_type) or type.value_type
    if is_kind(type, "struct"):
        fields = [(field, readable_type(field.type)) for field in type]
        if all(inner is None for _, inner in fields):
            return None
        return pyarrow.struct([(field.name, inner or field.type) for field, inner in fields])
    if is_kind(type, "map"):
        inner = readable_type(type.item_type)
        return None if inner is None else pyarrow.map_(type.key_type, inner)
    if is_list(type):  # no views of lists: pyarrow casts them wrongly
        inner = readable_type(type.value_type)
        return None if inner is None else list_of(inner, type)
    return None


def _known_zone(zone: str | None) -> str | None:
    """Return a time zone, UTC in place of one that this system has no data of."""
    from pyarrow.lib import string_to_tzinfo

    try:
        if zone is not None:
            string_to_tzinfo(zone)
        return zone
    except Exception:  # pytz's, zoneinfo's and pyarrow's errors have no common base
        return "UTC"


def finish(type: Any) -> Convert | None:
    """Return what turns `to_pylist`'s values of a type into a record's, None if they are the same."""
    if is_kind(type, "dictionary", "run_end_encoded"):
        return finish(type.value_type)
    if is_kind(type, "map"):
        item = finish(type.item_type) or _same
        return lambda pairs: None if pairs is None else _dict_or_pairs([(key, item(value)) for key, value in pairs])
    if is_kind(type, "struct"):
        convert = {field.name: inner for field in type if (inner := finish(field.type)) is not None}
        return _finish_fields(convert) if convert else None
    each = finish(type.value_type) if is_list(type) or is_kind(type, "list_view", "large_list_view") else None
    return None if each is None else lambda values: None if values is None else [each(value) for value in values]


def _same(value: Any) -> Any:
    return value


def _finish_fields(convert: dict[str, Convert]) -> Convert:
    def finish(value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else value | {name: one(value[name]) for name, one in convert.items()}

    return finish


def _dict_or_pairs(pairs: list[tuple[Any, Any]]) -> dict[str, Any] | list[list[Any]]:
    as_dict = dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else {}
    return as_dict if len(as_dict) == len(pairs) else [list(pair) for pair in pairs]


def revive(type: Any) -> Convert | None:
    """Return what turns JSON into values of a type, None if JSON has them, from what `plain.to_plain` writes.

    Times come from ISO text, durations from Python's own ("1 day, 0:00:03"), decimals from digits, bytes from base64.
    The function takes values of the type as well, and None only inside of lists and structs. It raises ValueError or
    ArithmeticError for text that stands for none.
    """
    if is_kind(type, "struct"):
        fields = {field.name: convert for field in type if (convert := revive(field.type)) is not None}
        return _each_field(fields) if fields else None
    if is_kind(type, "map"):
        return _pairs(revive(type.key_type) or _same, revive(type.item_type) or _same)
    if is_list(type):
        item = revive(type.value_type)
        return None if item is None else lambda values: [None if value is None else item(value) for value in values]
    for kind, from_text in _FROM_TEXT.items():
        if is_kind(type, kind):
            return lambda value: from_text(value) if isinstance(value, str) else value
    return None


def _from_base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode("ascii") != text:  # bits are left over
        raise ValueError(f"{text:.80} is not what bytes are written as.")
    return data


_DURATION = re.compile(
    r"(?:(?P<days>-?\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)(?:\.(?P<microseconds>\d{6}))?",
    re.ASCII,
)


def _to_duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text:.80} is not what a duration is written as.")
    return timedelta(**{unit: int(count or 0) for unit, count in found.groupdict().items()})


_FROM_TEXT: dict[str, Convert] = {
    "timestamp": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "duration": _to_duration,
    "decimal": Decimal,
    "binary": _from_base64,
    "large_binary": _from_base64,
    "fixed_size_binary": _from_base64,
}


def _each_field(fields: dict[str, Convert]) -> Convert:
    def convert(value: dict[str, Any]) -> dict[str, Any]:
        return {
            name: fields[name](item) if name in fields and item is not None else item for name, item in value.items()
        }

    return convert


def _pairs(key: Convert, item: Convert) -> Convert:
    def convert(value: Any) -> list[tuple[Any, Any]]:
        pairs = value.items() if isinstance(value, dict) else value
        return [(key(one), None if other is None else item(other)) for one, other in pairs]

    return convert
