"""Files compressed as their ending says, on the way out. Reading finds compression from the bytes: see `source.py`."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

COMPRESSIONS = (".gz", ".zst")


def format_ending(path: Path) -> str:
    """Return the ending that says the format, in lower case: ".csv" of pairs.csv.gz; "" if there is none."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path).suffix.lower()


@contextmanager
def compressed(stream: BinaryIO, ending: str | None) -> Iterator[BinaryIO]:
    """Give a stream whose bytes arrive compressed in another; `ending` is ".gz", ".zst" or None for neither."""
    if ending == ".gz":
        with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed:
            yield packed  # type: ignore[misc]  # a GzipFile is written to like any other
    elif ending == ".zst":
        import pyarrow

        packing: Any = pyarrow.CompressedOutputStream(pyarrow.PythonFile(_KeptOpen(stream), mode="w"), "zstd")
        with packing:
            yield packing
    else:
        yield stream


class _KeptOpen:
    """A stream to write to that stays open: pyarrow closes those that it is given."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write
        self.flush = stream.flush

    def close(self) -> None:
        """Leave that to whoever opened the stream."""
