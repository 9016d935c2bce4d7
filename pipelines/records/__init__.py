"""Inputs and outputs in the forms that people have them, a format a file.

    from pipesmith.pipelines import records

    with records.Records(["pairs.csv", "more/*.parquet"]) as rows, records.OutputFile("kept.jsonl") as kept:
        for record in rows:
            if record.error is None:
                kept.write(record.values)

`formats/` has the formats; `opening.py` says what a name stands for, `output.py` what is left when something fails.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipesmith.pipelines.records.formats import Format
    from pipesmith.pipelines.records.opening import Records
    from pipesmith.pipelines.records.output import OutputFile
    from pipesmith.pipelines.records.record import ReadOptions, Record, WriteOptions

__all__ = ["Format", "OutputFile", "ReadOptions", "Record", "Records", "WriteOptions"]

_MODULES = {"Format": "formats", "Records": "opening", "OutputFile": "output"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'record')}"), name)
