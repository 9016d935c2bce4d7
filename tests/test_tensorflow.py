"""TensorFlow models on transformers 4: the same results as PyTorch's, alone and in batches; on 5 a sentence."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from support import Ran

from pipesmith.pipelines import compat

Process = Callable[..., Ran]
PAIR = ["--second-text", "The firm bought its rival last year.", "The company acquired its competitor last year."]
needs_tensorflow = pytest.mark.skipif(
    compat.needed() or importlib.util.find_spec("tensorflow") is None, reason="needs transformers 4 and TensorFlow"
)
pytestmark = pytest.mark.both_lines


def near(value: Any) -> Any:
    """Make a result equal to one that is within 1e-4."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-4)
    if isinstance(value, dict):
        return {key: near(item) for key, item in value.items()}
    return [near(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def rows(folder: Path) -> Path:
    """Pairs of several lengths; one is too long for the model."""
    words = ["rain", "fell", "all", "day", "the", "bank", "closed", "early"]
    lines = ["id,text,second_text"]
    for number in range(60):
        text = " ".join(words[(number + place) % 8] for place in range(1 + number % 11))
        lines.append(f"{number},{text if number != 7 else 'rain ' * 600},{words[number % 8]} it is")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


def read(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.skipif(not compat.needed(), reason="transformers 4 has TensorFlow models")
def test_on_5_it_is_refused_with_two_ways_out(pipe: Process, folder: Path) -> None:
    for line in (["run", "pair-classification", *PAIR], ["test", "pair-classification"]):
        ran = pipe(*line, "--framework", "tf")
        assert ran.code == 1 and "transformers 5 has no TensorFlow models" in ran.err
        assert "Leave it out" in ran.err and "pip install 'pipesmith[tf]'" in ran.err and "Traceback" not in ran.err


@needs_tensorflow
def test_prints_what_pytorch_prints(pipe_process: Process) -> None:
    line = ["run", "pair-classification", "--top-k", "2", *PAIR]
    ran = pipe_process(*line, "--framework", "tf", USE_TF="1")
    assert ran.code == 0 and ran.err == "", ran.err
    assert ran.rows == near(pipe_process(*line).rows)


@needs_tensorflow
def test_rows_of_a_file_batches_order_errors(pipe_process: Process, rows: Path) -> None:
    for framework in ("pt", "tf"):
        line = ["run", "pair-classification", "--input", rows, "--output", f"{framework}.jsonl"]
        ran = pipe_process(*line, "--framework", framework, "--batch-tokens", "256", cwd=rows.parent)
        assert ran.code == 3 and "batches of up to 256 tokens" in ran.err, ran.err
    found, wanted = read(rows.parent / "tf.jsonl"), read(rows.parent / "pt.jsonl")
    assert [row["id"] for row in found] == [str(number) for number in range(60)]
    assert [row["id"] for row in found if "error" in row] == ["7"]
    assert [row["result"] for row in found] == near([row["result"] for row in wanted])


@needs_tensorflow
def test_from_python(folder: Path) -> None:
    """Of two runs of one pipeline one is closed, and the other goes on; the chunks of rows share batches."""
    program = """
    from pipesmith.pipelines import pipeline, run_pipeline
    from pipesmith.pipelines.engine import Row, run

    pipe = pipeline("pair-classification", framework="tf")
    before = set(vars(pipe))
    start = lambda: run_pipeline(pipe, ["rain", "it rains all day"] * 30, second_text="rain fell")
    wanted = list(start())
    for inner_is_first in (True, False):
        outer, inner = start(), start()
        found, other = [next(outer)], [next(inner)]
        ended, lasting, rows = (inner, outer, found) if inner_is_first else (outer, inner, other)
        ended.close()
        rows += lasting
        print(rows == wanted and set(vars(pipe)) == before)
    pipe = pipeline("token-classification", "tiny", framework="tf")
    rows, notes = [Row(text, {}, 1) for text in ("my name is Anna", "a b", "one") * 4], []
    found = [row.result is not None and row.result[0]["word"] for row in run(pipe, rows, notify=notes.append)]
    print(found == ["my", "a", "one"] * 4 and notes == [])
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "USE_TF": "AUTO"})
    assert done.stdout.split() == ["True"] * 3, done.stdout + done.stderr


@pytest.mark.slow
@needs_tensorflow
def test_resume_after_a_kill(rows: Path) -> None:
    text = rows.read_text().splitlines()
    rows.write_text("\n".join([text[0], *text[1:7] * 400]) + "\n")
    line = [str(Path(sys.executable).with_name("pipe")), "run", "pair-classification", "--framework", "tf"]
    line += ["--input", str(rows), "--output", "out.jsonl", "--batch-tokens", "64", "--window", "32"]
    process = subprocess.Popen(line, cwd=rows.parent, env={**os.environ, "USE_TF": "1"}, stderr=subprocess.PIPE)
    part = rows.parent / "out.jsonl.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size > 20_000):
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = subprocess.run([*line, "--resume"], cwd=rows.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in read(rows.parent / "out.jsonl")] == [*"012345"] * 400


@needs_tensorflow
def test_weights_of_tensorflow(pipe_process: Process, folder: Path) -> None:
    """A checkpoint that TensorFlow saved runs with --framework tf; without it its weights are refused."""
    program = """
    import sys
    from transformers import AutoTokenizer, TFAutoModelForSequenceClassification
    from pipesmith.pipelines.testing import tiny_model

    tiny = tiny_model("AutoModelForSequenceClassification")
    model = TFAutoModelForSequenceClassification.from_pretrained(tiny.path, from_pt=True)
    for name, safe in (("safe", True), ("h5", False)):
        model.save_pretrained(name, safe_serialization=safe)
        tiny.tokenizer.save_pretrained(name)
    tiny.model.save_pretrained("pt")
    tiny.tokenizer.save_pretrained("pt")
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "USE_TF": "AUTO"})
    assert done.returncode == 0, done.stderr
    line = ["run", "text-classification", "two words", "--model"]
    wanted = pipe_process(*line, "./pt", cwd=folder).rows
    for name in ("safe", "h5"):
        ran = pipe_process(*line, f"./{name}", "--framework", "tf", cwd=folder)
        assert ran.rows == near(wanted), ran.err
    refused = pipe_process(*line, "./safe", cwd=folder)
    assert refused.code == 1 and "TensorFlow weights" in refused.err


EXCEPTIONS = {
    "gpt-sw3",  # its configuration is gpt2's, which is compared
    "openai-gpt",  # TensorFlow's gelu is exact, PyTorch's the approximation by tanh: they differ by 2e-4
    "transfo-xl",  # no tiny one can be made
}


@needs_tensorflow
@pytest.mark.parametrize("names", [["bert", "gpt2"], pytest.param([], marks=pytest.mark.slow, id="all")])
def test_tensorflow_equals_pytorch(names: list[str]) -> None:
    """Over every architecture of sequence classification that 4.57 has in both and a tiny model can be made of."""
    program = Path(__file__).parent / "resources" / "tensorflow" / "compare.py"
    done = subprocess.run([sys.executable, "-W", "ignore", str(program), *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {name: value for line in done.stdout.splitlines() for name, value in json.loads(line).items()}
    assert set(found) >= set(names) and (names or len(found) == 32)
    unknown = {name for name, value in found.items() if "is not in the table of tiny models" in str(value)}
    compared = {name: value for name, value in found.items() if name not in EXCEPTIONS | unknown}
    assert {name: value for name, value in compared.items() if not isinstance(value, float) or value > 1e-4} == {}


@pytest.mark.slow
@needs_tensorflow
def test_pushed_and_saved_for_both_frameworks(pipe_process: Process, hub: Hub, folder: Path) -> None:
    """Plain transformers 4.57 loads both; it converts PyTorch's safetensors from a folder alone, and as `from_pt`."""
    environment = hub.environment(folder / "home")
    assert pipe_process("new-task", "same", "--pair", "--yes", cwd=folder).code == 0
    pushed = pipe_process("push", "alice/same", "--model", "tiny", cwd=folder, **environment)
    assert pushed.code == 0, pushed.err
    custom = json.loads(hub.files("alice/same")["config.json"])["custom_pipelines"]
    assert custom["same"]["pt"] == ["AutoModelForSequenceClassification"]
    assert custom["same"]["tf"] == ["TFAutoModelForSequenceClassification"]
    saving = """
    from pipesmith.pipelines import pipeline

    pipeline("same", model="tiny", framework="tf").save_pretrained("saved")
    """
    stranger = """
    import sys

    sys.modules["pipesmith"] = None
    import json
    from huggingface_hub import snapshot_download
    from transformers import pipeline

    tensorflow = {"framework": "tf", "dtype": None}
    here = snapshot_download("alice/same")
    for model, loading in (
        ("alice/same", {"framework": "pt"}),
        (here, {**tensorflow, "model_kwargs": {"from_pt": True}}),
        ("saved", tensorflow),
    ):
        pipe = pipeline("same", model=model, trust_remote_code=True, **loading)
        print(json.dumps([type(pipe.model).__name__[:2], pipe("two words", second_text="more of them")]))
    """
    for program in (saving, stranger):
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
        env = {**os.environ, **environment, "USE_TF": "AUTO"}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name == "TF" for name, _ in found] == [False, True, True]
    assert found[1][1] == near(found[0][1]) and found[2][1] == near(found[0][1])
    line = [
        "run",
        "alice/same",
        "--trust-remote-code",
        "--framework",
        "tf",
        "--second-text",
        "more of them",
        "two words",
    ]
    ran = pipe_process(*line, cwd=folder, **environment)
    assert ran.code == 0 and ran.rows[0] == near(found[0][1]), ran.err


@pytest.mark.slow
@needs_tensorflow
def test_new_tasks_are_tested_in_both_frameworks(pipe_process: Process, folder: Path) -> None:
    for task, flag in (("parts", "--chunk"), ("picture", "--type=image")):
        assert pipe_process("new-task", task, flag, "--yes", cwd=folder).code == 0
    for options, passed in (([], "pt tf"), (["--framework", "tf"], "tf"), (["--framework", "pt"], "pt")):
        ran = pipe_process("test", *options, "--format", "json", cwd=folder, USE_TF="")
        assert ran.code == 0, ran.out + ran.err
        small = [row for row in json.loads(ran.out)["results"] if row["name"].startswith("test_small")]
        names = [row["name"].removeprefix("test_small_model_") for row in small if row["outcome"] == "pass"]
        assert sorted(names) == sorted(passed.split() * 2), small
