"""Arrow types: which of them can be written, and which Python values stand for them.

Functions take and return pyarrow.DataType. It is not said here how types are found (`seen.py`).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

# The values of a type in a record, and the JSON that stands for them.
_PYTHON_TYPES: dict[str, set[type]] = {
    "boolean": {bool},
    "integer": {int},
    "floating": {int, float},
    "string": {str},
    "large_string": {str},
    "binary": {bytes, str},
    "large_binary": {bytes, str},
    "fixed_size_binary": {bytes, str},
    "timestamp": {datetime, str},
    "date": {date, str},
    "time": {time, str},
    "duration": {timedelta, str},
    "decimal": {Decimal, str},
    "struct": {dict},
    "map": {dict, list, tuple},
    "list": {list, tuple},
    "large_list": {list, tuple},
    "fixed_size_list": {list, tuple},
}


_SHARED = ("dictionary", "run_end_encoded", "string_view", "binary_view", "list_view", "large_list_view")


def is_kind(type: Any, *kinds: str) -> bool:
    """Tell whether a type is of one of the kinds that pyarrow.types has functions for: "struct", "map", ..."""
    from pyarrow import types

    return any(getattr(types, f"is_{kind}")(type) for kind in kinds)


def is_list(type: Any) -> bool:
    """Tell whether a type is that of lists, of any length or of one."""
    return is_kind(type, "list", "large_list", "fixed_size_list")


def shares_values(type: Any) -> bool:
    """Tell whether a value of a type may lie in memory once for many rows: in dictionaries, runs and views.

    The size of an array does not say then what its rows take as Python values.
    """
    import pyarrow

    if isinstance(type, pyarrow.BaseExtensionType):
        return shares_values(type.storage_type)
    if is_kind(type, "struct"):
        return any(shares_values(field.type) for field in type)
    if is_kind(type, "map"):
        return shares_values(type.key_type) or shares_values(type.item_type)
    return shares_values(type.value_type) if is_list(type) else is_kind(type, *_SHARED)


def list_of(item: Any, like: Any) -> Any:
    """Return the type of lists of a type, as another type of lists has them."""
    import pyarrow

    if is_kind(like, "fixed_size_list"):
        return pyarrow.list_(item, like.list_size)
    return pyarrow.large_list(item) if is_kind(like, "large_list") else pyarrow.list_(item)


def python_types(type: Any) -> set[type]:
    """Return the Python types whose values can be turned into a type, by `revive` if they come from JSON."""
    return next((types for kind, types in _PYTHON_TYPES.items() if is_kind(type, kind)), set())


def stored_type(type: Any) -> Any:
    """Return the type as which parquet and arrow files hold the values of a type, None if they cannot.

    Extension types are stored as what they extend, dictionaries and run-end encoding as their values, views as what
    they view; unions, intervals and structs without fields are not stored.
    """
    import pyarrow

    if isinstance(type, pyarrow.BaseExtensionType):
        return stored_type(type.storage_type)
    if is_kind(type, "dictionary", "run_end_encoded"):
        return stored_type(type.value_type)
    if is_kind(type, "string_view"):
        return pyarrow.string()
    if is_kind(type, "binary_view"):
        return pyarrow.binary()
    if is_kind(type, "struct"):
        fields = [(field.name, stored_type(field.type)) for field in type]
        return pyarrow.struct(fields) if fields and all(inner is not None for _, inner in fields) else None
    if is_kind(type, "map"):
        key, item = stored_type(type.key_type), stored_type(type.item_type)
        return None if key is None or item is None else pyarrow.map_(key, item)
    if is_list(type) or is_kind(type, "list_view", "large_list_view"):
        item = stored_type(type.value_type)
        return None if item is None else list_of(item, type)
    return type if python_types(type) and type != pyarrow.binary(0) else None
