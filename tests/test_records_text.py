"""Rows of txt, csv, tsv, json and jsonl: every form that files really have, and every way in which they are broken."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.formats import NewColumnsError, formats
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record, WriteOptions
from pipesmith.pipelines.records.source import Source

pytestmark = pytest.mark.both_lines

NASTY = [
    "",
    " ",
    "007",
    "a,b",
    "a\tb",
    'say "x"',
    '"',
    "\n",
    "\r",
    "a\r\nb",
    "é 😀",
    "\u2028\x85\x0b\x1c",
    "null",
    "[1",
    "#",
]


def read(content: bytes, name: str = "rows.jsonl", **options: Any) -> list[Record]:
    """Read the bytes of a file, as the format that its name says."""
    with Source(name, stream=io.BytesIO(content)) as source:
        return list(open_rows(source, **options).records)


def open_rows(source: Source, **options: Any) -> Reading:
    form = next(one for one in formats().values() if source.name.removesuffix(".gz").endswith(one.endings))
    return form.read(source, ReadOptions(**options))


def good(records: list[Record]) -> list[dict[str, Any]]:
    """Return the values of rows, all of which must be good and numbered in turn."""
    assert [record.error for record in records] == [None] * len(records)
    assert [record.row for record in records] == list(range(1, len(records) + 1))
    return [record.values for record in records]


def sentence(record: Record) -> str:
    """Return the error of a bad row, which must have a hint or need none."""
    assert record.error is not None
    assert record.error.message.endswith(".") and "Traceback" not in record.error.message
    return record.error.message


def refusal(call: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as caught:
        call()
    return caught.value


def written(name: str, rows: list[dict[str, Any]], columns: tuple[str, ...] = ()) -> bytes:
    """Return what the sink of a format writes."""
    make = formats()[name].sink
    assert make is not None
    stream = io.BytesIO()
    sink = make(stream, WriteOptions(columns))
    for row in rows:
        sink.write(row)
    sink.close()
    return stream.getvalue()


def written_at_once(name: str, rows: list[dict[str, Any]], columns: tuple[str, ...] = ()) -> bytes:
    write = formats()[name].write
    assert write is not None
    stream = io.BytesIO()
    write(stream, lambda: iter(rows), WriteOptions(columns))
    return stream.getvalue()


class Trickle(io.RawIOBase):
    """A stream that hands over a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, sizes: Callable[[], int]) -> None:
        self._content = io.BytesIO(content)
        self._sizes = sizes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._content.read(min(len(buffer), self._sizes()))
        buffer[: len(data)] = data
        return len(data)


def compress(content: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(content)
    import pyarrow

    return bytes(pyarrow.Codec("zstd").compress(content, asbytes=True))


# Files and streams


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a\n1\n")
    (tmp_path / "empty.csv").touch()
    missing = refusal(lambda: Source("data/pair.csv", tmp_path / "pair.csv"))
    assert missing.message == "There is no file data/pair.csv." and missing.hint == "Did you mean pairs.csv?"
    assert "there is no folder" in refusal(lambda: Source("x/y.csv", tmp_path / "x" / "y.csv")).message
    assert "data is a folder" in refusal(lambda: Source("data", tmp_path)).message
    assert refusal(lambda: Source("empty.csv", tmp_path / "empty.csv")).message == "empty.csv is empty."
    assert "cannot be read: Not a directory" in refusal(lambda: Source("x", tmp_path / "pairs.csv" / "x")).message
    assert refusal(lambda: read(b"", "stdin.csv")).message == "stdin.csv is empty."


def test_a_plain_file_says_its_size_path_and_how_far_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(b"line\n" * 1000)
    with Source("rows.txt", path) as source:
        assert (source.path, source.size) == (path, 5000)
        assert source.peek().startswith(b"line\n")
        assert source.stream().readline() == b"line\n"
        assert source.stream().read() == b"line\n" * 999
        assert source.position == 5000


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compression_is_found_from_the_bytes(tmp_path: Path, kind: str) -> None:
    content = b"".join(b"line %d\n" % number for number in range(20_000))
    path = tmp_path / "rows.txt"  # a name that does not say it
    path.write_bytes(compress(content, kind) + compress(b"and a second member\n", kind))
    with Source("rows.txt", path) as source:
        assert source.path is None and source.size == path.stat().st_size
        assert source.peek().startswith(b"line 0\n")
        rows = good(list(open_rows(source).records))
        assert len(rows) == 20_001 and rows[-1] == {"text": "and a second member"}
        assert source.position == source.size


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.json", "rows.txt"])
def test_compressed_data_cut_short_keeps_the_rows_before(kind: str, name: str) -> None:
    draw = random.Random(0)
    rows = [{"id": str(number), "text": str(draw.random())} for number in range(60_000)]
    if name.endswith("txt"):
        content = "".join(f"{row['text']}\n" for row in rows).encode()
        rows = [{"text": row["text"]} for row in rows]
    else:
        content = written_at_once(name.removeprefix("rows."), rows)
    packed = compress(content, kind)
    records = read(packed[: len(packed) * 3 // 4], name)
    assert 10_000 < len(records) < 60_000
    assert good(records[:-1]) == rows[: len(records) - 1]
    assert f"{name} is cut short: its {kind} data ends too soon" in sentence(records[-1])
    assert f"row {len(records):d}" in sentence(records[-1])


def test_compressed_data_that_is_broken() -> None:
    packed = bytearray(gzip.compress(b"some line\n" * 10))
    packed[-6] ^= 0xFF  # the check sum
    *rows, last = read(bytes(packed), "rows.txt")
    assert len(good(rows)) == 10
    assert "rows.txt is broken (CRC check failed" in sentence(last)
    packed_json = bytearray(gzip.compress(b"[1,\n2]"))
    packed_json[-6] ^= 0xFF
    *rows, last = read(bytes(packed_json), "rows.json")
    assert good(rows) == [{"input": 1}, {"input": 2}] and "is broken (CRC check failed" in sentence(last)
    first, large, last = read(gzip.compress(b"1\n" + b"2" * 100)[:-8], "rows.txt", max_row_bytes=10)
    assert "larger than 10" in sentence(large) and "is cut short" in sentence(last) and first.error is None
    assert "is cut short" in refusal(lambda: read(bytes(packed[:12]), "rows.txt")).message
    assert refusal(lambda: read(gzip.compress(b""), "rows.txt")).message == "rows.txt is empty."


def test_rows_of_a_pipe_come_as_they_are_written() -> None:
    for name, pieces in {
        "pipe.jsonl": (b'{"a": 1}\n{"a"', b": 2}\n", b'{"a": 3}'),
        "pipe.csv": (b"a\n1\n2", b"\n", b"3"),
        "pipe.txt": (b"1\n2", b"\n", b"3"),
        "pipe.json": (b'[\n{"a": 1}', b',{"a": 2}', b',{"a": 3}]'),
    }.items():
        reading, writing = os.pipe()
        os.write(writing, pieces[0])
        with os.fdopen(reading, "rb") as stream, Source(name, stream=stream) as source:
            records = open_rows(source).records
            values = [next(records).values]
            os.write(writing, pieces[1])
            values.append(next(records).values)
            os.write(writing, pieces[2])
            os.close(writing)
            values += [record.values for record in records]
            source.close()
            assert not stream.closed
        assert [int(next(iter(value.values()))) for value in values] == [1, 2, 3], name


@pytest.mark.parametrize("name", ["jsonl", "csv", "tsv", "json"])
def test_a_stream_in_any_pieces_is_the_same_file(name: str) -> None:
    rows = [{"id": str(number), "text": text} for number, text in enumerate(NASTY)]
    content = written_at_once(name, rows)
    draw = random.Random(1)
    for sizes in (lambda: 1, lambda: 2, lambda: draw.randint(1, 30)):
        with Source(f"rows.{name}", stream=Trickle(content, sizes)) as source:  # type: ignore[arg-type]
            assert good(list(open_rows(source).records)) == rows


# Lines of text


def test_lines_end_at_newlines_alone() -> None:
    text = "one\u2028still\x85one\x0b\x0c\x1c\rstill\ntwo\r\n\r\nfour"
    records = read(text.encode(), "rows.txt")
    lines = ["one\u2028still\x85one\x0b\x0c\x1c\rstill", "two", "", "four"]
    assert good(records) == [{"text": line} for line in lines]
    assert [record.line for record in records] == [1, 2, 3, 4]
    assert good(read(b"\n", "rows.txt")) == [{"text": ""}]
    assert good(read(b"one\ntwo\n", "rows.txt")) == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_honoured(codec: str) -> None:
    rows = [{"text": "é 😀\u2028"}, {"text": "ਊ ਍ਊ"}]  # U+0A0A: both bytes look like a newline
    for name in ("jsonl", "csv", "json", "tsv"):
        content = written_at_once(name, rows).decode().encode(codec)
        assert good(read(content, f"rows.{name}")) == rows, name
        with Source(f"rows.{name}", stream=Trickle(content, lambda: 1)) as source:  # type: ignore[arg-type]
            assert good(list(open_rows(source).records)) == rows, name
    assert good(read("x\r\ny".encode(codec), "rows.txt")) == [{"text": "x"}, {"text": "y"}]


@pytest.mark.parametrize("codec", ["latin-1", "CP1252", "utf-16-be", "utf_8_sig", "shift_jis", "cp500", "utf-7"])
def test_encodings(codec: str) -> None:
    text = "日本" if codec == "shift_jis" else "é"
    for name, content in {"a.txt": f"x\n{text}\n", "a.csv": f"text\nx\n{text}\n", "a.json": f'["x", "{text}"]'}.items():
        rows = good(read(content.encode(codec), name, encoding=codec))
        assert [next(iter(row.values())) for row in rows] == ["x", text], name


def test_an_encoding_that_does_not_exist() -> None:
    error = refusal(lambda: read(b"x\n", "rows.txt", encoding="latin-l"))
    assert "'latin-l'" in error.message and "latin-1" in str(error.hint)
    for name in ("base64", "idna", "undefined"):
        assert f"'{name}'" in refusal(lambda name=name: read(b"x\n", "rows.json", encoding=name)).message  # type: ignore[misc]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf_16_without_a_mark(codec: str) -> None:
    assert good(read("one\ntwo".encode(codec), "a.txt", encoding=codec[:6])) == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(
    "name,lines",
    {
        "a.jsonl": b'{"a": "1"}\n"caf\xe9"\n{"a": "3"}\n',
        "a.csv": b"1\ncaf\xe9\n3\n",
        "a.txt": b"1\ncaf\xe9\n3\n",
    }.items(),
)
def test_a_wrong_byte_spoils_its_line_alone(name: str, lines: bytes) -> None:
    first, wrong, last = read(lines, name, **({"header": False} if name == "a.csv" else {}))
    position = 5 if name == "a.jsonl" else 4
    assert sentence(wrong) == f"{name}, row 2, line 2: byte 0xe9 at position {position} is not UTF-8."
    assert wrong.error is not None and "--encoding latin-1" in str(wrong.error.hint)
    assert [list(record.values.values()) for record in (first, last)] == [["1"], ["3"]]


def test_the_hint_knows_what_it_can() -> None:
    (record,) = read(b"\x93quoted\x94\n", "a.txt")
    assert record.error is not None and "cp1252" in str(record.error.hint)
    (record,) = read("é\n".encode(), "a.txt", encoding="ascii")
    assert "is not ascii" in sentence(record) and "utf-8" in str(record.error and record.error.hint)


def test_a_wrong_byte_where_lines_cannot_be_told_ends_the_file() -> None:
    content = b"\xff\xfe" + "one\ntwo\n".encode("utf-16-le") + b"\x00\xd8" + "three\n".encode("utf-16-le")
    one, two, wrong = read(content, "rows.txt")
    assert good([one, two]) == [{"text": "one"}, {"text": "two"}]
    assert "line 3: byte 0x00 at byte 19 of the file is not UTF-16" in sentence(wrong)
    *rows, wrong = read(b'["one",\n"caf\xe9", "three"]', "rows.json")
    assert good(rows) == [{"input": "one"}]
    assert "rows.json, line 2: byte 0xe9 at byte 13 of the file is not UTF-8" in sentence(wrong)


def test_nul_bytes() -> None:
    for name in ("a.txt", "a.jsonl", "a.csv"):
        options = {"header": False} if name == "a.csv" else {}
        first, bad, last = read(b"1\n2\0\n3\n", name, **options)
        assert f"{name}, row 2, line 2: it holds a NUL byte (is the file binary, or UTF-16?)." in sentence(bad)
        assert len(good([first])) == 1 and last.error is None
    assert "NUL" in sentence(read('["a"]'.encode("utf-16-le"), "a.json")[0])


@pytest.mark.parametrize("name", ["rows.txt", "rows.jsonl", "rows.csv"])
def test_a_line_over_the_limit_is_a_bad_row_and_never_in_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"1\n")
        for _ in range(400):
            file.write(b"x" * 100_000)
        file.write(b"\n3\n" + b"y" * 2_000_001)
    tracemalloc.start()
    with Source(name, path) as source:
        options: dict[str, Any] = {"max_row_bytes": 2_000_000, "columns": ("text",), "header": False}
        first, large, third, last = open_rows(source, **options).records
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000
    assert f"{name}, row 2, line 2: the row is larger than 2,000,000 bytes" in sentence(large)
    assert "line 4" in sentence(last)
    assert [list(map(int, record.values.values())) for record in (first, third)] == [[1], [3]]


def test_the_limit_is_exact() -> None:
    lines = b"x" * 10 + b"\r\n" + b"x" * 11 + b"\n" + b"x" * 10
    assert [record.error is None for record in read(lines, "a.txt", max_row_bytes=10)] == [True, False, True]
    rows = b'a\n"5\n5"\n"55555\n66666"\n1\n'
    assert [record.error is None for record in read(rows, "a.csv", max_row_bytes=10)] == [True, False, True]


# csv and tsv


def test_csv_cells_are_text_as_it_stands() -> None:
    content = b'id,"the text",n\r\n007,"a ""b"", c",\r\n\r\n 8 ,"two\r\nlines\nmore",1.50\r\n'
    records = read(content, "rows.csv")
    assert good(records) == [
        {"id": "007", "the text": 'a "b", c', "n": ""},
        {"id": " 8 ", "the text": "two\r\nlines\nmore", "n": "1.50"},
    ]
    assert [record.line for record in records] == [2, 4]


def test_csv_dialects() -> None:
    assert good(read(b"a;b\n1;2", "x.csv", delimiter=";")) == [{"a": "1", "b": "2"}]
    assert good(read(b"a\tb\n1\t2", "x.csv", delimiter="\\t")) == [{"a": "1", "b": "2"}]
    assert good(read(b'a\tb\n"1\t2"\n', "x.tsv", quoting="none")) == [{"a": '"1', "b": '2"'}]
    assert good(read(b"1,2\n3,4", "x.csv", header=False)) == [
        {"column_1": "1", "column_2": "2"},
        {"column_1": "3", "column_2": "4"},
    ]
    assert good(read(b"1,2\n", "x.csv", header=False, columns=("a", "b"))) == [{"a": "1", "b": "2"}]
    bad, row = read(b'"x"y\n3,4', "x.csv", header=False)
    assert bad.error is not None and row.values == {"column_1": "3", "column_2": "4"}
    assert "';;'" in refusal(lambda: read(b"a\n", "x.csv", delimiter=";;")).message
    assert "--no-header" in str(refusal(lambda: read(b"a\n", "x.csv", columns=("a",))).hint)


def test_csv_headers() -> None:
    with Source("x.csv", stream=io.BytesIO(b"a,b\n")) as source:
        reading = open_rows(source)
        assert reading.columns == ("a", "b") and list(reading.records) == []
    doubled = refusal(lambda: read(b"a,b,a\n1,2,3\n", "x.csv"))
    assert "'a'" in doubled.message and "--no-header" in str(doubled.hint)
    assert "'a'" in refusal(lambda: read(b"1,2\n", "x.csv", header=False, columns=("a", "a"))).message
    assert "no header" in refusal(lambda: read(b"\n\n", "x.csv")).message
    assert "x.csv, line 1: byte 0xe9" in refusal(lambda: read(b"caf\xe9,b\n1,2\n", "x.csv")).message
    assert "x.csv, line 1: a carriage return" in refusal(lambda: read(b"a,b\r1,2\r", "x.csv")).message


def test_ragged_rows_name_both_counts() -> None:
    first, short, long, last = read(b"a,b\n1,2\n3\n4,5,6\n7,8\n", "x.csv")
    assert sentence(short) == "x.csv, row 2, line 3: 1 cell for 2 columns."
    assert sentence(long) == "x.csv, row 3, line 4: 3 cells for 2 columns."
    assert short.values == {"a": "3"}
    assert (first.values, last.values, last.row) == ({"a": "1", "b": "2"}, {"a": "7", "b": "8"}, 4)
    (record,) = read(b"a;b\n1,5;2\n", "x.csv")
    assert record.error is not None and "--delimiter ';'" in str(record.error.hint)


def test_quotes_that_do_not_fit() -> None:
    first, bad, last = read(b'a,b\n1,2\n"x"y,3\n4,5\n', "x.csv")
    assert "x.csv, row 2, line 3: text stands between a closing quote" in sentence(bad)
    assert bad.error is not None and "--quoting none" in str(bad.error.hint)
    assert (first.values, last.values) == ({"a": "1", "b": "2"}, {"a": "4", "b": "5"})
    first, bad = read(b'a,b\n1,2\n"never closed,3\n4,5\n', "x.csv")
    assert "x.csv, row 2, line 3: a quote is opened and never closed" in sentence(bad)
    assert bad.error is not None and "--quoting none" in str(bad.error.hint)


def test_a_wrong_byte_inside_a_cell_of_several_lines_spoils_its_row_alone() -> None:
    bad, last = read(b'a,b\n"one\ncaf\xe9\nthree",2\n3,4\n', "x.csv")
    assert "row 1, line 2: byte 0xe9" in sentence(bad)
    assert bad.values["b"] == "2" and last.values == {"a": "3", "b": "4"}


@pytest.mark.parametrize(
    "end,words", [(b'",1\n3,4\n', "the row is larger than 200,000"), (b"", "a quote is opened and never closed")]
)
def test_a_row_of_many_lines_over_the_limit_is_one_bad_row_and_never_in_memory(
    tmp_path: Path, end: bytes, words: str
) -> None:
    path = tmp_path / "x.csv"
    with path.open("wb") as file:
        file.write(b'a,b\n1,2\n"open,1\n')
        for _ in range(100):
            file.write((b"x,2" * 13 + b"\n") * 2000 + b'"",y\n')
        file.write(end)
    tracemalloc.start()
    with Source("x.csv", path) as source:
        first, large, *last = open_rows(source, max_row_bytes=200_000).records
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert sentence(large).startswith(f"x.csv, row 2, line 3: {words}") and large.values == {}
    assert first.values == {"a": "1", "b": "2"}
    assert [(row.values, row.row, row.line) for row in last] == ([({"a": "3", "b": "4"}, 3, 200_105)] if end else [])


@pytest.mark.parametrize("size", [2000, 70_000, 300_000, 3_000_000])
@pytest.mark.parametrize(
    "large",
    [
        '2,"{}\nfalse,row\n"',  # the quote opens in a line that is too large itself
        '2,"false,row\n{}"',
        '2,"false,row\n{}\nfalse,row"',
        '2,"""{}"",\n""\nfalse,row"',
        '"{0}\n{0}","\n{0}"',
    ],
)
def test_quotes_of_a_row_over_the_limit_count(large: str, size: int) -> None:
    for unit in ("y", "y,y\n", '""'):
        text = large.format(unit * (size // len(unit)))
        first, bad, last = read(f"a,b\n1,2\n{text}\n3,4\n".encode(), "x.csv", max_row_bytes=1000)
        assert "x.csv, row 2, line 3: the row is larger than 1,000 bytes" in sentence(bad)
        assert (first.values, last.values) == ({"a": "1", "b": "2"}, {"a": "3", "b": "4"})
        assert last.row == 3 and last.line == 4 + text.count("\n")
    assert [row.values for row in read(b'a\n"' + b"x" * 20 + b'\n"1\n', "x.csv", quoting="none", max_row_bytes=10)] == [
        {},
        {"a": '"1'},
    ]


# json and jsonl


def test_jsonl_rows() -> None:
    content = b'{"a": 1}\n\n  {"a": [2, {"b": null}]}  \r\n"text"\n[1, 2]\n3\nnull\n{"a": 1, "a": 2}'
    records = read(content)
    values = [{"a": 1}, {"a": [2, {"b": None}]}, *({"input": value} for value in ("text", [1, 2], 3, None)), {"a": 2}]
    assert good(records) == values
    assert [record.line for record in records] == [1, 3, 4, 5, 6, 7, 8]


def test_invalid_json_spoils_its_line_alone() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    content = b'{"a": 1}\n{"a" 2}\n{"a": 3} x\n' + b"9" * 5000 + b"\n" + deep + b'\n{"a": "cut\n{"a": 4}\n'
    first, wrong, trailing, digits, nested, cut, last = read(content)
    assert sentence(wrong) == "rows.jsonl, row 2, line 2, column 6: not valid JSON (Expecting ':' delimiter)."
    assert "row 3, line 3, column 10: not valid JSON (Extra data)" in sentence(trailing)
    assert "row 4, line 4: not valid JSON (Exceeds the limit" in sentence(digits)
    assert "row 5, line 5: it is nested too deeply" in sentence(nested)
    assert "row 6, line 6, column 7" in sentence(cut)
    assert (first.values, last.values, last.row) == ({"a": 1}, {"a": 4}, 7)


JSON_FILES = {
    "array": b'[{"a": 1}, {"a": "x"},\n {"a": [1, {}]}]',
    "mixed": b'[1, "x", null, [1], {"a": {}}, -1.5e-3, 12345678901234567890, true]\n',
    "object": b'{"a": 1,\n "b": [2]}',
    "empty": b" [ ] ",
    "number": b"-1.5E+10",
    "escapes": b'["\\ud83d\\ude00", "\\\\", "\\"", "\\u00e9", "caf\xc3\xa9 \xf0\x9f\x98\x80"]',
}


@pytest.mark.parametrize("content", JSON_FILES.values(), ids=JSON_FILES)
def test_json_files_in_any_pieces(content: bytes) -> None:
    value = json.loads(content)
    rows = [row if isinstance(row, dict) else {"input": row} for row in (value if isinstance(value, list) else [value])]
    assert good(read(content, "rows.json")) == rows
    draw = random.Random(2)
    for sizes in (lambda: 1, lambda: 3, lambda: draw.randint(1, 20)):
        with Source("rows.json", stream=Trickle(content, sizes)) as source:  # type: ignore[arg-type]
            assert good(list(open_rows(source).records)) == rows


def test_json_lines_under_the_name_of_json() -> None:
    first, bad, last = read(b'{"a": 1}\n{"a": }\n{"a": 3}\n', "rows.json")
    assert (first.values, last.values) == ({"a": 1}, {"a": 3}) and "row 2, line 2, column 7" in sentence(bad)
    records = read(b'{"a":\n 1}\n{"a":\n 2}\n', "rows.json")
    assert good(records) == [{"a": 1}, {"a": 2}] and [record.line for record in records] == [1, 3]


@pytest.mark.parametrize(
    "content,words",
    [
        (b'[{"a": 1},\n {"a" 2}, {"a": 3}]', "row 2, line 2, column 7: not valid JSON (Expecting ':' delimiter)"),
        (b'[{"a": 1}\n {"a": 2}]', "row 2, line 2, column 2: not valid JSON (Expecting ',' delimiter)"),
        (b'[{"a": 1}] x', "row 2, line 1, column 12: something follows the end of the array"),
        (b'[{"a": 1},\n', "row 2, line 2, column 1: not valid JSON (Expecting value)"),
        (b'[{"a": 1}\n', "row 2, line 2, column 1: the array is never closed"),
        (b'[{"a": 1}, {"a": "cut', "row 2, line 1, column 18: not valid JSON (Unterminated string"),
        (b'[{"a": 1}, ]', "row 2, line 1, column 12: not valid JSON (Expecting value)"),
    ],
)
def test_a_broken_json_file_keeps_the_rows_before(content: bytes, words: str) -> None:
    for stream in (io.BytesIO(content), Trickle(content, lambda: 1000)):
        with Source("rows.json", stream=stream) as source:  # type: ignore[arg-type]
            *rows, bad = open_rows(source).records
        assert good(rows) == [{"a": 1}]
        assert f"rows.json, {words}" in sentence(bad) and bad.row == 2
        assert sentence(bad).endswith(". Nothing can be read from row 2 on.")


@pytest.mark.parametrize(
    "element,words",
    [
        (b'"' + b"x" * 3000 + b'"', "the row is larger than 2,000 bytes"),
        (json.dumps({"}": ['a"],\\'] * 700, "b": [{"c": "[{"}] * 70}).encode(), "the row is larger than 2,000 bytes"),
        (b"[" + b"\n1,{}," * 40_000 + b"[]]", "the row is larger than 2,000 bytes"),
        (b'"' + b'\\"\\\\' * 100_000 + b'"', "the row is larger than 2,000 bytes"),
        (b"9" * 5000, "the row is larger than 2,000 bytes"),
        (b"9" * 4500, "not valid JSON (Exceeds the limit"),
        (b"[" * 100_000 + b"]" * 100_000, "it is nested too deeply"),
    ],
)
def test_a_json_element_that_cannot_be_taken_is_one_bad_row(element: bytes, words: str) -> None:
    limit = {"max_row_bytes": 2000} if "larger" in words else {}
    for content in (b'[{"a": 1},\n%s , {"a": 3}]' % element, b'{"a":\n1}\n%s\n{"a": 3}' % element):
        if content[:1] == b"{" and element[:1] == b"9":  # only commas stand after a number
            continue
        for size in (2**20, 1000, 7):
            with Source("rows.json", stream=Trickle(content, lambda size=size: size)) as source:  # type: ignore[arg-type,misc]
                first, bad, last = open_rows(source, **limit).records
            assert (first.values, last.values, last.row) == ({"a": 1}, {"a": 3}, 3)
            assert f"rows.json, row 2, line {bad.line}: {words}" in sentence(bad)
            assert last.line == content.count(b"\n") + 1
    *rows, bad, end = read(b'[{"a": 1}, ' + element[:-1], "rows.json", **limit)
    assert good(rows) == [{"a": 1}] and words in sentence(bad)
    assert "row 3" in sentence(end) and "the array is never closed. Nothing can be read" in sentence(end)


def test_a_json_element_over_the_limit_is_never_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    with path.open("wb") as file:
        file.write(b'[1, {"a": "')
        for _ in range(400):
            file.write(b"x" * 100_000)
        file.write(b'"}, 3]')
    tracemalloc.start()
    with Source("rows.json", path) as source:
        first, large, last = open_rows(source, max_row_bytes=200_000).records
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert "row 2, line 1: the row is larger than 200,000 bytes" in sentence(large)
    assert [first.values, last.values] == [{"input": 1}, {"input": 3}]


def test_json_that_is_none() -> None:
    assert "rows.json, row 1, line 1, column 1: not valid JSON" in sentence(read(b"hello", "rows.json")[0])
    assert "rows.json, row 1, line 3, column 1: not valid JSON" in sentence(read(b" \n\n", "rows.json")[0])


def test_a_large_json_file_on_one_line_stays_out_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    row = json.dumps({"text": "x" * 400, "n": 1})
    path.write_text("[" + ",".join([row] * 40_000) + "]")
    tracemalloc.start()
    with Source("rows.json", path) as source:
        count = sum(1 for record in open_rows(source).records if record.error is None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_000 and peak < 4_000_000 < path.stat().st_size / 4


def test_a_large_json_element_is_read_whole() -> None:
    value = {"text": "é" * 1_500_000, "n": list(range(100_000))}
    content = json.dumps([{"a": 1}, value, {"a": 2}], ensure_ascii=False).encode()
    assert good(read(content, "rows.json")) == [{"a": 1}, value, {"a": 2}]


def test_formats_are_recognised() -> None:
    def recognised(head: bytes) -> list[str]:
        text_formats = (form for form in formats().values() if form.recognise and not form.binary)
        return [form.name for form in text_formats if form.recognise and form.recognise(head)]

    assert recognised(b'\n{"a": 1}\n{"a": 2}\n') == ["jsonl"]
    assert recognised(b'\xef\xbb\xbf{"a": "' + b"x" * 4000) == ["jsonl"]
    assert recognised(b'{\n  "a": 1\n}') == ["json"]
    assert recognised(b" [1, 2]\n[3]") == ["json"]
    assert recognised(b"a,b\n1,2\n") == recognised(b"\x89PNG\r\n\xff") == recognised(b"12\n") == []


# Writing


@pytest.mark.parametrize(
    "name,write",
    [(name, written_at_once) for name in ("jsonl", "json", "csv", "tsv")]
    + [(name, written) for name in ("jsonl", "csv", "tsv")],
)
def test_text_comes_back_as_it_was_written(name: str, write: Callable[..., bytes]) -> None:
    rows = [{"id": str(number), "text": text, "\r": text[::-1]} for number, text in enumerate(NASTY)]
    assert good(read(write(name, rows), f"rows.{name}")) == rows
    single = [{"text": text} for text in NASTY]
    assert good(read(write(name, single), f"rows.{name}")) == single
    with Source("x", stream=io.BytesIO(write(name, [], ("a", "b")) or b"\n")) as source:
        assert list(formats()[name].read(source, ReadOptions()).records) == []


def test_every_row_is_one_write() -> None:
    class Stream(io.BytesIO):
        def __init__(self) -> None:
            super().__init__()
            self.pieces: list[bytes] = []

        def write(self, data: Any) -> int:
            self.pieces.append(bytes(data))
            return len(data)

    rows = [{"text": "one\ntwo"}, {"text": "x" * 300_000}]
    for name, pieces in {"jsonl": 2, "csv": 3, "json": 3}.items():
        stream, write = Stream(), formats()[name].write
        assert write is not None
        write(stream, lambda: iter(rows), WriteOptions())
        assert len(stream.pieces) == pieces, name
        assert b"".join(stream.pieces) == written_at_once(name, rows)


def test_json_writes_what_json_has_no_word_for() -> None:
    import numpy

    row = {
        "nan": float("nan"),
        "deep": [{"inf": float("-inf")}],
        "date": datetime.date(2024, 2, 29),
        "time": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        "decimal": decimal.Decimal("1.10"),
        "bytes": b"\xff",
        "array": numpy.array([1.5, float("nan")]),
        "set": {2},
        "text": "é",
    }
    plain = {
        "nan": None,
        "deep": [{"inf": None}],
        "date": "2024-02-29",
        "time": "2024-02-29T12:30:00+00:00",
        "decimal": "1.10",
        "bytes": "/w==",
        "array": [1.5, None],
        "set": [2],
        "text": "é",
    }
    assert good(read(written("jsonl", [row]))) == good(read(written_at_once("json", [row]), "x.json")) == [plain]
    assert "é" in written("jsonl", [row]).decode()
    (cells,) = good(read(written("csv", [row]), "x.csv"))
    assert (cells["nan"], cells["deep"], cells["date"]) == ("", '[{"inf": null}]', "2024-02-29")


def test_half_a_surrogate_pair_is_written_as_valid_text() -> None:
    row = {"half": "\ud83d!", "whole": "\ud83d\ude00", "e": "é"}
    assert good(read(written("jsonl", [row])))[0]["half"] == "\ud83d!"
    assert good(read(written("csv", [row]), "x.csv")) == [{"half": "\ufffd!", "whole": "😀", "e": "é"}]


def test_csv_cells_that_are_no_text() -> None:
    row = {"none": None, "yes": True, "n": 3, "x": 0.1, "list": ["é", None], "empty": {}}
    assert written("csv", [row]).decode() == 'none,yes,n,x,list,empty\n,true,3,0.1,"[""é"", null]",{}\n'


def test_csv_columns() -> None:
    assert written("csv", [{"b": "1"}], ("a", "b")) == b"a,b\n,1\n"
    assert written("csv", [{"c": "1"}], ("a", "b")) == b"a,b,c\n,,1\n"
    assert written("csv", [], ("a", "b")) == b"a,b\n"
    assert written_at_once("csv", [{"a": "1"}, {"b": "2"}]) == b"a,b\n1,\n,2\n"
    for row in ({"a": "1", "c": "2"}, {"c": None}, {"a": "1", "b": "2", "c": "3"}):
        with pytest.raises(NewColumnsError) as caught:
            written("csv", [{"a": "1", "b": None}, row])
        assert caught.value.columns == ("a", "b", "c")
