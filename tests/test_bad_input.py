"""Every mistake gets one sentence that names the thing and its place, and a hint; never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import LENGTH_PIPELINE, Ran, write

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines


def refused(ran: Ran, code: int, *words: str, hint: str = "") -> None:
    """Assert that a command was refused with an exit code, and a sentence and a hint that hold certain words."""
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    error = next(line for line in ran.err.splitlines() if line.startswith("Error: "))
    sentence = ran.err[ran.err.index(error) : ran.err.find("Hint: ") if "Hint: " in ran.err else None]
    for word in words:
        assert word in sentence, ran.err
    assert hint in ran.err.partition("Hint: ")[2] and "Hint: " in ran.err, ran.err
    assert ran.out == ""


def test_unknown_task(pipe: Pipe, project: Path) -> None:
    refused(pipe("run", "lenght", "x"), 2, "lenght", hint="length")
    refused(pipe("info", "pair-clasification"), 2, "pair-clasification", hint="Did you mean pair-classification?")
    refused(pipe("run", "no-such-thing-at-all", "x"), 2, hint="pipe list")
    refused(pipe("run", "./missing.py", "x"), 2, "missing.py")
    refused(pipe("run", "./missing", "x"), 2, "./missing")


def test_removed_task(pipe: Pipe, folder: Path) -> None:
    import transformers

    if transformers.__version__.startswith("4"):
        pytest.skip("transformers 4 has it")
    refused(pipe("run", "image-to-image", "x"), 2, "image-to-image", hint="Diffusers")


def test_unknown_flag(pipe: Pipe, project: Path) -> None:
    refused(pipe("run", "length", "--top", "2", "x"), 2, "--top", hint="--top-k")
    refused(pipe("run", "length", "--zzzzzz", "x"), 2, "--zzzzzz", hint="--set")
    refused(pipe("run", "--top-k", "2", "length", "x"), 2, "--top-k", hint="task first")
    refused(pipe("run", "length", "x", "--modle", "tiny"), 2, "--modle", hint="--model")


def test_value_of_the_wrong_type(pipe: Pipe, project: Path) -> None:
    refused(pipe("run", "length", "--top-k", "many", "x"), 2, "--top-k", "'many'", "an integer")
    refused(pipe("run", "length", "x", "--top-k"), 2, "--top-k", "needs a value")
    refused(pipe("run", "length", "--top-k", "1", "--top-k", "2", "x"), 2, "--top-k", "2 times")
    refused(pipe("run", "length", "--set", "top_k", "x"), 2, "--set", "top_k", hint="top_k=2")
    refused(pipe("run", "length", "--set", "unit=metres", "x"), 2, "--set unit", "metres", hint='unit="metres"')
    refused(pipe("run", "length", "--model-kwargs", "[1]", "x"), 2, "--model-kwargs")
    refused(pipe("run", "length", "--model", "tiny", "--dtype", "float12", "x"), 2, "--dtype", "float12")
    refused(pipe("run", "length", "--model", "tiny", "--device", "cuda:7", "x"), 2, "--device", "cuda:7")
    refused(pipe("run", "length", "--format", "xml", "x"), 2, "xml")


def test_no_model(pipe: Pipe, project: Path) -> None:
    refused(pipe("run", "length", "x"), 1, "length", "no default model", hint="--model tiny")
    refused(pipe("run", "length", "--model", "./nowhere", "x"), 1, "nowhere")
    refused(pipe("run", "length", "--model", "nowhere", "x"), 1, "nowhere", hint="user/repo")
    refused(pipe("run", "length", "--model", "tiny:nonsense", "x"), 1, "nonsense")


def test_class_that_lacks_a_method(pipe: Pipe, folder: Path) -> None:
    write(folder, {"mine.py": LENGTH_PIPELINE.replace("def postprocess", "def post_process")})
    refused(pipe("run", "mine.py", "--model", "tiny", "x"), 1, "LengthPipeline", "postprocess", "mine.py")


def test_file_without_a_pipeline(pipe: Pipe, folder: Path) -> None:
    write(folder, {"mine.py": "x = 1\n", "two.py": LENGTH_PIPELINE + LENGTH_PIPELINE.replace("Length", "Other")})
    refused(pipe("run", "mine.py", "x"), 2, "mine.py")
    refused(pipe("run", "two.py", "x"), 2, "LengthPipeline", "OtherPipeline", hint="two.py:")
    refused(pipe("run", "two.py:LenghtPipeline", "x"), 1, "LenghtPipeline", hint="LengthPipeline")


def test_syntax_error_in_a_users_file(pipe: Pipe, project: Path) -> None:
    write(project, {"pipelines/length.py": LENGTH_PIPELINE.replace("return {}, {}, post", "return {}, {}, post]")})
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "length.py:20", "return {}, {}, post]")
    refused(pipe("run", "pipelines/length.py", "x"), 1, "length.py:20")


def test_exception_at_import(pipe: Pipe, project: Path) -> None:
    write(project, {"pipelines/length.py": "LIMIT = {}\nLIMIT['size']\n" + LENGTH_PIPELINE})
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "length.py:2", "LIMIT['size']", "KeyError: 'size'")
    write(project, {"pipelines/length.py": "import requestz\n" + LENGTH_PIPELINE})
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "requestz", hint="pip install requestz")
    write(project, {"pipelines/length.py": "raise SystemExit(0)\n" + LENGTH_PIPELINE})
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "length.py:1")


@pytest.mark.parametrize("stage", ["preprocess", "_forward", "postprocess"])
def test_exception_in_a_users_stage(pipe: Pipe, folder: Path, stage: str) -> None:
    head, _, tail = LENGTH_PIPELINE.partition(f"def {stage}(")
    signature, _, body = tail.partition(":\n")
    source = f"{head}def {stage}({signature}:\n        raise RuntimeError('no luck')\n{body}"
    write(folder, {"mine.py": source})
    line = source[: source.index("raise RuntimeError")].count("\n")
    ran = pipe("run", "mine.py", "--model", "tiny", "x")
    refused(ran, 1, f"LengthPipeline.{stage}", "no luck", f"mine.py:{line}", "raise RuntimeError('no luck')")
    assert "Traceback" in pipe("run", "mine.py", "--model", "tiny", "--verbose", "x").err


def test_entry_of_a_missing_file_or_class(pipe: Pipe, project: Path) -> None:
    (project / "pipelines" / "length.py").rename(project / "pipelines" / "width.py")
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "length.py")
    write(project, {"pipelines/length.py": "class LongPipeline: pass\n"})
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "LengthPipeline", "length.py")


def test_model_class_that_does_not_exist(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(registry.read_text().replace("AutoModelForSeq", "AutoModelForSek"))
    ran = pipe("run", "length", "--model", "tiny", "x")
    refused(ran, 1, "AutoModelForSekuenceClassification", hint="AutoModelForSequenceClassification")


def test_registry_that_does_not_parse(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(registry.read_text() + ")\n")
    for command in (["run", "length", "x"], ["list"], ["info", "length"]):
        refused(pipe(*command), 1, "__init__.py:9")


def test_registered_twice(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(registry.read_text() * 2)
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "length", "__init__.py:3", "__init__.py:11")
    listed = pipe("list")
    assert listed.code == 0 and "conflict" in listed.out
    assert pipe("run", "text-classification", "--model", "tiny", "x").code == 0


def test_settings(pipe: Pipe, project: Path) -> None:
    write(project, {"pyproject.toml": "[tool.pipe]\npipelinez = 'x'\n"})
    refused(pipe("list"), 1, "pipelinez", "pyproject.toml", hint="pipelines")
    write(project, {"pyproject.toml": "[tool.pipe]\npipelines = 3\n"})
    refused(pipe("list"), 1, "tool.pipe.pipelines", "3")
    write(project, {"pyproject.toml": "[tool.pipe\n"})
    refused(pipe("list"), 1, "pyproject.toml")


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of a tiny checkpoint, to be damaged."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def test_folder_without_weights(pipe: Pipe, folder: Path, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    refused(pipe("run", checkpoint, "x"), 1, "no weights", str(checkpoint))
    (checkpoint / "tf_model.h5").touch()
    refused(pipe("run", checkpoint, "x"), 1, "TensorFlow", "tf_model.h5")
    (checkpoint / "config.json").write_text("{")
    refused(pipe("run", checkpoint, "x"), 1, "config.json:1")
    (checkpoint / "config.json").unlink()
    refused(pipe("run", checkpoint, "x"), 1, "no config.json")


def test_tensorflow_weights_as_safetensors(pipe: Pipe, folder: Path, checkpoint: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, checkpoint / "model.safetensors", metadata={"format": "tf"})
    refused(pipe("run", checkpoint, "x"), 1, "TensorFlow", "model.safetensors")


def test_damaged_weights(pipe: Pipe, folder: Path, checkpoint: Path) -> None:
    weights = (checkpoint / "model.safetensors").read_bytes()
    for damaged in (weights[:-100], weights[:4], b"\xff" * 8 + weights[8:], weights[:8] + b"x" + weights[9:]):
        (checkpoint / "model.safetensors").write_bytes(damaged)
        refused(pipe("run", checkpoint, "x"), 1, "model.safetensors")


def test_another_architecture_than_the_task_takes(pipe: Pipe, project: Path, tmp_path: Path) -> None:
    from pipesmith.pipelines.testing import tiny_model

    images = tiny_model("AutoModelForImageClassification").path
    refused(pipe("run", "length", "--model", images, "x"), 1, "vit", "AutoModelForSequenceClassification")
    base = tiny_model("AutoModel").path
    refused(pipe("run", "length", "--model", base, "x"), 1, "classifier", "random", hint="--allow-random-weights")
    ran = pipe("run", "length", "--model", base, "--allow-random-weights", "x")
    assert ran.code == 0, ran.err


def test_checkpoint_whose_tokenizer_is_missing(pipe: Pipe, folder: Path, checkpoint: Path) -> None:
    for file in checkpoint.glob("*token*"):
        file.unlink()
    for name in ("vocab.txt", "special_tokens_map.json"):
        (checkpoint / name).unlink(missing_ok=True)
    refused(pipe("run", "text-classification", "--model", checkpoint, "x"), 1, "tokenizer")


def test_code_files_that_are_listed_but_missing(pipe: Pipe, custom_checkpoint: Path) -> None:
    (custom_checkpoint / "length.py").unlink()
    refused(pipe("run", custom_checkpoint, "--trust-remote-code", "x"), 1, "length.py")


def test_several_tasks_in_a_checkpoint(pipe: Pipe, custom_checkpoint: Path) -> None:
    config = json.loads((custom_checkpoint / "config.json").read_text())
    config["custom_pipelines"]["width"] = config["custom_pipelines"]["length"]
    (custom_checkpoint / "config.json").write_text(json.dumps(config))
    refused(pipe("run", custom_checkpoint, "x"), 2, "length, width", hint="--task")
    assert pipe("run", custom_checkpoint, "--task", "width", "--trust-remote-code", "x").code == 0


def test_empty_stdin(pipe: Pipe, project: Path) -> None:
    refused(pipe("run", "length", "--model", "tiny", stdin=""), 1, "stdin is empty")


def test_stdin_that_is_not_text(pipe: Pipe, project: Path) -> None:
    ran = pipe("run", "length", "--model", "tiny", stdin=b"good\n\xff\xfe bad\n")
    assert ran.code == 1 and "stdin, row 2, line 2" in ran.err and "0xff" in ran.err
    assert len(ran.rows) == 1


def test_text_longer_than_the_model_takes(pipe: Pipe, folder: Path) -> None:
    text = "word " * 700
    ran = pipe("run", "pair-classification", "--model", "tiny", "--second-text", text, "first")
    refused(ran, 1, "tokens", "512", hint="--truncation")
    assert any(part.replace(",", "").isdigit() and int(part.replace(",", "")) > 512 for part in ran.err.split())
    write(folder, {"mine.py": LENGTH_PIPELINE})
    refused(pipe("run", "mine.py", "--model", "tiny", text), 1, "512", hint="Shorten")


def test_parameter_that_the_pipeline_refuses(pipe: Pipe, folder: Path) -> None:
    run = ["run", "pair-classification", "--model", "tiny", "x"]
    refused(pipe(*run, "--top-k", "0"), 2, "top_k is at least 1, not 0")
    refused(pipe(*run, "--set", "colour=1"), 2, "colour")
    refused(pipe(*run, "--set", "topk=1"), 2, "topk", hint="top_k")
    refused(pipe(*run, "--set", "top_k=1", "--top-k", "2"), 2, "top_k", "twice")
    refused(pipe(*run, "--init", "colour=1"), 1, "colour")
    refused(pipe(*run, "--init", 'task="x"'), 2, "task")
    refused(pipe(*run, "--model-kwargs", '{"config": 1}'), 2, "config")


def test_parameter_of_a_type_that_the_pipeline_cannot_use(pipe: Pipe, folder: Path) -> None:
    given = "        if unit is not None and unit <= 0:\n            raise ValueError(unit)\n"
    start = LENGTH_PIPELINE.index("    def _sanitize_parameters")
    line = LENGTH_PIPELINE.index("\n", start) + 1
    write(folder, {"length.py": LENGTH_PIPELINE[:line] + given + LENGTH_PIPELINE[line:]})
    ran = pipe("run", "length.py", "x", "--model", "tiny", "--unit", "words")
    refused(ran, 2, "length.py:", "'<=' not supported", hint="annotation")


def test_no_parameter_is_dropped_in_silence(pipe: Pipe, project: Path) -> None:
    for task in ("text-classification", "length"):
        refused(pipe("run", task, "--model", "tiny", "--set", "nosuch=1", "x"), 2, "nosuch")
    source = LENGTH_PIPELINE.replace("loud=None,", "loud=None, unused=None,")
    write(project, {"pipelines/length.py": source})
    ran = pipe("run", "length", "--model", "tiny", "--unused", "4", "x")
    assert ran.code == 0 and "unused" in ran.err and "changes nothing" in ran.err


def test_parameters_of_the_project(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "length.py"
    registry.write_text(registry.read_text().replace(", **kwargs", ""))
    write(project, {"pyproject.toml": "[tool.pipe.tasks.length.parameters]\nunti = 'x'\n"})
    refused(pipe("run", "length", "--model", "tiny", "x"), 1, "pyproject.toml", "unti", hint="unit")


def test_default_model_that_is_not_there(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(registry.read_text().replace('type="text"', 'type="text", default="./models/none"'))
    refused(pipe("run", "length", "x"), 1, "./models/none", "__init__.py", hint="--model")
    assert pipe("run", "length", "--model", "tiny", "x").code == 0
    assert pipe("run", "length", "--help").code == 0 and pipe("info", "length").code == 0


def test_revision_without_a_repository(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    for model in ("tiny", tiny_checkpoint):
        ran = pipe("run", "text-classification", "--model", model, "--revision", "main", "x")
        refused(ran, 2, "--revision main", hint="user/repo")


def test_odd_command_lines(pipe: Pipe, project: Path) -> None:
    refused(pipe("run", "length", "x", "--model"), 2, "--model needs a value")
    refused(pipe("run", "length", "--model", "tiny", "--no-loud=true", "x"), 2, "--no-loud takes no value")
    refused(pipe("run", "length", "--model", "tiny", "-", "x"), 2, "- stands alone")
    refused(pipe("run", "length", "--model", "", "x"), 2, "--model is empty")
    refused(pipe("run", "nofile.py", "x"), 2, "nofile.py")
    refused(pipe("run", "length", "--model", "tiny", "caf\udce9"), 1, "not UTF-8")
    ran = pipe("run", "length", "--model", "tiny", "--unit", "--help", "x")
    assert ran.code == 0 and ran.rows[0]["length"].endswith("--help")
    alone = pipe()
    assert alone.code == 2 and alone.err.startswith("Usage: pipe")


def test_results_that_cannot_be_written(pipe: Pipe, folder: Path) -> None:
    for value, words in (
        ("(l := []).append(l) or l", "contains itself"),
        ("(1 / 0 for _ in 'x')", "ZeroDivisionError"),
    ):
        source = LENGTH_PIPELINE.replace('{"length": f"{outputs[\'length\']} {unit}", "scores": scores}', value)
        name = f"{words.split()[0]}.py"
        write(folder, {name: source})
        refused(pipe("run", name, "--model", "tiny", "x"), 1, words)


def test_stage_that_exits(pipe: Pipe, folder: Path) -> None:
    write(
        folder,
        {"mine.py": LENGTH_PIPELINE.replace("        scores =", "        raise SystemExit('bye')\n        scores =")},
    )
    refused(
        pipe("run", "mine.py", "--model", "tiny", "x"), 1, "LengthPipeline.postprocess", "SystemExit: bye", "mine.py"
    )


@pytest.mark.parametrize("batch_size", [1, 4])
def test_panic_of_a_library_in_rust_is_its_rows(pipe: Pipe, folder: Path, batch_size: int) -> None:
    """It is no Exception: tokenizers panic where a stride leaves no room for a second text that must be cut."""
    source = LENGTH_PIPELINE.replace("self.tokenizer(", f"self.tokenizer({'a question ' * 4!r}, ")
    source = source.replace(
        'return_tensors="pt"', 'return_tensors="pt", truncation="only_second", max_length=32, stride=30'
    )
    assert source.count("only_second") == 1
    write(folder, {"mine.py": source, "rows.txt": "short\n" + "long " * 99 + "\nshort\n"})
    ran = pipe(
        "run", "mine.py", "--model", "tiny", "--input", "rows.txt", "--batch-size", batch_size, "--format", "jsonl"
    )
    assert ran.code == 3 and "Traceback" not in ran.err, ran.err
    assert ["error" in row for row in ran.rows] == [False, True, False]
    assert "LengthPipeline.preprocess fails: PanicException: `stride` must" in json.dumps(ran.rows[1])


def test_name_of_a_guarded_import_names_the_library(pipe: Pipe, folder: Path) -> None:
    guarded = "try:\n    from no_such_library.ops import sort as order\nexcept ImportError:\n    pass\n"
    source = guarded + LENGTH_PIPELINE.replace("        scores =", "        order(outputs)\n        scores =")
    write(folder, {"mine.py": source, "slip.py": source.replace("order(", "ordre(")})
    ran = pipe("run", "mine.py", "--model", "tiny", "x")
    refused(ran, 1, "needs the package no_such_library", hint="pip install no_such_library")
    refused(pipe("run", "slip.py", "--model", "tiny", "x"), 1, "NameError: name 'ordre' is not defined", "slip.py")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_cannot_be_written(project: Path) -> None:
    pipe = str(Path(sys.executable).with_name("pipe"))
    for command in ("list", "run length --model tiny x"):
        done = subprocess.run(f"{pipe} {command} > /dev/full", shell=True, capture_output=True, text=True)
        assert done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr
        done = subprocess.run(f"{pipe} {command} >&-", shell=True, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
    done = subprocess.run(
        f"yes word | head -50 | {pipe} run length --model tiny | head -1; exit ${{PIPESTATUS[2]}}",
        shell=True,
        capture_output=True,
        text=True,
        executable="/bin/bash",
    )
    assert done.returncode == 0 and done.stderr.count("\n") <= 2 and done.stdout.count("\n") == 1


def test_weights_that_would_run_code(pipe: Pipe, folder: Path, checkpoint: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, ("ran", "w")

    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Evil()}))
    refused(pipe("run", checkpoint, "x"), 1, "hold more than weights", hint="safetensors")
    assert not (folder / "ran").exists()
