"""Generated files, good and bad: no row is lost, none ends in a traceback, and what is written can be read.

The examples are the same in every run; with --slow there are ten times as many.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import ECHO_PIPELINE, Ran, write

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.jobs import Outcome
from pipesmith.pipelines.records import OutputFile, ReadOptions, Record, Records

pytestmark = pytest.mark.both_lines
Rows = list[dict[str, Any]]
Pipe = Callable[..., Ran]

OUT = ["jsonl", "json", "csv", "tsv", "parquet", "arrow", "csv.gz", "jsonl.zst"]


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Check a function on so many examples, drawn from what is generated for its arguments."""

    def check(function: Callable[..., None], examples: int, *arguments: Any) -> None:
        many = examples * 10 if request.config.getoption("--slow") else examples
        unhurried = settings(
            max_examples=many,
            derandomize=True,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        unhurried(given(*arguments)(function))()

    return check


# Files


@dataclass(frozen=True)
class File:
    """A generated file.

    Args:
        kind: its format, which is the ending of its name as well.
        content: its bytes, before they are packed.
        rows: what it holds.
        ends: after how many bytes each row is complete; none where bytes do not follow rows.
    """

    kind: str
    content: bytes
    rows: Rows
    ends: list[int]


def pieces(kind: str, rows: Rows, *, odd: bool) -> list[bytes]:
    """Return a file as its beginning, each row, and its end, written as other programs do; `odd` is a second way."""
    if kind == "txt":
        lines = [row["text"] + ("\r\n" if odd else "\n") for row in rows]
        return [line.encode() for line in ["", *lines, ""]]
    if kind in ("csv", "tsv"):
        stream = io.StringIO(newline="")
        quoting, end = (csv.QUOTE_ALL, "\n") if odd else (csv.QUOTE_MINIMAL, "\r\n")
        writer = csv.writer(stream, delimiter="," if kind == "csv" else "\t", quoting=quoting, lineterminator=end)
        parts = []
        for cells in [list(rows[0]) if rows else ["text", "note"], *(row.values() for row in rows)]:
            writer.writerow(cells)
            parts.append(stream.getvalue().encode())
            stream.seek(0)
            stream.truncate()
        return [*parts, b""]
    if kind in ("json", "jsonl"):
        texts = [json.dumps(row, ensure_ascii=odd, indent=2 if odd and kind == "json" else None) for row in rows]
        if kind == "jsonl":
            return [b"", *(f"{text}\n".encode() for text in texts), b""]
        commas = [","] * (len(texts) - 1) + [""]
        return [b"[", *(f"\n{text}{comma}".encode() for text, comma in zip(texts, commas)), b"\n]"]
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, sink = pa.Table.from_pylist(rows) if rows else pa.table({"text": pa.array([], pa.string())}), io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, sink, row_group_size=2 if odd else None)
    else:
        with (pa.ipc.new_stream if odd else pa.ipc.new_file)(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return [sink.getvalue()]


def packed(content: bytes, packing: str) -> bytes:
    if packing == ".gz":
        return gzip.compress(content)
    if packing == ".zst":
        import pyarrow as pa

        return bytes(pa.compress(content, "zstd", asbytes=True))
    return content


def parsed(path: Path) -> Rows:
    """Read rows with the libraries that people use."""
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet as pq

    kind = path.name.split(".")[1]
    if kind in ("parquet", "arrow"):
        table = pq.read_table(path) if kind == "parquet" else pa.feather.read_table(path, memory_map=False)
        return table.to_pylist()  # type: ignore[no-any-return]
    with pa.input_stream(str(path)) as stream:  # unpacks .gz and .zst
        text = stream.read().decode()
    if kind == "json":
        return json.loads(text)  # type: ignore[no-any-return]
    if kind == "jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="," if kind == "csv" else "\t"))


# Good files

TEXTS = st.text(max_size=20) | st.sampled_from(
    ['"', "\0", "a\nb", "c\r\nd", "\r", "a,b\tc", "007", "null", "\u2028", "🎉\x85"]
)
NO_NUL = TEXTS.map(lambda text: text.replace("\0", "0"))
LINES = NO_NUL.map(lambda text: text.replace("\n", "n").rstrip("\r").lstrip("\ufeff"))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TYPES = [
    TEXTS,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(TEXTS, max_size=3),
    st.fixed_dictionaries({"label": TEXTS, "score": st.none() | st.floats(0, 1)}),
]
PACKINGS = st.sampled_from(["", "", ".gz", ".zst"])


@st.composite
def files(draw: st.DrawFn) -> File:
    """Return a file as it should be."""
    kind = draw(st.sampled_from(["txt", "csv", "tsv", "json", "jsonl", "parquet", "arrow"]))
    if kind == "txt":
        rows = [{"text": text} for text in draw(st.lists(LINES, min_size=1, max_size=6))]
    elif kind in ("csv", "tsv"):
        names = [*draw(st.lists(LINES, max_size=2, unique=True)), "text"]
        row = st.tuples(*[NO_NUL for _ in dict.fromkeys(names)])
        rows = [dict(zip(dict.fromkeys(names), cells)) for cells in draw(st.lists(row, max_size=6))]
    elif kind in ("json", "jsonl"):
        row = st.dictionaries(st.sampled_from(["text", "note", "n"]) | NO_NUL, VALUES, max_size=4)
        rows = draw(st.lists(row, min_size=1, max_size=6).filter(any))  # a table without columns has no rows
    else:
        columns = {"text": TEXTS} | draw(st.dictionaries(NO_NUL, st.sampled_from(TYPES), max_size=3))
        row = st.fixed_dictionaries({name: st.none() | values for name, values in columns.items()})
        rows = draw(st.lists(row, min_size=1, max_size=6))
    parts = pieces(kind, rows, odd=draw(st.booleans()))
    return File(kind, b"".join(parts), rows, list(accumulate(map(len, parts)))[1:-1])


def same(found: Any, value: Any, kind: str) -> bool:
    """Whether what was written is a value, or stands for it in a format that has no such type."""
    if kind in ("csv", "tsv"):
        text = value.replace("\0", "\ufffd") if isinstance(value, str) else "" if value is None else None
        return bool(found == text if text is not None else json.loads(found) == value)
    if kind in ("parquet", "arrow"):
        return without_nulls(found) == without_nulls(value) or (isinstance(found, str) and json.loads(found) == value)
    return bool(found == value)


def without_nulls(value: Any) -> Any:
    """Return a value without fields that are null: a struct has the fields of all rows."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_no_row_of_a_good_file_is_lost(fuzz: Callable[..., None], tmp_path: Path) -> None:
    def check(file: File, packing: str, out: str) -> None:
        path = tmp_path / f"in.{file.kind}{packing}"
        path.write_bytes(packed(file.content, packing))
        with Records([path]) as records, OutputFile(tmp_path / f"out.{out}", force=True) as output:
            for number, record in enumerate(records, 1):
                assert (record.error, record.row) == (None, number)
                output.write(record.values)
        found = parsed(output.path)
        assert len(found) == len(file.rows)
        for got, row in zip(found, file.rows):
            assert all(same(got.get(name), value, out.split(".")[0]) for name, value in row.items())
            assert not any(value for name, value in got.items() if name not in row)

    fuzz(check, 50, files(), PACKINGS, st.sampled_from(OUT))


# Bad files

BITS = [b"\0", b'"', b"\n", b"\r", b",", b"\t", b"\\", b"{", b"}", b"[", b"]", b'"\\ud800"', b"1e999", b"9" * 5000]
BITS += [b"\xe9", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b"]
HARMS = ["cut", "flip", "flip", "insert", "insert", "insert", "remove", "double", "double", "code", "columns", "empty"]
CODECS = ["utf-16", "utf-16-le", "utf-32", "cp500", "utf-7", "utf-8-sig"]


@st.composite
def damages(draw: st.DrawFn, content: bytes, kind: str) -> tuple[bytes, int]:
    """Return damaged bytes, and how many of the first ones are as they were."""
    whole = len(content)
    for _ in range(draw(st.integers(1, 2))):
        at, size = draw(st.integers(0, len(content))), draw(st.integers(1, 12))
        before, here, after = content[:at], content[at : at + size], content[at + size :]
        how = draw(st.sampled_from(HARMS))
        if how == "cut":
            content = before
        elif how == "flip":
            content = before + bytes(byte ^ 1 << size % 8 for byte in here[:1]) + here[1:] + after
        elif how == "insert":
            content = before + draw(st.sampled_from(BITS) | st.binary(max_size=8)) + here + after
        elif how == "remove":
            content = before + after
        elif how == "double":
            content = before + here * 2 + after
        elif how == "code":
            at, content = 0, content.decode("latin-1").encode(draw(st.sampled_from(CODECS)), "replace")
        elif how == "columns":
            line, end, rest = content.partition(b"\n")
            at, content = 0, line + (b"\t" if kind == "tsv" else b",") + line + end + rest
        elif how == "empty":
            at, content = 0, content[: content.find(b"\n") + 1]
        whole = min(whole, at)
    return content, whole


@dataclass(frozen=True)
class BadFile:
    """A damaged file.

    Args:
        name: of the file.
        content: its bytes.
        before: the rows that lie before all damage.
        options: how it is read.
    """

    name: str
    content: bytes
    before: Rows
    options: ReadOptions


OPTIONS = [
    ReadOptions(max_row_bytes=30),
    ReadOptions(quoting="none"),
    ReadOptions(header=False),
    ReadOptions(header=False, columns=("text", "b")),
    ReadOptions(encoding="latin-1"),
    ReadOptions(encoding="utf-16"),
    ReadOptions(delimiter=";"),
]


@st.composite
def bad_files(draw: st.DrawFn) -> BadFile:
    """Return a file that was damaged before it was packed or after, and may be read as what it is not."""
    file, packing, options = draw(files()), draw(PACKINGS), ReadOptions()
    if draw(st.booleans()):
        content, whole = draw(damages(file.content, file.kind))
        content = packed(content, packing)
    else:
        content, whole = draw(damages(packed(file.content, packing), file.kind))
        whole = whole if not packing else 0
    before = file.rows[: sum(end <= whole for end in file.ends)]
    ending = file.kind
    if draw(st.integers(0, 4)) == 0:
        before, options = [], draw(st.sampled_from(OPTIONS))
    if draw(st.integers(0, 4)) == 0:
        before, ending = [], draw(st.sampled_from([*OUT, "txt"]))
    return BadFile(f"in.{ending}{packing}", content, before, options)


def test_no_bad_file_ends_in_a_traceback(
    fuzz: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def check(file: BadFile, out: str) -> None:
        Path(file.name).write_bytes(file.content)
        try:
            with Records([file.name], file.options) as opened:
                records = list(opened)
        except InputError as error:
            assert is_sentence(error, file.name) and not file.before
            return
        assert [record.row for record in records] == list(range(1, len(records) + 1))
        assert [record.values for record in records if record.error is None][: len(file.before)] == file.before
        assert all(record.error is None or is_sentence(record.error, file.name) for record in records)
        with OutputFile(f"out.{out}", force=True) as output:
            for record in records:
                output.write(row_of(record, tabular=output.format.tabular))
        assert len(parsed(output.path)) == len(records)

    fuzz(check, 60, bad_files(), st.sampled_from(OUT))


# Rows over the limit

PARTS = ["x", "y,y\n", '"', '""\n', "\r\n", "\\", '\\"', "é", "},", "]\n", "{[", "a\tb\n", ' "x",1\n"']


@st.composite
def mixed_files(draw: st.DrawFn) -> tuple[str, bytes, list[str | None]]:
    """Return a format, a file of which a row is small or hundreds of KB, and the small texts, None for the others."""
    kind = draw(st.sampled_from(["txt", "csv", "csv", "tsv", "json", "json", "jsonl"]))
    texts = draw(st.lists(LINES if kind == "txt" else NO_NUL, min_size=1, max_size=4))
    rows: list[dict[str, Any]] = [{"id": "1", "text": text, "note": ""} for text in texts]
    found: list[str | None] = list(texts)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(rows)))
        parts = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3))
        cell = "".join(part * (draw(st.integers(3000, 400_000)) // len(part)) for part in parts)
        cell = cell.replace("\n", " ").rstrip("\r") if kind == "txt" else cell
        rows.insert(at, {"id": "1", "text": "x\n1,2" if kind != "txt" else "", "note": ""})
        rows[at][draw(st.sampled_from(["text", "note"])) if kind != "txt" else "text"] = cell
        found.insert(at, None)
    if kind == "txt":
        rows = [{"text": row["text"]} for row in rows]
    return kind, b"".join(pieces(kind, rows, odd=draw(st.booleans()))), found


def test_a_row_over_the_limit_is_one_bad_row(fuzz: Callable[..., None], tmp_path: Path) -> None:
    def check(file: tuple[str, bytes, list[str | None]], packing: str) -> None:
        kind, content, texts = file
        path = tmp_path / f"in.{kind}{packing}"
        path.write_bytes(packed(content, packing))
        with Records([path], ReadOptions(max_row_bytes=1000)) as opened:
            records = list(opened)
        assert [record.values["text"] if record.error is None else None for record in records] == texts
        assert all(record.error is None or "larger than 1,000 bytes" in record.error.message for record in records)
        assert [record.row for record in records] == list(range(1, len(texts) + 1))

    fuzz(check, 60, mixed_files(), PACKINGS)


def is_sentence(error: InputError, name: str) -> bool:
    return name in error.message and error.message.endswith(".") and "\n" not in error.message


def row_of(record: Record, *, tabular: bool) -> dict[str, Any]:
    return Outcome(record, was_run=False, error=record.error).row(tabular=tabular)


def test_no_bad_file_ends_the_command_in_a_traceback(
    fuzz: Callable[..., None], pipe: Pipe, folder: Path, tiny_checkpoint: Path
) -> None:
    write(folder, {"echo.py": ECHO_PIPELINE})

    def check(file: BadFile, out: str) -> None:
        Path(file.name).write_bytes(file.content)
        output = Path(f"out.{out}")
        output.unlink(missing_ok=True)
        ran = pipe("run", "echo.py", "--model", tiny_checkpoint, "--input", file.name, "--output", output, "--force")
        assert ran.out == "" and ran.code in (0, 1, 3), ran.err
        assert ("\nError: " in f"\n{ran.err}") == (ran.code == 1), ran.err
        assert (f" failed -> {output}" in ran.err) == (ran.code == 3), ran.err
        assert output.exists() == (ran.code != 1)
        if ran.code != 1:
            rows = parsed(output)
            with Records([file.name]) as records:
                assert len(rows) == sum(1 for _ in records)
            assert any(row.get("error") for row in rows) == (ran.code == 3)

    fuzz(check, 40, bad_files(), st.sampled_from(OUT))
