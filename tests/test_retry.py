"""`--resume --retry-errors`: rows that failed are run again in their places, and all others are left as they are."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import Ran, write
from test_resume import ROWS, WORDS, killed

Pipe = Callable[..., Ran]
AGAIN = ("--resume", "--retry-errors")
SLOW = ("--nap", "0.005")  # as what was `killed` ran

# Texts that end as the file `broken` says fail while it is there. What is run is written down. No result depends on
# what else is in its batch, so that a run without failures writes the same bytes.
FRAGILE_PIPELINE = """
import time
from pathlib import Path

from transformers import Pipeline


class FragilePipeline(Pipeline):
    def _sanitize_parameters(self, nap=None, stage=None, deep=None):
        post = {key: value for key, value in {"stage": stage, "deep": deep}.items() if value is not None}
        return ({} if nap is None else {"nap": nap}) | ({} if stage is None else {"stage": stage}), {}, post

    def preprocess(self, text, nap: float = 0.0, stage: str = "postprocess"):
        time.sleep(0.1 if Path("slow").exists() else nap)
        with open("ran.txt", "a") as file:
            file.write(text + "\\n")
        self.check(text, stage == "preprocess")
        return {**self.tokenizer(text, return_tensors="pt", truncation=True, max_length=64), "text": text}

    def _forward(self, inputs):
        text = inputs.pop("text")
        return {"logits": self.model(**inputs).logits, "text": text}

    def postprocess(self, outputs, stage: str = "postprocess", deep: bool = False):
        self.check(outputs["text"], stage == "postprocess")
        words = outputs["text"].split()
        found = {"words": len(words), "first": words[0], "half": len(words) / 2}
        if deep:  # a result whose shapes have no type in common
            return words if len(words) % 2 else {"words": words}
        return found

    def check(self, text, is_here):
        ending = Path("broken").read_text() if is_here and Path("broken").exists() else None
        if ending and text.endswith(ending):
            raise ValueError(f"this breaks: {ending}")
"""


@pytest.fixture
def fragile(folder: Path, tiny_checkpoint: Path) -> list[str]:
    """The command, without its output; `broken` is there."""
    chance = random.Random(0)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(ROWS)]
    rows = [{"id": n, "text": f"{text} {n}", "odd": {"a": [n]}} for n, text in enumerate(texts)]
    for number in range(3, ROWS, 9):
        rows[number]["text"] += " ten"
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write(folder, {"fragile.py": FRAGILE_PIPELINE, "in.jsonl": lines, "broken": "ten"})
    return ["run", "fragile.py", "--model", str(tiny_checkpoint), "--input", "in.jsonl", "--batch-tokens", "512"]


FAILING = len(range(3, ROWS, 9))


def ran() -> list[str]:
    """Return the texts that were run since the last call."""
    file = Path("ran.txt")
    texts = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return texts


def whole(pipe: Pipe, command: list[str], output: str) -> bytes:
    """Return what a run without failures writes."""
    Path("broken").unlink()
    assert pipe(*command, "--output", output).code == 0
    ran()
    return Path(output).read_bytes()


def rows_of(output: str) -> list[dict[str, Any]]:
    from pipesmith.pipelines.records import Records

    with Records([output]) as records:
        return [record.values for record in records]


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("jsonl", ()),
        ("jsonl", ("--flatten",)),
        ("jsonl", ("--stage", "preprocess")),
        ("csv", ()),
        ("csv", ("--flatten", "--no-keep")),
    ],
)
def test_a_finished_output_is_mended(pipe: Pipe, fragile: list[str], ending: str, options: tuple[str, ...]) -> None:
    command = [*fragile, *options, "--output", f"out.{ending}"]
    done = pipe(*command)
    assert done.code == 3 and "--resume --retry-errors" in done.err
    expected = whole(pipe, [*fragile, *options], f"whole.{ending}")
    mended = pipe(*command, *AGAIN)
    assert mended.code == 0 and "nobody can tell" in mended.err, mended.err
    assert f"{FAILING} rows were run again: {FAILING} succeeded, 0 failed again" in mended.err
    assert Path(f"out.{ending}").read_bytes() == expected
    texts = ran()
    assert len(texts) >= FAILING and all(text.endswith("ten") for text in texts)  # the first batch may be compared
    assert not list(Path().glob("*.part*"))


def test_all_fail_again_or_none_has_failed(pipe: Pipe, fragile: list[str]) -> None:
    command = [*fragile, "--output", "out.csv"]
    assert pipe(*command).code == 3
    before = Path("out.csv").read_bytes()
    again = pipe(*command, *AGAIN)  # more than 20 that fail alike: here it is the rows
    assert again.code == 3 and f"{FAILING} rows were run again: 0 succeeded" in again.err, again.err
    assert Path("out.csv").read_bytes() == before
    whole(pipe, fragile, "whole.csv")
    nothing = pipe(*fragile, "--output", "whole.csv", *AGAIN)
    assert nothing.code == 0 and "No row of" in nothing.err and not ran()


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("parquet", ()),
        ("parquet", ("--flatten",)),
        ("parquet", ("--deep",)),
        ("json", ("--no-keep",)),
        ("jsonl.gz", ()),
        ("csv.zst", ("--flatten",)),
        ("arrow", ("--deep", "--no-keep")),
        ("tsv", ()),
    ],
)
def test_every_format_is_mended(pipe: Pipe, fragile: list[str], ending: str, options: tuple[str, ...]) -> None:
    command = [*fragile, *options, "--output", f"out.{ending}"]
    assert pipe(*command).code == 3
    whole(pipe, [*fragile, *options], f"whole.{ending}")
    ran()
    mended = pipe(*command, *AGAIN)
    assert mended.code == 0 and all(text.endswith("ten") for text in ran()), mended.err
    assert rows_of(f"out.{ending}") == rows_of(f"whole.{ending}")
    assert list(rows_of(f"out.{ending}")[0]) == list(rows_of(f"whole.{ending}")[0])
    assert not list(Path().glob("*.part*"))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_columns_keep_their_types(pipe: Pipe, fragile: list[str], ending: str) -> None:
    import pyarrow
    from pyarrow import parquet

    texts = ["one two", "three ten", "four", "five ten"]
    columns = {
        "text": texts,
        "day": [date(2026, 1, day) for day in range(1, 5)],
        "time": [datetime(2026, 1, 1, hour, tzinfo=timezone.utc) for hour in range(4)],
        "raw": [b"\0", None, b"abc", b"\xff"],
        "price": [Decimal("1.50"), Decimal("2.25"), None, Decimal("0.10")],
        "share": [0.5, float("nan"), 1.0, None],
        "odd": [{"a": 1, "b": None}, {"a": None, "b": [1.5]}, None, {"a": 2, "b": []}],
        "note": ["", None, 'say "yes",\nor no', "\0"],
    }
    parquet.write_table(pyarrow.table(columns), "typed.parquet")
    command = ["typed.parquet" if argument == "in.jsonl" else argument for argument in fragile]
    assert pipe(*command, "--output", f"out.{ending}").code == 3
    expected = whole(pipe, command, f"whole.{ending}")
    mended = pipe(*command, "--output", f"out.{ending}", *AGAIN)
    assert mended.code == 0 and "2 rows were run again" in mended.err, mended.err
    if ending == "parquet":
        assert parquet.read_table("out.parquet").equals(parquet.read_table("whole.parquet"))
    else:
        assert Path(f"out.{ending}").read_bytes() == expected


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_an_unfinished_output_is_mended_and_gone_on_with(pipe: Pipe, fragile: list[str], ending: str) -> None:
    command = [*fragile, "--output", f"out.{ending}"]
    part = Path(f"out.{ending}.part.jsonl" if ending == "parquet" else f"out.{ending}.part")
    assert killed(command, part, 100).returncode == -signal.SIGKILL
    ran()
    kept = sum(b"this breaks" in line for line in part.read_bytes().splitlines())
    expected = whole(pipe, fragile, f"whole.{ending}")
    mended = pipe(*command, *SLOW, *AGAIN)
    assert mended.code == 0 and f"{kept} rows were run again: {kept} succeeded" in mended.err, mended.err
    assert "rows are done" in mended.err
    if ending == "parquet":
        assert rows_of(f"out.{ending}") == rows_of(f"whole.{ending}")
    else:
        assert Path(f"out.{ending}").read_bytes() == expected
    assert not list(Path().glob("*.part*"))


def test_with_the_numbers_of_a_model(pipe: Pipe, fragile: list[str]) -> None:
    """Row by row, results that depend on the batch are those of a run without failures, to the last digit."""
    source = Path("fragile.py").read_text().replace('"half": len(words) / 2', '"half": outputs["logits"][0].tolist()')
    Path("fragile.py").write_text(source)
    command = [*fragile, "--deterministic", "--output", "out.jsonl"]
    assert pipe(*command).code == 3
    expected = whole(pipe, [*fragile, "--deterministic"], "whole.jsonl")
    assert pipe(*command, *AGAIN).code == 0
    assert Path("out.jsonl").read_bytes() == expected
    assert len(ran()) == FAILING


def test_some_fail_again(pipe: Pipe, fragile: list[str]) -> None:
    command = [*fragile, "--output", "out.jsonl"]
    assert pipe(*command).code == 3
    Path("broken").write_text("9 ten")
    mended = pipe(*command, *AGAIN)
    rows = rows_of("out.jsonl")
    assert mended.code == 3 and [row["id"] for row in rows] == list(range(ROWS))
    failed = [row for row in rows if "error" in row]
    assert failed and all(row["text"].endswith("9 ten") for row in failed)
    assert all("this breaks: 9 ten" in row["error"]["message"] for row in failed)
    assert [row["error"]["row"] for row in failed] == [row["id"] + 1 for row in failed]


@pytest.mark.parametrize("is_finished", [True, False])
def test_killed_during_the_retry(pipe: Pipe, fragile: list[str], is_finished: bool) -> None:
    command = [*fragile, "--output", "out.jsonl"]
    before = Path("out.jsonl" if is_finished else "out.jsonl.part")
    if is_finished:
        assert pipe(*command).code == 3
    else:
        assert killed(command, before, 150).returncode == -signal.SIGKILL
    expected = whole(pipe, fragile, "whole.jsonl")
    rows = before.read_bytes()
    part = Path("out.jsonl.part.again")
    Path("slow").touch()
    assert killed([*command, *AGAIN], part, 5).returncode == -signal.SIGKILL
    Path("slow").unlink()
    assert before.read_bytes() == rows and part.exists()
    assert pipe(*command, *SLOW, *AGAIN).code == 0
    assert Path("out.jsonl").read_bytes() == expected
    assert not list(Path().glob("*.part*"))


def test_interrupted_during_the_retry(pipe: Pipe, fragile: list[str]) -> None:
    command = [*fragile, "--window", "1", "--output", "out.jsonl"]
    assert pipe(*command).code == 3
    expected = whole(pipe, fragile, "whole.jsonl")
    Path("slow").touch()
    stopped = killed([*command, *AGAIN], Path("out.jsonl.part.again"), 30, signal.SIGINT)
    Path("slow").unlink()
    assert stopped.returncode == 130 and "run again" in stopped.stderr, stopped.stderr
    rows = rows_of("out.jsonl")
    left = sum("error" in row for row in rows)
    assert [row["id"] for row in rows] == list(range(ROWS)) and 0 < left < FAILING
    ran()
    assert pipe(*command, *AGAIN).code == 0
    assert Path("out.jsonl").read_bytes() == expected


def test_another_input_is_refused(pipe: Pipe, fragile: list[str]) -> None:
    assert pipe(*fragile, "--output", "out.jsonl").code == 3
    assert pipe(*fragile, "--output", "out.csv").code == 3
    before = Path("out.jsonl").read_bytes(), Path("out.csv").read_bytes()
    lines = Path("in.jsonl").read_text()
    for changed, words in (
        (lines.replace('"a": [7]', '"a": [8]'), "row 8 has another 'odd'"),
        (lines + lines.splitlines()[0], "after row 200"),
        ("".join(lines.splitlines(keepends=True)[:-1]), "after row 199"),
    ):
        Path("in.jsonl").write_text(changed)
        for output in ("out.jsonl", "out.csv"):
            refused = pipe(*fragile, "--output", output, *AGAIN)
            assert refused.code == 1 and words in refused.err, refused.err
    Path("in.jsonl").write_text(lines)
    refused = pipe(*fragile, "--output", "out.jsonl", "--flatten", *AGAIN)
    assert refused.code == 1 and "--flatten" in refused.err
    refused = pipe(*fragile, "--output", "out.csv", "--no-keep", *AGAIN)
    assert refused.code == 1 and "another 'id'" in refused.err
    assert before == (Path("out.jsonl").read_bytes(), Path("out.csv").read_bytes())


def test_an_unfinished_output_of_another_run_is_refused(pipe: Pipe, fragile: list[str]) -> None:
    part = Path("out.jsonl.part")
    assert killed([*fragile, "--output", "out.jsonl"], part, 50).returncode == -signal.SIGKILL
    before = part.read_bytes()
    refused = pipe(*fragile, *SLOW, "--stage", "preprocess", "--output", "out.jsonl", *AGAIN)
    assert refused.code == 1 and "parameters" in refused.err, refused.err
    assert part.read_bytes() == before


def test_options_that_do_not_go_with_it(pipe: Pipe, fragile: list[str]) -> None:
    for options, words in (
        (["--output", "out.jsonl", "--retry-errors"], "--resume"),
        (AGAIN, "--output"),
        (["--output", "out.jsonl", *AGAIN, "--on-error", "skip"], "--on-error skip"),
    ):
        refused = pipe(*fragile, *options)
        assert refused.code == 2 and words in refused.err, refused.err
    refused = pipe(*fragile[:4], "--input", "-", "--input-format", "txt", "--output", "o.jsonl", *AGAIN, stdin="a\n")
    assert refused.code == 2 and "stdin cannot be resumed" in refused.err
    begun = pipe(*fragile, "--output", "out.jsonl", *AGAIN)  # there is nothing to run again: it begins
    assert begun.code == 3 and len(rows_of("out.jsonl")) == ROWS
