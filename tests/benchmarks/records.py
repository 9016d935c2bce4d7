"""What reading and writing rows costs: our readers and writers beside the parsers they stand on, paired in one run.

    python tests/benchmarks/records.py [--rows 100000] [--runs 7]

Prints, for each format, the best wall-clock seconds of both, run in turn (A B A B ...) on the same rows of 5 columns,
about 200 bytes each, and their ratio. Not a test: a time is never an assertion.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipesmith.pipelines.records.formats import formats
from pipesmith.pipelines.records.record import ReadOptions, WriteOptions
from pipesmith.pipelines.records.source import Source

Copy = Callable[[Path, Path], None]


def make_rows(count: int) -> list[dict[str, Any]]:
    """Make rows of two sentences, an id, a number and a label: the same ones every time."""
    draw = random.Random(0)
    words = "the firm bought its rival last year and sold a part, naïvely priced, for 1,000 dollars"
    return [
        {
            "id": f"row-{number:07}",
            "text": " ".join(draw.choices(words.split(), k=14)),
            "second_text": " ".join(draw.choices(words.split(), k=14)),
            "score": draw.random(),
            "label": draw.choice(["equivalent", "not_equivalent"]),
        }
        for number in range(count)
    ]


def copy_with_pipesmith(name: str) -> Copy:
    """Return a function that copies a file row by row, through the reader and the writer of a format."""

    def copy(source_file: Path, target_file: Path) -> None:
        form = formats()[name]
        with Source(source_file.name, source_file) as source, target_file.open("wb") as target:
            reading = form.read(source, ReadOptions())
            if form.sink is None:  # written as a whole, in two passes over the rows
                assert form.write is not None
                rows = [record.values for record in reading.records]
                form.write(target, lambda: iter(rows), WriteOptions(tuple(reading.columns or ()), reading.schema))
                return
            sink = form.sink(target, WriteOptions())
            for record in reading.records:
                sink.write(record.values)
            sink.close()

    return copy


def copy_jsonl(source_file: Path, target_file: Path) -> None:
    """json.loads and json.dumps."""
    with source_file.open(encoding="utf-8") as source, target_file.open("w", encoding="utf-8") as target:
        for line in source:
            target.write(json.dumps(json.loads(line)) + "\n")


def copy_csv(source_file: Path, target_file: Path) -> None:
    """csv.reader and csv.writer."""
    with (
        source_file.open(encoding="utf-8", newline="") as source,
        target_file.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target)
        for row in csv.reader(source):
            writer.writerow(row)


def copy_parquet(source_file: Path, target_file: Path) -> None:
    """pyarrow's to_pylist and from_pylist."""
    rows = pq.read_table(source_file).to_pylist()
    pq.write_table(pa.Table.from_pylist(rows), target_file)


PAIRS: list[tuple[str, Copy]] = [("jsonl", copy_jsonl), ("csv", copy_csv), ("parquet", copy_parquet)]


def seconds(copy: Copy, source: Path, target: Path) -> float:
    """Copy a file and return the wall-clock seconds."""
    start = time.perf_counter()
    copy(source, target)
    return time.perf_counter() - start


def main() -> None:
    """Time every pair and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each; one more warms up")
    arguments = parser.parse_args()
    rows = make_rows(arguments.rows)
    print(f"{'A: pipesmith / B':<48} {'A s':>7} {'B s':>7} {'A/B':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name, theirs in PAIRS:
            source, target = Path(folder, f"rows.{name}"), Path(folder, f"copy.{name}")
            write = formats()[name].write
            assert write is not None
            with source.open("wb") as stream:
                write(stream, lambda: iter(rows), WriteOptions())
            ours = copy_with_pipesmith(name)
            seconds(ours, source, target), seconds(theirs, source, target)
            times = [(seconds(ours, source, target), seconds(theirs, source, target)) for _ in range(arguments.runs)]
            a, b = (min(column) for column in zip(*times))
            print(
                f"{name + ': read and write / ' + str(theirs.__doc__):<48} {a:7.3f} {b:7.3f} {a / b:6.2f}", flush=True
            )


if __name__ == "__main__":
    main()
