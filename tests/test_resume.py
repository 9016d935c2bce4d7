"""`--resume`: a run that was killed goes on, and what comes out is what an uninterrupted run would have written."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Ran, write

from pipesmith.pipelines.errors import OutputError
from pipesmith.pipelines.journal import Journal, Progress
from pipesmith.pipelines.records.output import OutputFile

pytestmark = pytest.mark.both_lines
Pipe = Callable[..., Ran]

# Every text has a score of its own, and takes its time: a kill falls between rows.
SCORE_PIPELINE = """
import time

from transformers import Pipeline


class ScorePipeline(Pipeline):
    def _sanitize_parameters(self, fail=None, nap=None):
        return ({} if nap is None else {"nap": nap}), {}, ({} if fail is None else {"fail": fail})

    def preprocess(self, text, nap: float = 0.0):
        time.sleep(nap)
        return {**self.tokenizer(text, return_tensors="pt", truncation=True, max_length=64), "text": text}

    def _forward(self, inputs):
        text = inputs.pop("text")
        return {"logits": self.model(**inputs).logits, "text": text}

    def postprocess(self, outputs, fail: str = ""):
        if fail and outputs["text"].endswith(fail):
            raise ValueError("this text fails")
        return {"scores": outputs["logits"][0].softmax(-1).tolist()}
"""
ROWS = 200
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture
def score(folder: Path, tiny_checkpoint: Path) -> list[str]:
    """The command, without its output."""
    return score_command(folder, tiny_checkpoint)


def score_command(folder: Path, tiny_checkpoint: Path) -> list[str]:
    """Write texts of mixed lengths, of which some fail, and return the command that runs them."""
    chance = random.Random(0)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(ROWS)]
    rows = [{"id": number, "text": text, "odd": {"a": [number]}} for number, text in enumerate(texts)]
    write(folder, {"score.py": SCORE_PIPELINE, "in.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    return ["run", "score.py", "--model", str(tiny_checkpoint), "--input", "in.jsonl", "--fail", "nine ten"]


def killed(command: list[str], part: Path, rows: int, kill: int = signal.SIGKILL) -> subprocess.CompletedProcess[str]:
    """Run a command that takes its time, and kill it when its unfinished output has so many lines."""
    program = [str(Path(sys.executable).with_name("pipe")), *command, "--nap", "0.005"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if part.exists() and part.read_bytes().count(b"\n") >= rows:
                process.send_signal(kill)
                break
            time.sleep(0.002)
        _, err = process.communicate()
    return subprocess.CompletedProcess(program, process.returncode, "", err)


def read(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("out", ["jsonl", "csv", "parquet"])
def test_killed_and_resumed_is_uninterrupted(pipe: Pipe, score: list[str], out: str) -> None:
    fixed = [*score, "--batch-tokens", "512", "--nap", "0.005"]
    assert pipe(*fixed, "--output", f"whole.{out}").code == 3
    command = [*score, "--batch-tokens", "512", "--output", f"out.{out}"]
    part = Path(f"out.{out}.part.jsonl" if out == "parquet" else f"out.{out}.part")
    assert killed(command, part, 100).returncode == -signal.SIGKILL
    with part.open("ab") as file:
        file.write(b'{"id": 12')  # half a row, as a kill may leave it
    ran = pipe(*command, "--nap", "0.005", "--resume")
    assert ran.code == 3 and "rows are done" in ran.err, ran.err
    assert read(Path(f"out.{out}")) == read(Path(f"whole.{out}"))
    assert not list(Path().glob("*.part*"))


def test_resumed_while_the_budget_tunes_itself(pipe: Pipe, score: list[str]) -> None:
    assert pipe(*score, "--nap", "0.005", "--output", "whole.jsonl").code == 3
    part = Path("out.jsonl.part")
    assert killed([*score, "--output", "out.jsonl"], part, 100).returncode == -signal.SIGKILL
    assert pipe(*score, "--nap", "0.005", "--output", "out.jsonl", "--resume").code == 3
    found, whole = (
        [json.loads(line) for line in read(Path(name)).splitlines()] for name in ("out.jsonl", "whole.jsonl")
    )
    assert [row["id"] for row in found] == list(range(ROWS))
    for ours, theirs in zip(found, whole):
        assert ours.get("error") == theirs.get("error")
        if ours["result"]:
            assert ours["result"]["scores"] == pytest.approx(theirs["result"]["scores"], abs=1e-5)


def test_rows_left_out_are_counted(pipe: Pipe, score: list[str]) -> None:
    skip = [*score, "--on-error", "skip", "--batch-tokens", "512"]
    assert pipe(*skip, "--nap", "0.005", "--output", "whole.csv").code == 3
    part = Path("out.csv.part")
    assert killed([*skip, "--output", "out.csv"], part, 120).returncode == -signal.SIGKILL
    assert pipe(*skip, "--nap", "0.005", "--output", "out.csv", "--resume").code == 3
    assert read(Path("out.csv")) == read(Path("whole.csv"))


def test_interrupted_by_hand(pipe: Pipe, score: list[str]) -> None:
    part = Path("out.jsonl.part")
    ran = killed([*score, "--output", "out.jsonl"], part, 20, signal.SIGINT)
    assert ran.returncode == 130 and "--resume" in ran.stderr and "Interrupted" in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr
    assert all(json.loads(line) for line in part.read_text().splitlines())
    assert pipe(*score, "--nap", "0.005", "--output", "out.jsonl", "--resume").code == 3
    assert [json.loads(line)["id"] for line in Path("out.jsonl").read_text().splitlines()] == list(range(ROWS))


@pytest.fixture(scope="module")
def killed_once(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed; not to be changed."""
    folder = tmp_path_factory.mktemp("killed")
    before = Path.cwd()
    os.chdir(folder)
    try:
        command = [*score_command(folder, tiny_checkpoint), "--output", "out.jsonl"]
        assert killed(command, Path("out.jsonl.part"), 50).returncode == -signal.SIGKILL
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def unfinished(killed_once: Path, folder: Path, tiny_checkpoint: Path) -> list[str]:
    """The command of a run that was killed, in a copy of its folder."""
    shutil.copytree(killed_once, folder, dirs_exist_ok=True)
    return [*score_command(folder, tiny_checkpoint), "--output", "out.jsonl", "--nap", "0.005"]


def test_another_run_does_not_go_on(pipe: Pipe, unfinished: list[str]) -> None:
    part = Path("out.jsonl.part").read_bytes()
    ran = pipe(*unfinished)
    assert ran.code == 1 and "--resume" in ran.err
    other = ["other" if argument == "nine ten" else argument for argument in unfinished]
    ran = pipe(*other, "--resume")
    assert ran.code == 1 and "parameters" in ran.err and "other" in ran.err
    ran = pipe(*unfinished, "--resume", "--skip", "1")
    assert ran.code == 1 and "--skip: 0 before, 1 now" in ran.err
    source = Path("score.py").read_text()
    Path("score.py").write_text(source + "# changed\n")
    ran = pipe(*unfinished, "--resume")
    assert ran.code == 1 and "code" in ran.err
    Path("score.py").write_text(source)
    rows = Path("in.jsonl").read_text()
    Path("in.jsonl").write_text(rows + '{"id": 999, "text": "more"}\n')
    ran = pipe(*unfinished, "--resume")
    assert ran.code == 1 and "input" in ran.err and "in.jsonl" in ran.err
    with Path("in.jsonl").open("r+b") as file:  # one byte in the middle of a file
        file.seek(len(rows) // 2)
        middle = file.read(200)
        file.seek(len(rows) // 2 + middle.index(b"e"))
        file.write(b"a")
    ran = pipe(*unfinished, "--resume")
    assert ran.code == 1 and "input" in ran.err and "in.jsonl" in ran.err
    Path("in.jsonl").write_text(rows)
    assert Path("out.jsonl.part").read_bytes() == part  # nothing is lost by a refusal


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda part, journal: part.write_bytes(part.read_bytes()[:200]), "shorter"),
        (lambda part, journal: part.write_bytes(part.read_bytes().replace(b'"id": 0', b'"id": 7')), "changed"),
        (lambda part, journal: part.write_bytes(b"no json\n" + part.read_bytes()), "line 1"),
        (lambda part, journal: journal.unlink(), "journal"),
        (lambda part, journal: journal.write_text("odd\n"), "journal"),
        (lambda part, journal: journal.write_bytes(journal.read_bytes() + b"\xff\n"), "journal"),
        (lambda part, journal: journal.write_text(journal.read_text() + '{"size": "12"}\n'), "journal"),
        (lambda part, journal: journal.write_text('{"run": 7}\n'), "journal"),
    ],
)
def test_a_spoiled_output_does_not_go_on(pipe: Pipe, unfinished: list[str], spoil: Any, words: str) -> None:
    spoil(Path("out.jsonl.part"), Path("out.jsonl.part.journal"))
    ran = pipe(*unfinished, "--resume")
    assert ran.code == 1 and words in ran.err and "--force" in ran.err, ran.err
    assert pipe(*unfinished, "--force").code == 3


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    part = tmp_path / "out.csv.part"
    part.write_bytes(b"id,result\n1,a\n2,\xff\xfe\n3,c\n")
    with pytest.raises(OutputError, match=r"out\.csv\.part, line \d is none that was written there"):
        OutputFile(tmp_path / "out.csv", resume=True)


def test_half_a_line_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.part.journal"
    for begin in (lambda journal: journal.begin({"task": "x"}), Journal.go_on, Journal.go_on):
        journal = Journal(path)
        begin(journal)
        journal.note(size=12, checksum=7)
        journal.note(skipped=1)
        journal.close()
        with path.open("ab") as file:
            file.write(b'{"size": 1')
    assert Journal(path).read() == ({"task": "x"}, Progress(skipped=3, size=12, checksum=7))


@pytest.mark.parametrize("journal", [None, '{"run": {"ta'])
def test_killed_before_the_first_row(pipe: Pipe, score: list[str], journal: str | None) -> None:
    Path("out.csv.part").touch()
    if journal is not None:
        Path("out.csv.part.journal").write_text(journal)
    assert pipe(*score, "--limit", "5", "--output", "out.csv", "--resume").code in (0, 3)
    assert len(Path("out.csv").read_text().splitlines()) == 6 and not list(Path().glob("out.csv.*"))


def test_nothing_to_resume(pipe: Pipe, score: list[str]) -> None:
    command = [*score, "--limit", "5", "--output", "out.jsonl", "--resume"]
    assert pipe(*command).code in (0, 3)  # there is no unfinished output: it begins
    ran = pipe(*score[:4], "--input", "-", "--input-format", "txt", "--output", "o.jsonl", "--resume", stdin="a\n")
    assert ran.code == 2 and "stdin cannot be resumed" in ran.err


@pytest.mark.parametrize("out", ["jsonl", "csv", "parquet"])
def test_a_finished_output_is_left_as_it_is(pipe: Pipe, score: list[str], out: str) -> None:
    command = [*score, "--limit", "5", "--on-error", "record", "--output", f"out.{out}"]
    code = pipe(*command).code
    before = Path(f"out.{out}").read_bytes()
    Path(f"out.{out}.part.journal").touch()  # a kill between the last two steps
    ran = pipe(*command, "--resume")
    assert ran.code == code and "nothing is left to run" in ran.err and not ran.out, ran.err
    assert Path(f"out.{out}").read_bytes() == before and not list(Path().glob(f"out.{out}.*"))
    ran = pipe(*command, "--resume", "--limit", "6")
    assert ran.code == 1 and "not made from this input" in ran.err
    assert pipe(*command).code == 1, "without --resume it is in the way"


@pytest.mark.slow
@pytest.mark.parametrize("out", ["jsonl", "csv", "parquet"])
def test_thirty_kills(pipe: Pipe, score: list[str], out: str) -> None:
    fixed = [*score, "--batch-tokens", "512"]
    assert pipe(*fixed, "--nap", "0.005", "--output", f"whole.{out}").code == 3
    part = Path(f"out.{out}.part.jsonl" if out == "parquet" else f"out.{out}.part")
    chance = random.Random(os.environ.get("PIPESMITH_SEED", 0))
    kills = 0
    for _ in range(30):
        part.unlink(missing_ok=True)
        Path(f"out.{out}").unlink(missing_ok=True)
        ran = killed([*fixed, "--output", f"out.{out}", "--force"], part, chance.randint(0, ROWS - 20))
        assert ran.returncode in (-signal.SIGKILL, 3), ran.stderr
        kills += ran.returncode < 0  # on a busy machine the last rows may be written before the kill
        assert pipe(*fixed, "--nap", "0.005", "--output", f"out.{out}", "--resume").code == 3
        assert read(Path(f"out.{out}")) == read(Path(f"whole.{out}"))
    assert kills >= 20
