"""Bad files, each through the command: one sentence that names the place, a hint that helps, no good row lost."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import ECHO_PIPELINE, Ran, write

pytestmark = pytest.mark.both_lines
Echo = Callable[..., Ran]

GOOD = '{"text": "a"}\n'


@pytest.fixture
def echo(folder: Path, tiny_checkpoint: Path, pipe: Callable[..., Ran]) -> Echo:
    """Run a pipeline that gives its inputs back, in an empty working directory; rows go to out.jsonl."""
    write(folder, {"echo.py": ECHO_PIPELINE})

    def run(*flags: str, output: str = "out.jsonl", stdin: str | bytes | None = None) -> Ran:
        ran = pipe("run", "echo.py", "--model", tiny_checkpoint, *flags, "--output", output, stdin=stdin)
        assert ran.out == ""
        return ran

    return run


def put(name: str, content: str | bytes) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def rows(name: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines()]


def told(ran: Ran) -> tuple[str, str]:
    """Return the sentence of an error and its hint, the last lines on stderr."""
    lines = ran.err.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("Error: "))
    assert len(lines) <= at + 2, ran.err
    return lines[at].removeprefix("Error: "), "".join(lines[at + 1 :]).removeprefix("Hint: ")


def parquet(text: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.table({"text": text}), stream)
    return stream.getvalue()


# Files of which no row can be had

# No time of day in them: pytest names cases by their bytes, and every worker of a run must find the same names.
GZIP_EMPTY, GZIP_CUT = gzip.compress(b"", mtime=0), gzip.compress(b"{}", mtime=0)[:9]


@pytest.mark.parametrize(
    ("name", "content", "sentence", "hint"),
    [
        ("in.csv", "", "in.csv is empty.", "make it again"),
        ("in.csv.gz", GZIP_EMPTY, "in.csv.gz is empty.", "make it again"),
        ("in.csv", "\n\n", "in.csv holds blank lines alone: there is no header.", ""),
        ("in.csv", "text,a,text\n1,2,3\n", "in.csv: 2 columns have the name 'text'.", "--no-header --skip 1 --columns"),
        ("in.csv", b"caf\xe9,text\n1,2\n", "in.csv, line 1: byte 0xe9 at position 4 is not UTF-8.", "latin-1"),
        ("in.csv", b"text\0\n1\n", "in.csv, line 1: it holds a NUL byte (is the file binary, or UTF-16?).", "utf-16"),
        ("in.csv", "text\ra\rb\r", "in.csv, line 1: a carriage return stands in a cell without quotes.", "tr "),
        ("in.csv", 'text,"note\na,b\n', "in.csv, line 1: a quote is opened and never closed.", "--quoting none"),
        ("in.parquet", "text\na\n", "in.parquet is not parquet: it begins with b'text'.", "--input-format"),
        ("in.parquet", b"PAR1" + bytes(90), "in.parquet is cut short: parquet's footer is missing", "again"),
        ("in.arrow", "text\na\n", "in.arrow is not Arrow: it begins with b'text\\na'.", "--input-format"),
        ("in.jsonl.gz", GZIP_CUT, "in.jsonl.gz is cut short: its gzip data ends too soon.", "again"),
        ("in.xyz", "a b c\n", "What in.xyz holds cannot be told from its name or its first bytes.", "--input-format"),
        ("in", "a b c\n", "What in holds cannot be told from its name or its first bytes.", "--input-format"),
    ],
)
def test_nothing_of_the_file_can_be_read(echo: Echo, name: str, content: str | bytes, sentence: str, hint: str) -> None:
    put(name, content)
    ran = echo("--input", name)
    assert ran.code == 1
    assert told(ran)[0].startswith(sentence) and hint in told(ran)[1], ran.err
    assert sorted(path.name for path in Path().glob("out*")) == []


def test_parquet_cut_short(echo: Echo) -> None:
    put("in.parquet", parquet(["a", "b"])[:-10])
    ran = echo("--input", "in.parquet")
    assert ran.code == 1 and told(ran)[0] == "in.parquet is cut short: parquet's footer is missing at its end."


# Rows that are bad, between rows that are good


@pytest.mark.parametrize(
    ("name", "content", "bad", "sentence", "hint"),
    [
        ("in.jsonl", f'{GOOD * 6}{{"text" "b"}}\n{GOOD}', 7, "row 7, line 7, column 9: not valid JSON", ""),
        ("in.jsonl", f'{GOOD * 2}{{"other": 1}}\n{GOOD}', 3, "row 3, line 3: the column 'text', which", "--column"),
        ("in.jsonl", f'{{"text": null}}\n{GOOD}', 1, "row 1, line 1: the column 'text', which is", "--column"),
        ("in.csv", "text,n\na,1\nb\nc,2\n", 2, "row 2, line 3: 1 cell for 2 columns.", "in quotes"),
        ("in.csv", "text,n\na,1,2\nc,2\n", 1, "row 1, line 2: 3 cells for 2 columns.", "--quoting none"),
        ("in.csv", 'text\n"a\nb"\n"c"d\ne\n', 2, "row 2, line 4: text stands between a closing", "--quoting none"),
        ("in.csv", 'text\na\n"b\nc\n', 2, "row 2, line 3: a quote is opened and never closed.", "--quoting none"),
        ("in.tsv", "text\tn\na\t1\nb\0\t2\n", 2, "row 2, line 3: it holds a NUL byte", "utf-16"),
        ("in.txt", "a\nb\0\nc\n", 2, "row 2, line 2: it holds a NUL byte", "utf-16"),
        ("in.txt", "a\n\x93b\x94\nc\n", 2, "row 2, line 2: byte 0x93 at position 1 is not UTF-8.", "cp1252"),
        ("in.csv", "text\na\ncaf\xe9\n", 2, "row 2, line 3: byte 0xe9 at position 4 is not UTF-8.", "latin-1"),
        ("in.txt", f"a\n{'b' * 201}\nc\n", 2, "row 2, line 2: the row is larger than 200 bytes.", "--max-row-bytes"),
        ("in.json", '[{"text": "a"},\n{"text" 1},\n{}]', 2, "row 2, line 2, column 9: not valid JSON", ""),
        ("in.json", '[{"text": "a"},\n{"text": "b"}', 3, "row 3, line 2, column 14: the array is never", "again"),
    ],
)
def test_a_bad_row_among_good_ones(echo: Echo, name: str, content: str, bad: int, sentence: str, hint: str) -> None:
    put(name, content.encode("latin-1"))
    flags = ["--input", name, "--max-row-bytes", "200"]
    ran = echo(*flags)
    assert ran.code == 3 and "1 failed -> out.jsonl" in ran.err, ran.err
    assert [number for number, row in enumerate(rows(), 1) if "error" in row] == [bad]
    error = rows()[bad - 1]["error"]
    assert (error["type"], error["row"], error["file"]) == ("InputError", bad, name)
    assert error["message"].startswith(f"{name}, {sentence}") and f"line {error['line']}" in sentence
    assert all(row["result"] == {"echo": row["text"]} for row in rows() if "error" not in row)

    failed = echo(*flags, "--on-error", "fail", output="strict.jsonl")
    assert failed.code == 1 and told(failed)[0] == error["message"] and hint in told(failed)[1], failed.err
    assert not Path("strict.jsonl").exists()
    assert (rows("strict.jsonl.part") if bad > 1 else []) == rows()[: bad - 1]


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst", "csv.gz", "txt.zst", "arrow"])
def test_files_cut_short_keep_the_rows_before(echo: Echo, ending: str) -> None:
    import pyarrow as pa

    texts = [random.Random(number).randbytes(100).hex() for number in range(3000)]  # zstd packs 128 KiB at once
    stream = io.BytesIO()
    if ending == "arrow":
        with pa.ipc.new_stream(stream, pa.schema({"text": pa.string()})) as writer:
            writer.write_table(pa.table({"text": texts}), max_chunksize=100)
    else:
        header, line = {"csv": ("text\n", "{}\n"), "txt": ("", "{}\n")}.get(ending[:3], ("", '{{"text": "{}"}}\n'))
        text = (header + "".join(map(line.format, texts))).encode()
        stream.write(gzip.compress(text) if ending.endswith("gz") else pa.compress(text, "zstd", asbytes=True))
    content = stream.getvalue()
    put(f"in.{ending}", content[: len(content) * 2 // 3])
    ran = echo("--input", f"in.{ending}")
    assert ran.code == 3 and "1 failed" in ran.err
    *good, last = rows()
    assert 1000 < len(good) < 3000 and [row["result"]["echo"] for row in good] == texts[: len(good)]
    assert last["error"]["row"] == len(rows())
    assert last["error"]["message"].startswith(f"in.{ending} is ")
    assert f"othing can be read from row {len(rows())}" in last["error"]["message"]


@pytest.mark.parametrize("ending", ["arrow", "arrow.gz"])
def test_a_length_that_lies(echo: Echo, ending: str) -> None:
    import pyarrow as pa

    table, stream = pa.table({"text": ["a" * 1070, "b"]}), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    content = stream.getvalue()
    (size,) = {message.body.size for message in pa.ipc.MessageReader.open_stream(content) if message.body}
    content = content.replace(size.to_bytes(8, "little"), (2**62).to_bytes(8, "little"))
    put(f"in.{ending}", gzip.compress(content) if ending.endswith("gz") else content)
    ran = echo("--input", f"in.{ending}")
    assert ran.code == 3 and [row["error"]["row"] for row in rows()] == [1]
    assert rows()[0]["error"]["message"].startswith(f"in.{ending} is damaged: nothing can be read from row 1 on")


def test_a_second_file_that_is_bad_is_one_bad_row(echo: Echo) -> None:
    put("a.csv", "text\none\n")
    put("b.csv", "text,text\ntwo,2\n")
    put("c.csv", "text\nthree\n")
    ran = echo("--input", "a.csv", "--input", "b.csv", "--input", "c.csv")
    assert ran.code == 3 and [row["result"] and row["result"]["echo"] for row in rows()] == ["one", None, "three"]
    assert rows()[1]["error"]["message"] == "b.csv: 2 columns have the name 'text'."


def test_a_first_file_that_is_bad_is_one_bad_row(echo: Echo) -> None:
    put("cut.parquet", parquet(["a", "b"])[:-10])
    put("cut.csv.gz", gzip.compress(b"")[:-9])
    put("good.csv", "id,text\n1,one\n")
    put("more.csv", "id,text\n2,two\n")
    names = ["cut.parquet", "cut.csv.gz", "good.csv", "cut.parquet", "more.csv"]
    ran = echo(*(flag for name in names for flag in ("--input", name)))
    assert ran.code == 3 and "5 rows in" in ran.err and "3 failed" in ran.err
    assert [row["result"] and row["result"]["echo"] for row in rows()] == [None, None, "one", None, "two"]
    assert [row["error"]["file"] for row in rows() if "error" in row] == ["cut.parquet", "cut.csv.gz", "cut.parquet"]
    assert rows()[0]["error"]["message"] == "cut.parquet is cut short: parquet's footer is missing at its end."

    ran = echo("--input", "cut.parquet", "--input", "cut.csv.gz", output="none.jsonl")
    assert ran.code == 1 and told(ran)[0].startswith("cut.parquet is cut short")
    ran = echo("--input", "cut.parquet", "--input", "good.csv", "--on-error", "fail", output="none.jsonl")
    assert ran.code == 1 and told(ran)[0].startswith("cut.parquet is cut short")
    put("empty.csv", "")
    for name in ("empty.csv", "missing.csv"):
        ran = echo("--input", "good.csv", "--input", name, output="none.jsonl")
        assert ran.code == 1 and name in told(ran)[0]
    assert list(Path().glob("none*")) == []


def test_a_row_over_the_limit_makes_up_no_rows(echo: Echo) -> None:
    put("in.csv", 'id,text\n1,a\n2,"%s"\n3,c\n' % ("y,y\n" * 75_000))
    put("in.json", json.dumps([{"text": "a"}, {"text": "y" * 300_000}, {"text": "c"}]))
    for name in ("in.csv", "in.json"):
        ran = echo("--input", name, "--max-row-bytes", "1000", "--force")
        assert ran.code == 3 and "3 rows in" in ran.err
        assert [row["result"] and row["result"]["echo"] for row in rows()] == ["a", None, "c"]
        assert "the row is larger than 1,000 bytes." in rows()[1]["error"]["message"]


def test_columns_that_change_their_type(echo: Echo) -> None:
    import pyarrow.parquet as pq

    put("in.jsonl", '{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n{"text": "c", "n": [1.5]}\n{"text": "d"}\n')
    assert echo("--input", "in.jsonl", output="out.parquet").code == 0
    table = pq.read_table("out.parquet")
    assert table["n"].to_pylist() == ["1", '"x"', "[1.5]", None]
    assert table["text"].to_pylist() == ["a", "b", "c", "d"]


# Hints that are followed


@pytest.mark.parametrize(
    ("name", "content", "flags", "texts"),
    [
        ("in.csv", "text\ncafé\n".encode("latin-1"), ["--encoding", "latin-1"], ["café"]),
        ("in.txt", "“a”\n".encode("cp1252"), ["--encoding", "cp1252"], ["“a”"]),
        ("in.txt", "a\nb".encode("utf-16-le"), ["--encoding", "utf-16"], ["a", "b"]),
        ("in.csv", 'text,n\n"a,1\n5"b",2\n', ["--quoting", "none"], ['"a', '5"b"']),
        ("in.csv", "text,a,text\n1,2,3\n", ["--no-header", "--skip", "1", "--columns", "text,a,b"], ["1"]),
        ("in.csv", "id;text\n1,5;a\n", ["--delimiter", ";"], ["a"]),
        ("in.json", '["a"]\n["b"]\n', ["--input-format", "jsonl"], [["a"], ["b"]]),
        ("in.parquet", "text\na\n", ["--input-format", "csv"], ["a"]),
        ("in.txt", "a" * 60, ["--max-row-bytes", "60"], ["a" * 60]),
    ],
)
def test_hints_mend(echo: Echo, name: str, content: str | bytes, flags: list[str], texts: list[Any]) -> None:
    put(name, content)
    ran = echo("--input", name, *flags)
    assert ran.code == 0 and [row["result"]["echo"] for row in rows()] == texts, ran.err


# What was asked for does not exist, or does not fit together


@pytest.mark.parametrize(
    ("flags", "code", "sentence", "hint"),
    [
        (["--input", "pair.csv"], 1, "There is no file pair.csv.", "Did you mean pairs.csv?"),
        (["--input", "no/pairs.csv"], 1, "no/pairs.csv cannot be read: there is no folder no.", ""),
        (["--input", "*.tsv"], 1, "No file matches *.tsv.", "relative to this folder"),
        (["--input", "notes"], 1, "notes is a folder, and no file in it is in a format that can be read.", ".csv"),
        (["--input", "blank"], 1, "blank: every file is empty.", ""),
        (["--input", "https://example.com/a.csv"], 1, "https://example.com/a.csv is no file here.", "Download it"),
        (["--input", "pairs.csv", "--input-format", "cvs"], 2, "There is no input format 'cvs'.", "csv"),
        (["--input", "pairs.csv", "--encoding", "latin-l"], 1, "There is no encoding 'latin-l'.", "latin-1"),
        (["--input", "pairs.csv", "--delimiter", ";;"], 2, "--delimiter ';;' is not one character.", "';'"),
        (["--input", "pairs.csv", "--columns", "a"], 1, "pairs.csv: its first line names the columns", "--no-header"),
        (["--input", "pairs.csv", "--no-header", "--columns", "a,a"], 1, "pairs.csv: 2 columns have the name 'a'.", ""),
        (["--input", "pairs.csv", "hello"], 2, "Inputs come from the command line ('hello') or from --input", "Leave"),
        (["--input", "pairs.csv", "--split", "test"], 2, "--split is of a data set", ""),
        (["--split", "test", "hello"], 2, "--split is of a data set", ""),
        (["--column", "text=a", "hello"], 2, "--column maps columns of a file", ""),
        (["--input", "user/name"], 1, "user/name cannot be read: there is no folder user.", "--split"),
        (["--input", "notes/name"], 1, "There is no file notes/name.", "hf://datasets/notes/name"),
        (["--input", "empty.csv"], 1, "empty.csv is empty.", ""),
    ],
)
def test_inputs_that_cannot_be(echo: Echo, flags: list[str], code: int, sentence: str, hint: str) -> None:
    write(Path(), {"pairs.csv": "text,note\na,1\n", "notes/a.xyz": "?", "blank/a.csv": "", "empty.csv": ""})
    ran = echo(*flags, stdin="some,words\n1,2\n")
    assert ran.code == code and told(ran)[0].startswith(sentence) and hint in told(ran)[1], ran.err
    assert sorted(path.name for path in Path().glob("out*")) == []


def test_stdin_with_nothing_in_it(echo: Echo) -> None:
    ran = echo("--input-format", "csv", stdin="")
    assert ran.code == 1 and told(ran)[0].startswith("stdin is empty")


@pytest.mark.parametrize(
    ("flags", "output", "sentence", "hint"),
    [
        ([], "in.csv/out.jsonl", "in.csv/out.jsonl cannot be written: Not a directory.", "write elsewhere"),
        ([], "/proc/out.jsonl", "/proc/out.jsonl cannot be written: ", "write elsewhere"),
        ([], "out.jsn", "out.jsn: the ending .jsn says no format that results are written in.", ".json"),
        ([], "out.gz", "out.gz: the ending (none) says no format that results are written in.", ".jsonl"),
        (["--flatten"], "out.csv", "in.csv has a column 'result.echo'", "--no-keep"),
    ],
)
def test_outputs_that_cannot_be(echo: Echo, flags: list[str], output: str, sentence: str, hint: str) -> None:
    put("in.csv", "text,result.echo\na,b\n")
    ran = echo("--input", "in.csv", *flags, output=output)
    assert ran.code == 1 and told(ran)[0].startswith(sentence) and hint in told(ran)[1], ran.err
    assert sorted(path.name for path in Path().glob("out*")) == []
