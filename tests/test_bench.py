"""`pipe bench`: rows a second of the engine and of transformers, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import ECHO_PIPELINE, Ran, write

pytestmark = pytest.mark.both_lines
Pipe = Callable[..., Ran]

# Its rows cannot share a call: with transformers a list is one row.
OWN_CALL_PIPELINE = """
from transformers import Pipeline


class OwnCallPipeline(Pipeline):
    '''Count what it is given.'''

    def __call__(self, inputs):
        return {"count": len(inputs)}

    def _sanitize_parameters(self):
        return {}, {}, {}

    def preprocess(self, inputs):
        return inputs

    def _forward(self, inputs):
        return inputs

    def postprocess(self, outputs):
        return outputs
"""


@pytest.fixture
def bench(folder: Path, tiny_checkpoint: Path) -> list[str]:
    """A working directory with a pipeline that costs nothing, and the command that measures it."""
    write(
        folder,
        {"echo.py": ECHO_PIPELINE, "own.py": OWN_CALL_PIPELINE, "texts.txt": "one\ntwo words\nthree or so\nfour\n"},
    )
    return ["bench", "echo.py", "--model", str(tiny_checkpoint), "--repeat", "2"]


def ways(ran: Ran) -> dict[Any, dict[str, Any]]:
    """The ways of a JSON report by their batch size."""
    assert ran.code == 0, ran.err
    return {way["batch_size"]: way for way in json.loads(ran.out)["ways"]}


def test_report_for_programs(pipe: Pipe, bench: list[str]) -> None:
    ran = pipe(*bench, "--input", "texts.txt", "--format", "json", "--limit", "3")
    found = ways(ran)
    assert list(found) == [None, 1, 8, 32]
    for size, way in found.items():
        assert way["error"] is None and len(way["seconds"]) == 2
        rate = way["rows_per_second"]
        assert 0 < rate["low"] <= rate["mean"] <= rate["high"]
        assert (way["pipesmith_is_times_as_fast"] is None) == (size is None)
    report = json.loads(ran.out)
    assert (report["task"], report["input"], report["rows"], report["failed"]) == ("echo.py", ["texts.txt"], 3, 0)
    assert report["machine"]["cores"] >= 1 and report["machine"]["device"] == "cpu"


def test_table_for_people(pipe: Pipe, bench: list[str]) -> None:
    ran = pipe(*bench, "--input", "texts.txt", "--times", "2")
    lines = ran.out.splitlines()
    assert ran.code == 0 and len(lines) == 5
    assert "rows/s" in lines[0] and "95% interval" in lines[0]
    assert lines[1].startswith("pipesmith ") and " to " in lines[1]
    assert all("times as fast (" in line for line in lines[2:])
    assert "4 rows, 2 runs of each; cpu, float32" in ran.err


def test_one_run_has_no_interval(pipe: Pipe, bench: list[str]) -> None:
    found = ways(pipe(*bench, "--repeat", "1", "--input", "texts.txt", "--format", "json"))
    assert all(way["rows_per_second"]["low"] is None for way in found.values())
    assert pipe(*bench, "--repeat", "1", "--input", "texts.txt").out.splitlines()[1].split()[-1] == "-"


def test_batch_size_that_transformers_refuses_says_why(pipe: Pipe, bench: list[str], tiny_checkpoint: Path) -> None:
    program = Path("nopad.py")
    program.write_text(
        ECHO_PIPELINE.replace("EchoPipeline", "NoPadPipeline")
        + "\n    def __init__(self, *args, **kwargs):\n        super().__init__(*args, **kwargs)\n"
        "        self.tokenizer.pad_token = None\n"
    )
    found = ways(
        pipe("bench", program, "--model", tiny_checkpoint, "--input", "texts.txt", "--format", "json", "--repeat", "2")
    )
    assert found[None]["error"] is None and found[1]["error"] is None
    assert "pad_token" in found[8]["error"] and found[8]["rows_per_second"] is None
    ran = pipe("bench", program, "--model", tiny_checkpoint, "--input", "texts.txt", "--repeat", "1")
    assert "cannot be run" in ran.out.splitlines()[3] and "pad_token" in ran.out


def test_parameters_of_rows_cannot_share_a_call(pipe: Pipe, bench: list[str]) -> None:
    write(Path(), {"pairs.csv": "text,second_text\na,b\nc,d\n"})
    found = ways(pipe(*bench, "--input", "pairs.csv", "--format", "json"))
    assert found[None]["error"] is None and found[1]["error"] is None
    assert "parameters of their own" in found[8]["error"] and "parameters of their own" in found[32]["error"]


def test_class_with_its_own_call(pipe: Pipe, bench: list[str], tiny_checkpoint: Path) -> None:
    ran = pipe(
        "bench", "own.py", "--model", tiny_checkpoint, "--input", "texts.txt", "--repeat", "1", "--format", "json"
    )
    found = ways(ran)
    assert found[None]["error"] is None and found[8]["error"]


def test_rows_that_fail_are_left_out_and_said(pipe: Pipe, bench: list[str]) -> None:
    ran = pipe(*bench, "--input", "texts.txt", "--fail", "two", "--format", "json")
    report = json.loads(ran.out)
    assert (report["rows"], report["failed"]) == (3, 1) and "this text holds two" in report["first_error"]
    assert ways(ran)[32]["error"] is None
    ran = pipe(*bench, "--input", "texts.txt", "--fail", "two")
    assert "Left out because of errors: 1 row" in ran.err and "this text holds two" in ran.err


def refused(ran: Ran, code: int, *parts: str) -> None:
    """See that a command ended with an error in a sentence."""
    assert ran.code == code and not ran.out
    assert "Error: " in ran.err and "Traceback" not in ran.err
    for part in parts:
        assert part in ran.err


def test_errors_are_sentences(pipe: Pipe, bench: list[str]) -> None:
    write(Path(), {"empty.csv": "text\n", "bad.jsonl": "{\n"})
    refused(pipe(*bench), 2, "--input")
    refused(pipe(*bench, "--input", "missing.txt"), 1, "missing.txt")
    refused(pipe(*bench, "--input", "empty.csv"), 1, "no rows")
    refused(pipe(*bench, "--input", "bad.jsonl"), 1, "bad.jsonl")
    refused(pipe(*bench, "--input", "texts.txt", "--fail", "o"), 1, "this text holds o")
    refused(pipe(*bench, "--input", "texts.txt", "--tims", "2"), 2, "--tims", "--times")
    refused(pipe(*bench, "--input", "texts.txt", "--repeat", "0"), 2, "--repeat")
    refused(pipe(*bench, "--input", "texts.txt", "one more"), 2, "one more")
    refused(pipe("bench", "no-such-task", "--input", "texts.txt"), 2, "no-such-task")
