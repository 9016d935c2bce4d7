"""Parquet and Arrow files: their values, their damages, and the one schema that is written for all rows."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.formats import formats
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record, WriteOptions
from pipesmith.pipelines.records.source import Source

both_lines = pytest.mark.both_lines
Rows = list[dict[str, Any]]


def open_file(path: Path, **options: Any) -> tuple[Reading, list[Record]]:
    name = "parquet" if path.suffix in (".parquet", ".pq", ".gz") else "arrow"
    with Source(path.name, path) as source:
        reading = formats()[name].read(source, ReadOptions(**options))
        return reading, list(reading.records)


def read(path: Path) -> Rows:
    records = open_file(path)[1]
    assert [record.error for record in records] == [None] * len(records)
    assert [record.row for record in records] == list(range(1, len(records) + 1))
    return [record.values for record in records]


def write(path: Path, rows: Rows, **options: Any) -> pa.Schema:
    name = "parquet" if path.suffix == ".parquet" else "arrow"
    writer = formats()[name].write
    assert writer is not None
    with path.open("wb") as stream:
        writer(stream, lambda: iter(rows), WriteOptions(**options))
    return pq.read_schema(path) if name == "parquet" else ipc.open_file(path).schema


def stream_of(table: pa.Table, rows: int | None = None) -> bytes:
    sink = io.BytesIO()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def file_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


# --- reading -------------------------------------------------------------------------------------------------------

ROWS: Rows = [
    {
        "id": number,
        "text": f"zwei\nZeilen, “ünï” {number}" if number % 3 else None,
        "score": number / 7,
        "flag": number % 2 == 0,
        "when": datetime(2024, 2, 29, 12, 0, number % 60, 123456, tzinfo=timezone.utc),
        "day": date(2024, 1, 1) + timedelta(days=number),
        "price": Decimal(number) / 4,
        "image": {"bytes": bytes([number % 256, 0, 255]), "path": None},
        "scores": [{"label": "a", "score": 0.5}, {"label": "b", "score": None}][: number % 3],
    }
    for number in range(3000)
]


@both_lines
@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_rows_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, ROWS, columns=tuple(ROWS[0]))
    reading, records = open_file(tmp_path / name)
    assert [record.values for record in records] == ROWS
    assert list(reading.columns or ()) == list(ROWS[0])
    assert reading.total in (3000, None if name.endswith("arrow") else 3000)


def test_every_kind_of_container_gives_the_same_rows(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, None], "b": ["x", "", "ü"]})
    plain = io.BytesIO()
    pq.write_table(table, plain)
    containers = {
        "a.pq": plain.getvalue(),
        "b.parquet.gz": gzip.compress(plain.getvalue()),
        "c.arrow": file_of(table),
        "d.arrow": stream_of(table),
        "e.ipc": gzip.compress(stream_of(table)),
        "f.feather": gzip.compress(file_of(table)),
    }
    for name, content in containers.items():
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name) == table.to_pylist(), name


def test_a_stream_is_read_from_a_pipe() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *place: int) -> int:
            raise io.UnsupportedOperation("seek")

    table = pa.table({"a": list(range(10))})
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    for name, content in (("arrow", stream_of(table)), ("arrow", file_of(table)), ("parquet", parquet.getvalue())):
        with Source("stdin", stream=Pipe(content)) as source:
            records = formats()[name].read(source, ReadOptions()).records
            assert [record.values for record in records] == table.to_pylist()


def test_nanoseconds_are_cut_to_microseconds_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    stamps = pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns"))
    table = pa.table(
        {
            "plain": stamps,
            "zoned": stamps.cast(pa.timestamp("ns", "Europe/Berlin")),
            "lost zone": stamps.cast(pa.timestamp("us", "Nowhere/Land"), safe=False),
            "nested": pa.array([[{"at": 1001}], []], pa.list_(pa.struct([("at", pa.timestamp("ns"))]))),
            "span": pa.array([1001, None], pa.duration("ns")),
            "clock": pa.array([1001, None], pa.time64("ns")),
            "coded": stamps.dictionary_encode(),
        }
    )
    (tmp_path / "ns.arrow").write_bytes(file_of(table))
    at = datetime(2023, 11, 14, 22, 13, 20, 123456)
    first, second = read(tmp_path / "ns.arrow")
    assert (first["plain"], first["coded"]) == (at, at)
    assert first["zoned"] == first["lost zone"] == at.replace(tzinfo=timezone.utc)
    assert first["nested"] == [{"at": datetime(1970, 1, 1, 0, 0, 0, 1)}]
    assert (first["span"], first["clock"]) == (timedelta(microseconds=1), time(0, 0, 0, 1))
    assert second == dict.fromkeys(first, None) | {"nested": []}


def test_unusual_types_are_plain_values(tmp_path: Path) -> None:
    pairs = [[("x", 1), ("y", None)], [("x", 1), ("x", 2)], [], None]
    table = pa.table(
        {
            "map": pa.array(pairs, pa.map_(pa.string(), pa.int64())),
            "numbered": pa.array([[(1, "a")], [], None, None], pa.map_(pa.int64(), pa.string())),
            "deep": _deep_maps(),
            "coded": pa.array(["a", "b", "a", None]).dictionary_encode(),
            "large": pa.array(["a", None, "", "ü"], pa.large_string()),
            "view": pa.array(["a", None, "", "a text of more than twelve bytes"], pa.string_view()),
            "bytes": pa.array([b"\0", None, b"", b"\xff"], pa.binary_view()),
            "half": pa.array([1.5, None, 0, -2], pa.float32()).cast(pa.float16()),
        }
    )
    (tmp_path / "types.arrow").write_bytes(file_of(table))
    rows = read(tmp_path / "types.arrow")
    assert [row["map"] for row in rows] == [{"x": 1, "y": None}, [["x", 1], ["x", 2]], {}, None]
    assert [row["numbered"] for row in rows] == [[[1, "a"]], {}, None, None]
    assert [row["deep"] for row in rows] == [[{"m": {"k": 1}}], None, [], [None]]
    for name in ("coded", "large", "view", "bytes", "half"):
        assert [row[name] for row in rows] == table[name].to_pylist()


def _deep_maps() -> pa.Array:
    kind = pa.list_(pa.struct([("m", pa.map_(pa.string(), pa.int64()))]))
    return pa.array([[{"m": [("k", 1)]}], None, [], [None]], kind)


def test_a_row_over_the_limit_is_bad_and_the_others_are_not(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": ["a" * 10, "b" * 5000, "c"]}), tmp_path / "big.parquet")
    _, (first, second, third) = open_file(tmp_path / "big.parquet", max_row_bytes=1000)
    assert (first.error, third.error, third.values) == (None, None, {"t": "c"})
    assert (
        second.error is not None and second.error.message == "big.parquet, row 2: the row is larger than 1,000 bytes."
    )


def test_a_value_that_python_cannot_hold_spoils_its_row_alone(tmp_path: Path) -> None:
    text = pa.array([b"good", b"\xff\xfe", b"fine", b"well"]).view(pa.string())
    day = pa.array([0, 1, 2**30, 3], pa.int32()).view(pa.date32())
    (tmp_path / "odd.arrow").write_bytes(file_of(pa.table({"text": text, "day": day})))
    _, records = open_file(tmp_path / "odd.arrow")
    assert [record.values["text"] for record in records] == ["good", None, "fine", "well"]
    assert [record.error is None for record in records] == [True, False, False, True]
    messages = [record.error.message for record in records if record.error]
    assert messages[0].startswith("odd.arrow, row 2: the value of column text cannot be read")
    assert messages[1].startswith("odd.arrow, row 3: the value of column day cannot be read")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(100))}), sink)
    good = sink.getvalue()
    arrow = file_of(pa.table({"a": [1]}))
    double = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    inner = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    cases = {
        "short.parquet": (good[:-20], "is cut short: parquet's footer is missing"),
        "csv.parquet": (b"a,b\n1,2\n", "is not parquet: it begins with b'a,b\\n'"),
        "magic.parquet": (b"PAR1", "is damaged"),
        "footer.parquet": (good[:4] + bytes(len(good) - 12) + good[-8:], "is damaged: its footer cannot be read"),
        "secret.parquet": (b"PARE" + bytes(50) + b"\x10\0\0\0PARE", "is encrypted"),
        "packed.parquet.gz": (gzip.compress(good)[:-30], "cut short"),
        "short.arrow": (arrow[:-20], "is cut short or damaged"),
        "text.arrow": (b"hello world", "is not Arrow: it begins with b'hello '"),
        "old.feather": (b"FEA1" + bytes(20), "feather of version 1"),
        "double.arrow": (file_of(double), "has two columns with the name a."),
        "name.arrow": (
            stream_of(pa.table({"name": [1]})).replace(b"name", b"n\xffme"),
            "name of a column is not UTF-8",
        ),
        "inner.arrow": (file_of(pa.table({"s": inner})), "has two columns with the name s.x."),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            open_file(tmp_path / name)
        assert name in caught.value.message and message in caught.value.message, caught.value.message
        assert "\n" not in caught.value.message


def test_damage_in_the_middle_ends_with_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "page.parquet"
    table = pa.table({"a": [f"{number:09}" for number in range(2000)]})
    pq.write_table(table, path, row_group_size=1000, compression="zstd", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start + 40 : start + 200] = bytes(160)
    path.write_bytes(content)
    _, records = open_file(path)
    assert [record.values["a"] for record in records[:-1]] == table["a"].to_pylist()[: len(records) - 1]
    assert records[-1].row == len(records) == 1001
    assert records[-1].error is not None
    assert "page.parquet is damaged: nothing can be read from row 1001 on" in records[-1].error.message

    for name, content in (
        ("cut.arrow", stream_of(table, 500)[:-3000]),
        ("cut.arrow.gz", gzip.compress(stream_of(table, 500))[:-500]),
    ):
        (tmp_path / name).write_bytes(content)
        with Source(name, tmp_path / name) as source:
            *good, last = formats()["arrow"].read(source, ReadOptions()).records
        assert good and all(record.error is None for record in good)
        assert last.error is not None and name in last.error.message and f"row {len(good) + 1} " in last.error.message


def test_offsets_that_point_anywhere_end_no_process(tmp_path: Path) -> None:
    offsets = pa.py_buffer(b"".join(number.to_bytes(4, "little") for number in (0, 1, 2**30, 3)))
    text = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abc")])
    (tmp_path / "wild.arrow").write_bytes(stream_of(pa.table({"t": text})))
    _, records = open_file(tmp_path / "wild.arrow")
    assert [record.error is None for record in records] == [True, False, False]


MEGABYTE = "x" * 2**20

# Reads the first rows of each of `FILES` in a process of its own, and prints by how many MB its peak grew.
PEAK = """
    import re, sys
    from itertools import islice
    from pathlib import Path
    from pipesmith.pipelines.records.formats import formats
    from pipesmith.pipelines.records.record import ReadOptions
    from pipesmith.pipelines.records.source import Source

    def peak():  # getrusage counts what the process was forked from
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

    small, file, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for path in (small, file):  # the first brings in what is imported
        before = peak()
        with Source(path.name, path) as source:
            read = formats()[path.suffix[1:]].read
            rows = [len(record.values) for record in islice(read(source, ReadOptions()).records, count)]
    print(peak() - before, len(rows))
"""


def repeated(count: int) -> Any:
    """Return an array of one large text, which lies in memory once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([MEGABYTE]))


def views(count: int) -> Any:
    """The same as views of a text."""
    view = (2**20).to_bytes(4, "little") + b"xxxx" + bytes(8)
    buffers = [None, pa.py_buffer(view * count), pa.py_buffer(MEGABYTE.encode())]
    return pa.Array.from_buffers(pa.string_view(), count, buffers)


HELD_ONCE: dict[str, Callable[[], Any]] = {
    "dictionary.parquet": lambda: repeated(1000),
    "text.parquet": lambda: pa.array([MEGABYTE] * 500),
    "field.parquet": lambda: pa.StructArray.from_arrays([repeated(1000)], names=["text"]),
    "numbers.parquet": lambda: pa.array([[0.0] * 2**17] * 500),
    "later.parquet": lambda: pa.array([""] * 1500 + [MEGABYTE] * 500),
    "dictionary.arrow": lambda: repeated(1000),
    "field.arrow": lambda: pa.StructArray.from_arrays([repeated(1000)], names=["text"]),
    "views.arrow": lambda: views(1000),
}


@pytest.mark.parametrize("name", HELD_ONCE)
def test_values_that_a_file_holds_once_are_not_all_held_at_once(tmp_path: Path, name: str) -> None:
    """Rows of a megabyte each, 500 and more of them, in a file that is far smaller."""
    array = HELD_ONCE[name]()
    small, file = tmp_path / f"small{Path(name).suffix}", tmp_path / name
    for path, column in ((small, pa.array(["x"])), (file, array)):
        table = pa.table({"c": column})
        if path.suffix == ".parquet":
            pq.write_table(table, path, dictionary_pagesize_limit=2**22)
        else:
            path.write_bytes(file_of(table))
    script = [sys.executable, "-c", textwrap.dedent(PEAK)]
    done = subprocess.run([*script, small, file, "1503"], capture_output=True, text=True, check=True)
    peak, rows = map(int, done.stdout.split())
    assert rows == min(len(array), 1503)
    assert peak < 250, f"{peak} MB for {file.stat().st_size:,} bytes"


@pytest.mark.parametrize("sizes", [(1,), (2**18, 1), (1, 2**18, 1), (2**23, 2**16, 1, 2**20)], ids=str)
def test_rows_keep_their_order_whatever_their_sizes(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """Reading begins again where rows grow: none is left out, or comes twice."""
    counts = {1: 3000, 2**16: 150, 2**18: 70, 2**20: 20, 2**23: 3}
    lengths = [size for size in sizes for _ in range(counts[size])]
    table = pa.table({"id": range(len(lengths)), "text": ["x" * length for length in lengths]})
    table = table.append_column("coded", pa.array([str(length) for length in lengths]).dictionary_encode())
    for rows in (len(lengths), 1 + len(lengths) // 3, 50):
        pq.write_table(table, tmp_path / "x.parquet", row_group_size=rows)
        for number, (row, length) in enumerate(itertools.zip_longest(read(tmp_path / "x.parquet"), lengths)):
            assert (row["id"], len(row["text"]), row["coded"]) == (number, length, str(length))


# --- writing -------------------------------------------------------------------------------------------------------

T = pa.string()
TWO_FIELDS = pa.struct([("a", pa.int64()), ("b", pa.int64())])
UNITED = [
    ([1, 2.5, None], pa.float64(), None),
    ([1, 2**62], pa.int64(), None),
    ([1, 2**64 - 1], pa.uint64(), None),
    ([1, 2**64], T, ["1", "18446744073709551616"]),
    ([2**53 + 1, 0.5], T, ["9007199254740993", "0.5"]),
    ([True, 1], T, ["true", "1"]),
    (["ü", 1, None], T, ['"ü"', "1", None]),
    ([[1], {"a": 1}], T, ["[1]", '{"a": 1}']),
    ([{"a": 1, "b": [2]}, {"b": [.5], "a": None}], pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))]), None),
    ([{"a": 1}, {"b": 2}], TWO_FIELDS, [{"a": 1, "b": None}, {"a": None, "b": 2}]),
    ([{"a": 1}, {"a": "x"}], T, ['{"a": 1}', '{"a": "x"}']),
    ([[], [1], [2.5]], pa.list_(pa.float64()), None),
    ([[], None], pa.list_(T), None),
    ([{}, {}], T, ["{}", "{}"]),
    ([{"a": {}}, None], T, ['{"a": {}}', None]),
    ([{}, {"a": 1}], pa.struct([("a", pa.int64())]), [{"a": None}, {"a": 1}]),
    ([None, None], T, None),
    ([[[None]], [[]]], pa.list_(pa.list_(T)), None),
    (["half \ud800", "x"], T, ["half \\ud800", "x"]),
    ([{"\ud800": 1}, 1], T, ['{"\\ud800": 1}', "1"]),
    ([float("inf"), 1], pa.float64(), None),
    ([float("nan"), "x"], T, ["null", '"x"']),
    ([b"\xff", b""], pa.binary(), None),
    ([Decimal("1.5"), Decimal("100.25")], pa.decimal128(5, 2), None),
    ([Decimal("NaN"), Decimal(1)], T, ['"NaN"', '"1"']),
    ([date(2024, 1, 1), datetime(2024, 1, 1)], T, ['"2024-01-01"', '"2024-01-01T00:00:00"']),
    ([datetime(2024, 1, 1), None], pa.timestamp("us"), None),
    ([timedelta(1), timedelta(days=999_999_999)], T, ['"1 day, 0:00:00"', '"999999999 days, 0:00:00"']),
    ([{str(number): 1 for number in range(2000)}, None], T, None),
    ([{1: 2}, None], T, ['{"1": 2}', None]),
]  # fmt: skip


@both_lines
@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
@pytest.mark.parametrize(("values", "kind", "expected"), UNITED, ids=lambda value: repr(value)[:40])
def test_one_type_for_all_rows(tmp_path: Path, name: str, values: list[Any], kind: Any, expected: Any) -> None:
    filler: list[Any] = [None] * 3000  # what unites lies in different chunks
    rows = [{"c": value} for value in [values[0], *filler, *values[1:]]]
    assert write(tmp_path / name, rows).field("c").type == kind
    got = [row["c"] for row in read(tmp_path / name)]
    got = [got[0], *got[3001:]]
    if expected is not None or kind != T:
        assert got == (expected or values)


def test_rows_bring_columns_of_their_own(tmp_path: Path) -> None:
    schema = write(tmp_path / "x.parquet", [{"b": 1}, {"a": 2, "\ud800": 3}], columns=("known",))
    assert schema.names == ["known", "b", "a", "\\ud800"]
    assert read(tmp_path / "x.parquet")[1] == {"known": None, "b": None, "a": 2, "\\ud800": 3}


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_no_rows_keep_their_columns(tmp_path: Path, name: str) -> None:
    schema = write(tmp_path / name, [], columns=("a", "b"), schema=pa.schema([("b", pa.int8())]))
    assert schema == pa.schema([("a", pa.string()), ("b", pa.int8())])
    reading, records = open_file(tmp_path / name)
    assert (records, list(reading.columns or ())) == ([], ["a", "b"])


def test_typed_columns_come_back_from_json(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("at", pa.timestamp("ns", "Europe/Berlin")),
            ("day", pa.date32()),
            ("clock", pa.time64("us")),
            ("span", pa.duration("ms")),
            ("price", pa.decimal128(9, 2)),
            ("blob", pa.binary()),
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("clips", pa.large_list(pa.struct([("bytes", pa.large_binary())]))),
            ("coded", pa.dictionary(pa.int32(), pa.string())),
            ("map", pa.map_(pa.string(), pa.date32())),
            ("small", pa.int8()),
            ("single", pa.float32()),
        ]
    )
    plain = {
        "at": "2024-02-29T13:00:00.123456+01:00",
        "day": "2024-02-29",
        "clock": "12:30:00.000001",
        "span": "1 day, 0:00:03.250000",
        "price": "12.50",
        "blob": "/wA=",
        "image": {"bytes": "AAE=", "path": "x.png"},
        "clips": [{"bytes": "Ag=="}, None],
        "coded": "a",
        "map": {"k": "2024-02-29"},
        "small": 7,
        "single": 0.5,
    }
    python = {
        "at": datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=timezone.utc),
        "day": date(2024, 2, 29),
        "clock": time(12, 30, 0, 1),
        "span": timedelta(days=1, seconds=3, milliseconds=250),
        "price": Decimal("12.50"),
        "blob": b"\xff\0",
        "image": {"bytes": b"\0\1", "path": "x.png"},
        "clips": [{"bytes": b"\2"}, None],
        "map": {"k": date(2024, 2, 29)},
    }
    nothing = dict.fromkeys(plain)
    for name in ("typed.parquet", "typed.arrow"):
        rows: Rows = [plain, plain | python, nothing]
        written = write(tmp_path / name, rows, columns=tuple(plain), schema=schema)
        kept = [field.type for field in written if field.name not in ("coded", "map")]
        assert kept == [field.type for field in schema if field.name not in ("coded", "map")]
        assert read(tmp_path / name) == [plain | python, plain | python, nothing]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_come_back_from_json(tmp_path: Path, unit: str) -> None:
    spans = [timedelta(0), timedelta(seconds=3), timedelta(days=1), timedelta(-1), timedelta(days=-1, seconds=7)]
    spans += [timedelta(days=10**5, hours=23, minutes=59, seconds=59)]
    if unit in ("us", "ns"):
        spans += [timedelta(microseconds=1), -timedelta(microseconds=1)]
    rows = [{"span": span, "each": [span, None]} for span in spans]
    schema = pa.schema([("span", pa.duration(unit)), ("each", pa.list_(pa.duration(unit)))])
    plain = [json.loads(json.dumps(to_plain(row))) for row in rows]
    assert write(tmp_path / "x.parquet", plain, schema=schema) == schema
    assert read(tmp_path / "x.parquet") == rows


def test_without_a_schema_plain_values_stay_text(tmp_path: Path) -> None:
    """Of files with different types: the text of one may be base64, a date or a duration by chance."""
    first = {"k": b"\x00\xff", "at": datetime(2024, 2, 29, 1), "day": date(2024, 2, 29), "span": timedelta(1), "n": 1}
    second = {"k": "abcd", "at": "2024-02-30T01:00:00", "day": "2024-02-29", "span": "0:00:03", "n": 0.5}
    rows = [json.loads(json.dumps(to_plain(row))) for row in (first, second)]
    schema = write(tmp_path / "x.parquet", rows, columns=tuple(first))
    assert [field.type for field in schema] == [T, T, T, T, pa.float64()]
    plain = {"k": "AP8=", "at": "2024-02-29T01:00:00", "day": "2024-02-29", "span": "1 day, 0:00:00", "n": 1}
    assert read(tmp_path / "x.parquet") == [plain, second]


def test_typed_columns_that_changed_are_inferred(tmp_path: Path) -> None:
    changed = {
        "whole": (pa.int64(), [1, 2.5], pa.float64()),
        "narrow": (pa.int8(), [1, 300], pa.int64()),
        "day": (pa.date32(), ["2024-01-01", "today"], pa.string()),
        "blob": (pa.binary(), ["AAE=", "not base64"], pa.string()),
        "left over": (pa.binary(), ["AAE=", "AAF="], pa.string()),
        "span": (pa.duration("us"), ["0:00:03", "1:2:3"], pa.string()),
        "struct": (pa.struct([("a", pa.int64())]), [{"a": 1}, {"b": 2}], TWO_FIELDS),
        "text": (pa.string(), ["a", 1], pa.string()),
        "required": (pa.list_(pa.field("item", pa.int64(), nullable=False)), [[1], [None]], pa.list_(pa.int64())),
    }  # fmt: skip
    rows = [{name: values[number] for name, (_, values, _) in changed.items()} for number in (0, 1)]
    schema = write(
        tmp_path / "x.parquet", rows, schema=pa.schema([(name, kind) for name, (kind, _, _) in changed.items()])
    )
    assert schema == pa.schema([(name, kind) for name, (_, _, kind) in changed.items()])
    assert [row["text"] for row in read(tmp_path / "x.parquet")] == ['"a"', "1"]


def test_large_rows_make_row_groups_of_bounded_size(tmp_path: Path) -> None:
    megabyte = "x" * 2**20

    def rows() -> Any:
        return ({"t": megabyte, "n": number} for number in range(150))

    writer: Callable[..., None] | None = formats()["parquet"].write
    assert writer is not None
    with (tmp_path / "big.parquet").open("wb") as stream:
        writer(stream, rows, WriteOptions())
    metadata = pq.ParquetFile(tmp_path / "big.parquet").metadata
    assert metadata.num_row_groups > 1
    assert [row["n"] for row in read(tmp_path / "big.parquet")] == list(range(150))


def test_other_libraries_read_what_is_written(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows: Rows = [{"a": None, "b": {}, "c": [], "d": 1, "e": {"x": []}}, {"a": None, "d": "x"}]
    write(tmp_path / "x.parquet", rows)
    frame = pandas.read_parquet(tmp_path / "x.parquet")
    assert list(frame["b"].dropna()) == ["{}"] and list(frame["d"]) == ["1", '"x"']


def test_a_full_disk_is_the_streams_own_error() -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    for name in ("parquet", "arrow"):
        writer = formats()[name].write
        assert writer is not None
        with pytest.raises(OSError, match="No space left"):
            writer(Full(), lambda: iter([{"a": 1}]), WriteOptions())  # type: ignore[arg-type]
