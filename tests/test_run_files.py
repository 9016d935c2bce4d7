"""`pipe run --input --output`: rows of files in, the same rows with results out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import ECHO_PIPELINE, Ran, write

from pipesmith.pipelines.records import Format, OutputFile
from pipesmith.pipelines.records.formats import csv as formats_csv
from pipesmith.pipelines.records.formats import formats

pytestmark = pytest.mark.both_lines
Pipe = Callable[..., Ran]
Rows = list[dict[str, Any]]


@pytest.fixture
def echo(folder: Path, tiny_checkpoint: Path) -> list[str]:
    """A working directory with a pipeline that costs nothing, and the command that runs it."""
    write(folder, {"echo.py": ECHO_PIPELINE})
    return ["run", "echo.py", "--model", str(tiny_checkpoint)]


def some_rows(count: int = 50) -> Rows:
    """Rows of text with what breaks naive readers: newlines, quotes, separators, unicode, nothing."""
    odd = [
        "a\nb",
        "c\r\nd",
        'say "hi"',
        "semi;colon, comma\ttab",
        "naïve 東京 🎉",
        "'",
        "",
        "  spaces  ",
        "\u2028line",
        "007",
    ]
    return [
        {"id": f"r{number}", "text": odd[number % len(odd)] + "x", "note": odd[number % 7]} for number in range(count)
    ]


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows in the format of a file's ending, with the libraries that people use."""
    kind = next(part for part in path.suffixes[::-1] if part not in (".gz", ".zst"))
    stream = io.BytesIO()
    text = io.StringIO(newline="")
    if kind in (".csv", ".tsv"):
        writer = csv.DictWriter(text, list(rows[0]), delimiter="," if kind == ".csv" else "\t")
        writer.writeheader()
        writer.writerows(rows)
    elif kind == ".jsonl":
        text.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    elif kind == ".json":
        text.write(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(rows)
        if kind == ".parquet":
            pq.write_table(table, stream)
        else:
            with pa.ipc.new_file(stream, table.schema) as file:
                file.write_table(table)
    data = stream.getvalue() or text.getvalue().encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        import pyarrow as pa

        data = pa.Codec("zstd").compress(data, asbytes=True)
    path.write_bytes(data)


def read_rows(path: Path) -> Rows:
    """Read rows of results with the libraries that people use; nested values of csv are parsed."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]
    text = path.read_bytes().decode()  # without a change to the ends of lines
    if path.suffix == ".json":
        return json.loads(text)  # type: ignore[no-any-return]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in rows:
        row["result"] = json.loads(row["result"]) if row["result"] else None
        row["error"] = json.loads(row["error"]) if row["error"] else None
    return rows


IN = ["csv", "tsv", "json", "jsonl", "parquet", "arrow"]
OUT = ["jsonl", "json", "csv", "parquet"]


@pytest.mark.parametrize("ending", [*IN, "csv.gz", "jsonl.zst", "json.gz", "parquet.zst"])
def test_every_format_to_every_format(pipe: Pipe, echo: list[str], ending: str) -> None:
    rows = some_rows()
    write_rows(Path(f"in.{ending}"), rows)
    for out in OUT:
        ran = pipe(*echo, "--input", f"in.{ending}", "--output", f"out.{out}")
        assert ran.code == 0, ran.err
        assert ran.out == ""
        found = read_rows(Path(f"out.{out}"))
        assert [{key: row[key] for key in ("id", "text", "note")} for row in found] == rows
        assert [row["result"] for row in found] == [{"echo": row["text"]} for row in rows]
        assert [row.get("error") for row in found] == [None] * len(rows)
        assert list(found[0])[:4] == ["id", "text", "note", "result"]
        assert not list(Path().glob("*.part*"))


def test_lines_of_text(pipe: Pipe, echo: list[str]) -> None:
    Path("in.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo words\r\n\r\nlast \xe6\x9d\xb1")
    for out in OUT:
        assert pipe(*echo, "--input", "in.txt", "--output", f"out.{out}").code == 0
        found = [(row["text"], row["result"]["echo"]) for row in read_rows(Path(f"out.{out}"))]
        assert found == [(text, text) for text in ("one", "two words", "", "last 東")]


def test_rows_on_stdout(pipe: Pipe, echo: list[str]) -> None:
    rows = [row for row in some_rows(5) if "\r" not in row["text"]]  # the runner of these tests drops it
    write_rows(Path("in.csv"), rows)
    ran = pipe(*echo, "--input", "in.csv", "--no-keep")
    assert ran.rows == [{"result": {"echo": row["text"]}} for row in rows]
    ran = pipe(*echo, "--input", "in.csv", "--format", "csv", "--flatten")
    assert [row["result.echo"] for row in csv.DictReader(io.StringIO(ran.out, newline=""))] == [
        row["text"] for row in rows
    ]
    assert "input = text" in ran.err  # the choice is shown
    assert json.loads(pipe(*echo, "--input", "in.csv", "--format", "json").out)[1]["id"] == "r2"
    assert "ax" not in pipe(*echo, "--input", "in.csv", "--format", "quiet", "--quiet").err


def test_stdin_in_a_format(pipe: Pipe, echo: list[str]) -> None:
    lines = '{"text": "a", "n": 1}\n{"text": "b", "n": 2}\n'
    assert pipe(*echo, "--input-format", "jsonl", stdin=lines).rows == [{"echo": "a"}, {"echo": "b"}]
    ran = pipe(*echo, "--input", "-", "--input-format", "jsonl", stdin=lines)
    assert ran.rows == [
        {"text": "a", "n": 1, "result": {"echo": "a"}},
        {"text": "b", "n": 2, "result": {"echo": "b"}},
    ]
    ran = pipe(*echo, "--input", "-", "--input-format", "csv", "--no-header", stdin="a\nb\n")
    assert [row["result"]["echo"] for row in ran.rows] == ["a", "b"]


def test_stdin_without_a_format(pipe: Pipe, echo: list[str]) -> None:
    for content in ("a\nb, c\n", '{"text": "a"}\n{"text": "b, c"}\n', '[{"text": "a"},\n{"text": "b, c"}]'):
        ran = pipe(*echo, "--input", "-", stdin=content)
        assert [row["result"]["echo"] for row in ran.rows] == ["a", "b, c"], ran.err
    ran = pipe(*echo, "--input", "-", stdin="a\0b")
    assert ran.code == 1 and "What stdin holds cannot be told" in ran.err and "--input-format" in ran.err


@pytest.mark.parametrize("pad", [0, 5000])
@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("in.csv", '{"text": "a"}', ["a"]),
        ("in.tsv", '\n{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        ("in.jsonl", '[{"text": "a"}, {"text": "b"}]', ["a", "b"]),
        ("in.jsonl", '[\n  {"text": "a"},\n  {"text": "b"}\n]\n', ["a", "b"]),
        ("in.ndjson", '[{"text": "a"},\n{"text": "b"}]', ["a", "b"]),
        ("in.json", '{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
    ],
)
def test_content_wins_over_the_name(
    pipe: Pipe, echo: list[str], name: str, content: str, texts: list[str], pad: int
) -> None:
    Path(name).write_text(content.replace('"a"', f'"a", "pad": "{"x" * pad}"'))
    ran = pipe(*echo, "--input", name)
    assert ran.code == 0 and [row["result"]["echo"] for row in ran.rows] == texts, ran.err


@pytest.mark.parametrize(
    ("name", "content", "flags", "inputs"),
    [
        ("in.csv", "{id},{text}\n1,a\n", ["--column", "text={text}"], ["a"]),
        ("in.csv", '"{""id"": 1}",text\n1,a\n', [], ["a"]),
        ("in.csv", '{"id": 1},text\n1,a\n', [], ["a"]),
        ("in.csv", "[id],[text]\n1,a\n", ["--column", "text=[text]"], ["a"]),
        ("in.csv", '{"text": "a"}\n{"text": "b"}\n', ["--no-header"], ['{"text": "a"}', '{"text": "b"}']),
        ("in.csv", '{"text": "a"}\nb\n', ["--input-format", "csv", "--column", 'text={"text": "a"}'], ["b"]),
        ("in.txt", '{"text": "a"}\n', [], ['{"text": "a"}']),
        ("in.jsonl", '["a"]\n["b", "b"]\n', [], [["a"], ["b", "b"]]),
        ("in.jsonl", f'["{"a" * 5000}"]\n["b"]\n', [], [["a" * 5000], ["b"]]),
        ("in.jsonl", '["a"]\n', ["--input-format", "jsonl"], [["a"]]),
    ],
)
def test_the_name_is_right(
    pipe: Pipe, echo: list[str], name: str, content: str, flags: list[str], inputs: list[Any]
) -> None:
    Path(name).write_text(content)
    Path(f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    for file in (name, f"{name}.gz"):
        ran = pipe(*echo, "--input", file, *flags)
        assert ran.code == 0 and [row["result"]["echo"] for row in ran.rows] == inputs, ran.err


def test_files_that_are_left_out_are_counted(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"data/a.csv": "text\none\n", "data/b.csv": "", "data/readme": "?"})
    ran = pipe(*echo, "--input", "data")
    assert "1 of 3 files is in another format" in ran.err and "1 empty file is left out, data/b.csv." in ran.err
    write(Path(), {"data/c.csv": "", "data/license": "?"})
    ran = pipe(*echo, "--input", "data")
    assert "2 of 5 files are in another" in ran.err and "2 empty files are left out, data/b.csv first." in ran.err


def test_several_files_and_folders(pipe: Pipe, echo: list[str]) -> None:
    write(
        Path(),
        {"data/a.csv": "text\none\n", "data/b.jsonl": '{"text": "two"}\n', "data/readme": "?", "c.txt": "three\n"},
    )
    ran = pipe(*echo, "--input", "data", "--input", "c*.txt")
    assert [row["result"]["echo"] for row in ran.rows] == ["one", "two", "three"]
    assert "left out" in ran.err


def test_part_of_the_rows(pipe: Pipe, echo: list[str]) -> None:
    Path("in.txt").write_text("".join(f"{number}\n" for number in range(100)))

    def chosen(*flags: str) -> list[int]:
        return [int(row["text"]) for row in pipe(*echo, "--input", "in.txt", *flags).rows]

    assert chosen("--skip", "10", "--limit", "3") == [10, 11, 12]
    assert chosen("--limit", "0") == []
    drawn = chosen("--sample", "20", "--seed", "1")
    assert len(drawn) == 20 and drawn == sorted(set(drawn))
    assert drawn == chosen("--sample", "20", "--seed", "1") != chosen("--sample", "20", "--seed", "2")
    assert chosen("--skip", "98", "--sample", "20") == [98, 99]


# Columns


def test_columns_to_input_and_parameters(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.csv": "a,b,times,c\nx,y,2,z\nx,,,z\n"})
    ran = pipe(*echo, "--input", "in.csv", "--column", "text=a", "--column", "second_text=b", "--no-keep")
    assert [row["result"] for row in ran.rows] == [{"echo": "xx", "second": "y"}, {"echo": "x"}]
    assert "input = a, times = times, second_text = b" in ran.err
    ran = pipe(*echo, "--input", "in.csv", "--column", "input=a", "--column", "times=", "--no-keep")
    assert ran.rows[0]["result"] == {"echo": "x"}
    ran = pipe(*echo, "--input", "in.csv", "--column", "input=a", "--times", "3", "--no-keep")
    assert ran.rows[0]["result"] == {"echo": "xxx"}  # a flag is meant, a column of its name may not be


def test_pairs_need_no_mapping(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.tsv": "label\tsentence1\tsentence2\n1\ta\tb\n"})
    assert pipe(*echo, "--input", "in.tsv").rows[0]["result"] == {"echo": "a", "second": "b"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--column", "text=txet"], ["no column 'txet'", "text"]),
        (["--column", "tims=text"], ["no parameter tims", "times"]),
        (["--column", "text"], ["NAME=COLUMN"]),
        (["--column", "text=text", "--column", "text=id"], ["twice"]),
        (["--column", "input=text", "--column", "input.a=id"], ["both"]),
    ],
)
def test_wrong_mappings(pipe: Pipe, echo: list[str], flags: list[str], words: list[str]) -> None:
    write(Path(), {"in.csv": "id,text\n1,a\n"})
    ran = pipe(*echo, "--input", "in.csv", *flags)
    assert ran.code in (1, 2) and all(word in ran.err for word in words), ran.err


def test_no_column_is_the_input(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.csv": "alpha,beta\n1,a\n"})
    ran = pipe(*echo, "--input", "in.csv")
    assert ran.code == 1 and "alpha, beta" in ran.err and "--column input=" in ran.err


def test_a_row_that_is_a_dict(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    source = ECHO_PIPELINE.replace("def preprocess(self, text, second_text=None)", "def preprocess(self, row: dict)")
    source = source.replace('{"text": text, "second_text": second_text}', '{"text": repr(row), "second_text": None}')
    write(folder, {"echo.py": source, "in.jsonl": '{"question": "q", "context": "c", "id": 1, "times": null}\n'})
    run = ["run", "echo.py", "--model", str(tiny_checkpoint), "--input", "in.jsonl", "--no-keep"]
    assert pipe(*run).rows[0]["result"]["echo"] == "{'question': 'q', 'context': 'c', 'id': 1}"
    keyed = pipe(*run, "--column", "input.q=question", "--column", "row.c=context")
    assert keyed.rows[0]["result"]["echo"] == "{'q': 'q', 'c': 'c'}"


def test_a_cell_of_the_wrong_type(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.csv": "text,times\na,2\nb,many\nc,1\n"})
    ran = pipe(*echo, "--input", "in.csv")
    assert ran.code == 3
    assert [row["result"] and row["result"]["echo"] for row in ran.rows] == ["aa", None, "c"]
    error = ran.rows[1]["error"]
    assert error["row"] == 2 and error["file"] == "in.csv" and error["line"] == 3 and error["type"] == "InputError"
    assert "'many'" in error["message"] and "times" in error["message"]


def test_chat_messages_are_no_chat(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.jsonl": '{"role": "user", "content": "hi"}\n{"role": "user", "content": "ho"}\n'})
    ran = pipe(*echo, "--input", "in.jsonl", "--no-keep")
    assert [row["result"]["echo"] for row in ran.rows] == ["hi", "ho"]


# Rows that fail


def failing(count: int = 5) -> Rows:
    return [{"text": "bad" if number == 2 else f"good {number}"} for number in range(1, count + 1)]


@pytest.mark.parametrize("out", OUT)
def test_errors_in_the_place_of_rows(pipe: Pipe, echo: list[str], out: str) -> None:
    write_rows(Path("in.jsonl"), failing())
    ran = pipe(*echo, "--input", "in.jsonl", "--output", f"out.{out}", "--fail", "bad")
    assert ran.code == 3 and "1 failed" in ran.err
    found = read_rows(Path(f"out.{out}"))
    assert [row["text"] for row in found] == [row["text"] for row in failing()]
    assert [row["result"] is None for row in found] == [False, True, False, False, False]
    error = found[1]["error"]
    assert (error["type"], error["row"], error["file"], error["line"]) == ("ValueError", 2, "in.jsonl", 2)
    assert "this text holds bad" in error["message"] and "echo.py" in error["message"]
    has_error = ["error" in row for row in found]
    assert has_error == ([False, True, False, False, False] if out in ("json", "jsonl") else [True] * 5)


def test_rows_left_out(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.jsonl"), failing())
    ran = pipe(*echo, "--input", "in.jsonl", "--on-error", "skip", "--fail", "bad")
    assert ran.code == 3 and [row["text"] for row in ran.rows] == ["good 1", "good 3", "good 4", "good 5"]


def test_the_first_failure_ends_the_run(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.jsonl"), failing())
    ran = pipe(*echo, "--input", "in.jsonl", "--output", "out.csv", "--on-error", "fail", "--fail", "bad")
    assert ran.code == 1 and "in.jsonl, row 2, line 2" in ran.err and "this text holds bad" in ran.err
    assert "out.csv.part" in ran.err and not Path("out.csv").exists()
    assert Path("out.csv.part").read_text().splitlines()[1].startswith("good 1,")


def test_stdin_fails_unless_told(pipe: Pipe, echo: list[str]) -> None:
    ran = pipe(*echo, "--fail", "bad", stdin="good\nbad\nfine\n")
    assert ran.code == 1 and ran.rows == [{"echo": "good"}]
    ran = pipe(*echo, "--fail", "bad", "--on-error", "record", stdin="good\nbad\nfine\n")
    assert ran.code == 3 and ran.rows[1]["error"]["row"] == 2 and ran.rows[2] == {"echo": "fine"}


def test_too_many_failures(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.jsonl"), [{"text": "good"}, *([{"text": "bad"}] * 4)])
    ran = pipe(*echo, "--input", "in.jsonl", "--fail", "bad", "--max-errors", "2")
    assert ran.code == 1 and "--max-errors 2" in ran.err and len(ran.rows) == 4


def test_a_wrong_set_up_is_not_a_wrong_row(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.jsonl"), [{"text": f"bad {number}"} for number in range(100)])
    ran = pipe(*echo, "--input", "in.jsonl", "--fail", "bad")
    assert ran.code == 1 and len(ran.rows) == 20 and "first 20 rows all fail alike" in ran.err
    write_rows(Path("in.jsonl"), [{"text": f"bad {number}"} for number in range(19)])
    assert pipe(*echo, "--input", "in.jsonl", "--fail", "bad").code == 3


def test_a_row_that_takes_too_long(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    source = ECHO_PIPELINE.replace(
        "        return inputs", "        time.sleep(60 if inputs['text'] == 'slow' else 0)\n        return inputs"
    )
    write(folder, {"echo.py": "import time\n" + source.lstrip(), "in.txt": "a\nslow\nb\n"})
    ran = pipe("run", "echo.py", "--model", str(tiny_checkpoint), "--input", "in.txt", "--row-timeout", "0.3")
    assert ran.code == 3 and [bool(row["result"]) for row in ran.rows] == [True, False, True]
    assert "0.3 s." in ran.rows[1]["error"]["message"]


# Where results go


def test_an_existing_file_stays(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.txt": "a\n", "out.jsonl": "mine\n"})
    ran = pipe(*echo, "--input", "in.txt", "--output", "out.jsonl")
    assert ran.code == 1 and "--force" in ran.err and Path("out.jsonl").read_text() == "mine\n"
    assert pipe(*echo, "--input", "in.txt", "--output", "out.jsonl", "--force").code == 0
    assert json.loads(Path("out.jsonl").read_text())["text"] == "a"
    Path("out2.jsonl.part").write_text("half\n")
    ran = pipe(*echo, "--input", "in.txt", "--output", "out2.jsonl")
    assert ran.code == 1 and "out2.jsonl.part" in ran.err and Path("out2.jsonl.part").read_text() == "half\n"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_the_input_is_never_the_output(pipe: Pipe, echo: list[str], force: list[str]) -> None:
    write(Path(), {"in.csv": "text\na\n"})
    ran = pipe(*echo, "--input", "in.csv", "--output", "./in.csv", *force)
    assert ran.code == 1 and Path("in.csv").read_text() == "text\na\n"


def test_names_that_the_output_needs(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.csv": "text,result\na,b\n", "in.jsonl": '{"text": "a"}\n{"text": "b", "error": 1}\n'})
    for name, code in (("in.csv", 1), ("in.jsonl", 3)):
        ran = pipe(*echo, "--input", name, "--output", "out.jsonl")
        assert ran.code == code and "--no-keep" in ran.err, ran.err
    assert pipe(*echo, "--input", "in.csv", "--no-keep").code == 0


@pytest.mark.parametrize("out", OUT)
def test_zero_rows(pipe: Pipe, echo: list[str], out: str) -> None:
    write(Path(), {"in.csv": "id,text\n", "in.json": "[]\n"})
    for name in ("in.csv", "in.json"):
        ran = pipe(*echo, "--input", name, "--output", f"{name}.{out}")
        assert ran.code == 0 and f"{name} has no rows" in ran.err, ran.err
        assert read_rows(Path(f"{name}.{out}")) == []
    header = Path("in.csv.csv").read_text().strip() if out == "csv" else "id,text,result,error"
    assert header == "id,text,result,error"


def test_rows_with_other_columns_later(pipe: Pipe, echo: list[str]) -> None:
    rows = [{"text": "a"}, {"text": "b", "extra": "e"}, {"extra": "f", "text": "c", "more": [1]}]
    write_rows(Path("in.jsonl"), rows)
    for out in OUT:
        assert pipe(*echo, "--input", "in.jsonl", "--output", f"out.{out}").code == 0
        found = read_rows(Path(f"out.{out}"))
        assert [row["text"] for row in found] == ["a", "b", "c"]
        assert [row.get("extra") or None for row in found] == [None, "e", "f"]


def test_flattened(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.csv": "text,second_text\na,\nb,c\n"})
    for out in OUT:
        assert pipe(*echo, "--input", "in.csv", "--flatten", "--output", f"out.{out}").code == 0
    assert Path("out.csv").read_text() == "text,second_text,result.echo,result.second,error\na,,a,,\nb,c,b,c,\n"
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == [
        {"text": "a", "second_text": "", "result.echo": "a"},
        {"text": "b", "second_text": "c", "result.echo": "b", "result.second": "c"},
    ]
    assert read_rows(Path("out.parquet"))[0]["result.second"] is None


def test_compressed_output(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.csv"), some_rows(5))
    assert pipe(*echo, "--input", "in.csv", "--output", "out.csv.gz").code == 0
    text = gzip.decompress(Path("out.csv.gz").read_bytes()).decode()
    assert [row["text"] for row in csv.DictReader(io.StringIO(text, newline=""))] == [
        row["text"] for row in some_rows(5)
    ]


@pytest.mark.parametrize(
    ("output", "words"),
    [("out.xls", ["ending .xls"]), ("nowhere/out.csv", ["nowhere"]), (".", ["folder"]), ("out", ["(none)", ".jsonl"])],
)
def test_outputs_that_cannot_be(pipe: Pipe, echo: list[str], output: str, words: list[str]) -> None:
    write(Path(), {"in.txt": "a\n"})
    ran = pipe(*echo, "--input", "in.txt", "--output", output)
    assert ran.code == 1 and all(word in ran.err for word in words), ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.txt": "a\n"})
    ran = pipe(*echo, "--input", "in.txt", "--output", "/dev/full", "--format", "jsonl")
    assert ran.code == 1 and "No space left" in ran.err and "Traceback" not in ran.err


def test_a_disk_that_fills_leaves_whole_rows(echo: list[str]) -> None:
    """A limit to the size of files fails writes as a full disk does, in the middle of a row."""
    import resource

    write(Path(), {"in.txt": "".join(f"{number:0100}\n" for number in range(100))})
    command = [str(Path(sys.executable).with_name("pipe")), *echo, "--input", "in.txt", "--output", "out.jsonl"]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert ran.returncode == 1 and "out.jsonl cannot be written" in ran.stderr and "Traceback" not in ran.stderr
    lines = Path("out.jsonl.part").read_text().split("\n")
    assert lines.pop() == "" and len(lines) > 10
    assert [int(json.loads(line)["text"]) for line in lines] == list(range(len(lines)))


# As it goes


def test_the_first_result_is_there_before_the_last_row(echo: list[str]) -> None:
    command = [str(Path(sys.executable).with_name("pipe")), *echo, "--input-format", "jsonl", "--output", "out.csv"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin
        process.stdin.write('{"text": "first"}\n')
        process.stdin.flush()
        part = Path("out.csv.part")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (part.exists() and "first" in part.read_text()):
            time.sleep(0.05)
        assert "first" in part.read_text()
        process.stdin.write('{"text": "last"}\n')
        process.stdin.close()
    assert process.returncode == 0 and [row["text"] for row in read_rows(Path("out.csv"))] == ["first", "last"]


def test_progress_in_lines(echo: list[str], pipe_process: Pipe) -> None:
    source = ECHO_PIPELINE.replace('        return {"text"', '        time.sleep(0.3)\n        return {"text"')
    write(Path(), {"echo.py": "import time\n" + source.lstrip(), "in.txt": "a\n" * 8})
    ran = pipe_process(*echo, "--input", "in.txt", "--output", "out.jsonl")
    assert " left" in ran.err and "rows/s" in ran.err and "8 rows in" in ran.err and "out.jsonl" in ran.err
    ran = pipe_process(*echo, "--input", "in.txt", "--output", "out.jsonl", "--force", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif("PIPESMITH_MRPC" not in os.environ, reason="PIPESMITH_MRPC names no folder with MRPC")
def test_mrpc_gives_the_accuracy_of_the_card(pipe_process: Pipe, folder: Path) -> None:
    import pyarrow.parquet as pq

    test = Path(os.environ["PIPESMITH_MRPC"]) / "msr_paraphrase_test.txt"
    columns = ["--column", "text=#1 String", "--column", "second_text=#2 String"]
    reading = ["--input", test, "--input-format", "tsv", "--quoting", "none"]
    ran = pipe_process("run", "pair-classification", *reading, *columns, "--output", "out.parquet")
    assert ran.code == 0, ran.err
    rows = pq.read_table("out.parquet").to_pylist()
    assert len(rows) == 1725 and list(rows[0])[:5] == ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    right = sum((row["result"]["label"] == "equivalent") == (row["Quality"] == "1") for row in rows)
    assert round(right / 1725, 4) == 0.8214


# What a review found


def test_what_is_written_is_never_read(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"data/a.jsonl": '{"text": "a"}\n', "data/out.json.part.jsonl": '{"text": "old"}\n'})
    for _ in range(2):
        ran = pipe(*echo, "--input", "data/*.json*", "--output", "data/out.csv", "--force")
        assert ran.code == 0 and "1 row in" in ran.err, ran.err
    ran = pipe(*echo, "--input", "data", "--output", "data/out.json", "--force")
    assert ran.code == 3 and "2 rows in" in ran.err and "column 'result'" in ran.err  # out.csv is an input by now
    assert [row["text"] for row in json.loads(Path("data/out.json").read_text())] == ["a", "a"]
    write(Path(), {"b.jsonl.part": '{"text": "b"}\n'})
    ran = pipe(*echo, "--input", "b.jsonl.part", "--input-format", "jsonl", "--output", "b.jsonl", "--force")
    assert ran.code == 1 and "is the input" in ran.err and Path("b.jsonl.part").exists()


def test_no_partial_file_is_written_over(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.csv": "text\na\n", "out.csv.part": "precious\n"})
    for flags in ([], ["--flatten"]):
        ran = pipe(*echo, "--input", "in.csv", "--output", "out.csv", *flags)
        assert ran.code == 1 and "out.csv.part" in ran.err
    assert Path("out.csv.part").read_text() == "precious\n"


def test_a_format_that_is_only_written_row_by_row(pipe: Pipe, echo: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bars = Format(
        "bars",
        (".bars",),
        partial(formats_csv.read, delimiter="|"),
        sink=partial(formats_csv.CsvSink, delimiter="|"),
        tabular=True,
    )
    monkeypatch.setitem(formats(), "bars", bars)
    with OutputFile("rows.bars") as output:
        output.write({"a": "1"})
        assert Path("rows.bars.part").read_text() == "a\n1\n"
        output.write({"b": "2"})  # the header is written again
    assert Path("rows.bars").read_text() == "a|b\n1|\n|2\n"

    write_rows(Path("in.jsonl"), [{"text": "a"}, {"text": "b", "note": "n"}])
    assert pipe(*echo, "--input", "in.jsonl", "--output", "out.bars.gz").code == 0
    text = gzip.decompress(Path("out.bars.gz").read_bytes()).decode()
    assert [row["note"] for row in csv.DictReader(io.StringIO(text), delimiter="|")] == ["", "n"]
    assert pipe(*echo, "--input", "in.jsonl", "--output", "out.bars", "--flatten").code == 0
    assert Path("out.bars").read_text().splitlines()[0] == "text|result.echo|note|error"

    Path("out.bars").rename("out.bars.part")
    for flags, hint in (([], "--force starts again."), (["--resume"], "Leave --resume out; --force starts again.")):
        ran = pipe(*echo, "--input", "in.jsonl", "--output", "out.bars", *flags)
        assert ran.code == 1 and f"Hint: {hint}" in ran.err
    assert "an unfinished file of bars cannot be gone on with" in ran.err and Path("out.bars.part").exists()


def test_a_link_is_written_through(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.txt": "a\n", "elsewhere/old.jsonl": "old\n"})
    Path("link.jsonl").symlink_to("elsewhere/old.jsonl")
    assert pipe(*echo, "--input", "in.txt", "--output", "link.jsonl", "--force").code == 0
    assert Path("link.jsonl").is_symlink() and "echo" in Path("elsewhere/old.jsonl").read_text()
    assert not list(Path().glob("**/*.part*"))


def test_labels_in_one_cell(pipe: Pipe, folder: Path) -> None:
    write(folder, {"in.csv": 'text,candidate_labels\na,"cat,dog"\nb,"[""red"", ""blue, green""]"\n'})
    ran = pipe("run", "zero-shot-classification", "--model", "tiny", "--input", "in.csv", "--no-keep")
    assert [sorted(row["result"]["labels"]) for row in ran.rows] == [["cat", "dog"], ["blue, green", "red"]]


def test_columns_that_come_late(pipe: Pipe, echo: list[str]) -> None:
    rows = [{"id": 1}, *({"text": f"t{number}"} for number in range(150)), {"text": "x", "times": 3}]
    write_rows(Path("in.jsonl"), rows)
    ran = pipe(*echo, "--input", "in.jsonl", "--no-keep")
    assert ran.code == 3 and "'text', which is the input, is missing" in ran.rows[0]["error"]["message"]
    assert ran.rows[-1]["result"] == {"echo": "xxx"} and ran.rows[1]["result"] == {"echo": "t0"}


def test_rows_without_columns(pipe: Pipe, echo: list[str]) -> None:
    Path("in.jsonl").write_text("no json\n{}\n")
    ran = pipe(*echo, "--input", "in.jsonl", "--output", "out.jsonl")
    assert ran.code == 1 and "no column can be told to be the input" in ran.err and not Path("out.jsonl.part").exists()


def test_empty_text_is_a_value_where_there_are_nulls(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.jsonl"), [{"text": "a", "second_text": ""}, {"text": "b", "second_text": None}])
    ran = pipe(*echo, "--input", "in.jsonl", "--no-keep")
    assert [row["result"] for row in ran.rows] == [{"echo": "a", "second": ""}, {"echo": "b"}]


def test_a_folder_of_pictures_with_a_text_beside_them(pipe: Pipe, folder: Path) -> None:
    from PIL import Image

    write(folder, {"photos/README.txt": "mine\n"})
    Image.new("RGB", (30, 30)).save("photos/a.png")
    ran = pipe("run", "image-classification", "--model", "tiny", "--input", "photos")
    assert ran.code == 0 and [row["file"] for row in ran.rows] == ["photos/a.png"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--input", ""], "empty"),
        (["--input", "in.txt", "--output", ""], "is a folder"),
        (["--input", "-", "--input", "-"], "twice"),
        (["--input", "https://bob:PW@localhost/x.csv?sig=S"], "Download"),
    ],
)
def test_inputs_that_cannot_be(pipe: Pipe, echo: list[str], flags: list[str], words: str) -> None:
    write(Path(), {"in.txt": "a\n"})
    ran = pipe(*echo, *flags, stdin="")
    assert ran.code == 1 and words in ran.err and "PW" not in ran.err and "sig=S" not in ran.err


DROPPING_PIPELINE = """
import os
import signal

from transformers import Pipeline


class DroppingPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        return {"text": text}

    def _forward(self, inputs):
        return inputs

    def postprocess(self, outputs):
        if outputs["text"] == "Ctrl-C":
            os.kill(os.getpid(), signal.SIGINT)
        return outputs["text"]
"""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--resume"], "--output"),
        (["--resume", "--output", "-"], "--output"),
        (["--seed", "3"], "--sample"),
        (["--column", "input=text", "--column", "text=n"], "--column maps input twice: 'text' and 'n'."),
        (["--column", "input=nope"], "in.csv has no column 'nope'"),
    ],
)
def test_options_that_would_be_ignored(pipe: Pipe, echo: list[str], flags: list[str], words: str) -> None:
    write(Path(), {"in.csv": "text,n\na,1\n"})
    ran = pipe(*echo, "--input", "in.csv", *flags)
    assert ran.code in (1, 2) and words in ran.err and not ran.out


def test_a_late_column_named_like_a_key_of_the_result(pipe: Pipe, echo: list[str]) -> None:
    write(Path(), {"in.jsonl": '{"text": "a"}\n{"text": "b", "result.echo": 1}\n{"text": "c"}\n'})
    ran = pipe(*echo, "--input", "in.jsonl", "--flatten", "--output", "out.jsonl")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert ran.code == 3 and [row.get("result.echo") for row in rows] == ["a", 1, "c"]
    assert "in.jsonl, row 2, line 2: there is a column 'result.echo'" in rows[1]["error"]["message"]


def test_a_column_for_a_parameter_that_is_forgotten(pipe: Pipe, folder: Path) -> None:
    write(Path(), {"dropping.py": DROPPING_PIPELINE, "in.csv": "text,bar\na,1\n"})
    ran = pipe("run", "dropping.py", "--model", "tiny", "--input", "in.csv", "--column", "foo=bar")
    assert ran.code == 2 and "DroppingPipeline takes no parameter foo" in ran.err and not ran.out


@pytest.mark.parametrize(("rows", "code"), [(["a", "b", "Ctrl-C"], 0), (["Ctrl-C", *["a"] * 5000], 130)])
def test_ctrl_c_when_all_is_done_is_too_late(pipe: Pipe, folder: Path, rows: list[str], code: int) -> None:
    write(Path(), {"dropping.py": DROPPING_PIPELINE, "in.txt": "\n".join(rows)})
    ran = pipe("run", "dropping.py", "--model", "tiny", "--input", "in.txt", "--output", "out.jsonl")
    assert ran.code == code, ran.err
    assert Path("out.jsonl").exists() == (code == 0)


def test_a_first_failure_is_told_with_its_hint(pipe: Pipe, echo: list[str]) -> None:
    Path("in.txt").write_bytes(b"good\nna\xefve\n")
    ran = pipe(*echo, "--input", "in.txt", "--output", "out.jsonl")
    assert ran.code == 3 and "in.txt, row 2, line 2" in ran.err and "--encoding" in ran.err


def test_rows_that_miss_their_files_are_a_wrong_set_up(pipe: Pipe, folder: Path) -> None:
    names = [f"there/photo_{chr(97 + number % 26)}{number}.png" for number in range(30)]
    write_rows(Path("in.jsonl"), [{"image": name} for name in names])
    ran = pipe("run", "image-classification", "--model", "tiny", "--input", "in.jsonl")
    assert ran.code == 1 and "first 20 rows all fail alike" in ran.err


def test_a_row_with_the_name_of_a_column_that_is_written(pipe: Pipe, echo: list[str]) -> None:
    write_rows(Path("in.jsonl"), [*({"text": "a"} for _ in range(120)), {"text": "b", "error": "mine"}])
    ran = pipe(*echo, "--input", "in.jsonl", "--output", "out.jsonl")
    assert ran.code == 3 and "'error'" in ran.err
    last = json.loads(Path("out.jsonl").read_text().splitlines()[-1])
    assert last["text"] == "b" and last["error"]["row"] == 121


def test_a_run_that_ends_early_leaves_no_thread(pipe: Pipe, echo: list[str]) -> None:
    import threading

    write_rows(Path("in.jsonl"), [{"text": "bad" if number == 5 else "good"} for number in range(5000)])
    before = threading.active_count()
    assert pipe(*echo, "--input", "in.jsonl", "--on-error", "fail", "--fail", "bad").code == 1
    assert threading.active_count() == before
