"""`pipe new-task --into`: a task put into a checkout of transformers, whose other bytes all stay."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import Ran, write

pytestmark = pytest.mark.both_lines

PAGE = """
# Pipelines

## Audio

### AudioClassificationPipeline

[[autodoc]] AudioClassificationPipeline
    - __call__
    - all


### ZeroShotAudioClassificationPipeline

[[autodoc]] ZeroShotAudioClassificationPipeline
    - __call__
    - all

## Computer vision

### DepthEstimationPipeline
[[autodoc]] DepthEstimationPipeline
    - __call__
    - all

## Natural Language Processing

### FillMaskPipeline

[[autodoc]] FillMaskPipeline
    - __call__
    - all

### NerPipeline

[[autodoc]] NerPipeline

## Parent class: `Pipeline`

[[autodoc]] Pipeline
"""
ANY = """
class ANY:
    def __init__(self, *types):
        self.types = types

    def __eq__(self, other):
        return isinstance(other, self.types)
"""
REGISTRY = "src/transformers/pipelines/__init__.py"
PUBLIC = "src/transformers/__init__.py"
MODULE = "src/transformers/pipelines/my_task.py"
TESTS = "tests/pipelines/test_pipelines_my_task.py"
DOCUMENTATION = "docs/source/en/main_classes/pipelines.md"


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the installed transformers: what may be edited is a copy, the rest are links."""
    spec = find_spec("transformers")
    assert spec is not None and spec.origin is not None
    installed = Path(spec.origin).parent
    root = tmp_path_factory.mktemp("checkout")
    package = root / "src" / "transformers"
    package.mkdir(parents=True)
    for path in installed.iterdir():
        if path.name == "pipelines":
            shutil.copytree(path, package / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name == "__init__.py":
            shutil.copy(path, package)
        elif path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    return write(
        root,
        {DOCUMENTATION: PAGE, "tests/__init__.py": "", "tests/pipelines/__init__.py": ""}
        | {"tests/pipelines/test_pipelines_common.py": ANY},
    )


def files(root: Path) -> dict[str, bytes]:
    """Return what stands in a checkout itself, links left out."""
    found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found if "__pycache__" not in path.parts}


def test_the_task_works_from_the_checkout_and_nothing_else_changed(
    checkout: Path, folder: Path, pipe: Callable[..., Ran], tiny_checkpoint: Path
) -> None:
    before = files(checkout)
    ran = pipe("new-task", "my-task", "--yes", "--into", checkout)
    assert ran.code == 0, ran.err
    after = files(checkout)
    assert {name for name in after if after[name] != before.get(name)} == {
        *(REGISTRY, PUBLIC, MODULE, TESTS, DOCUMENTATION)
    }
    for name in (REGISTRY, PUBLIC, DOCUMENTATION):
        lines = difflib.ndiff(before[name].decode().splitlines(True), after[name].decode().splitlines(True))
        assert not [line for line in lines if line.startswith("-")]
    assert not list(folder.iterdir())
    assert "pipesmith" not in (checkout / MODULE).read_text() + (checkout / TESTS).read_text()

    for more in (["my-sentiment", "--from", "text-classification"], ["my-sound", "--type", "audio", "--chunk"]):
        ran = pipe("new-task", *more, "--yes", "--into", checkout)
        assert ran.code == 0, ran.err
    script = f"""
        import sys

        import transformers
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, MySoundPipeline, pipeline

        assert transformers.__file__ == {str(checkout / PUBLIC)!r}, transformers.__file__
        model = {str(tiny_checkpoint)!r}
        pipe = pipeline("my-task", model=model)
        assert type(pipe).__module__ == "transformers.pipelines.my_task" and type(pipe) is transformers.MyTaskPipeline
        labels = pipe("A text.", top_k=1)
        assert set(labels[0]) == {{"label", "score"}} and len(labels) == 1, labels
        parent = pipeline("text-classification", model=model)
        assert pipeline("my-sentiment", model=model)("A text.") == parent("A text.")
        assert {{"my-task", "my-sentiment", "my-sound"}} <= set(transformers.pipelines.get_supported_tasks())

        from tests.pipelines.test_pipelines_my_task import MyTaskPipelineTests

        tests = MyTaskPipelineTests()
        loaded = AutoModelForSequenceClassification.from_pretrained(model)
        assert type(loaded.config) in tests.model_mapping
        tests.run_pipeline_test(*tests.get_test_pipeline(loaded, tokenizer=AutoTokenizer.from_pretrained(model)))
        assert "pipesmith" not in sys.modules
    """
    write(folder, {"live.py": script})
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{checkout}", "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "live.py"], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_again_it_changes_nothing_and_killed_it_is_completed(
    checkout: Path, folder: Path, pipe: Callable[..., Ran]
) -> None:
    command = ("new-task", "my-task", "--yes", "--into", checkout)
    registry = (checkout / REGISTRY).read_bytes()
    assert pipe(*command).code == 0
    made = files(checkout)
    ran = pipe(*command)
    assert ran.code == 0 and "nothing changed" in ran.err
    assert files(checkout) == made
    (checkout / REGISTRY).write_bytes(registry)
    (checkout / MODULE).unlink()
    assert pipe(*command).code == 0
    assert files(checkout) == made


def test_a_checkout_is_also_the_folder_around_one(
    checkout: Path, folder: Path, pipe: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(checkout)
    monkeypatch.chdir(checkout)
    ran = pipe("new-task", "my-depth", "--type", "image", "--yes", "--into", ".")
    assert ran.code == 0, ran.err
    assert f"my-depth is a task of {checkout.resolve()}" in ran.out
    changed = {name for name, data in files(checkout).items() if data != before.get(name)}
    own = {name.replace("my_task", "my_depth") for name in (MODULE, TESTS)}
    assert changed == {REGISTRY, PUBLIC, DOCUMENTATION, *own}  # and no pyproject.toml, no .pipe
    entry = "### MyDepthPipeline\n\n[[autodoc]] MyDepthPipeline\n    - __call__\n    - all\n\n## Natural"
    assert entry in (checkout / DOCUMENTATION).read_text()
    monkeypatch.chdir(checkout / "docs")
    ran = pipe("new-task", "my-depth", "--type", "image", "--yes", "--into", "..")
    assert ran.code == 0 and "nothing changed" in ran.err


def test_inputs_of_a_task_to_start_from_come_with_their_imports(
    checkout: Path, folder: Path, pipe: Callable[..., Ran]
) -> None:
    for task in ("document-question-answering", "video-classification", "zero-shot-audio-classification"):
        ran = pipe("new-task", f"my-{task}", "--from", task, "--yes", "--into", checkout)
        assert ran.code == 0, ran.err
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "tests"],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout


def test_dry_run_prints_the_diff_and_writes_nothing(checkout: Path, folder: Path, pipe: Callable[..., Ran]) -> None:
    before = files(checkout)
    ran = pipe("new-task", "my-task", "--default", f"user/model@{'a' * 40}", "--dry-run", "--into", checkout)
    assert ran.code == 0
    for name in (REGISTRY, PUBLIC, DOCUMENTATION):
        assert f"--- a/{name}\n+++ b/{name}\n" in ran.out
    assert f'("user/model", "{"a" * 40}")' in ran.out and '+    "my-task": {' in ran.out
    ran = pipe(
        "new-task", "my-task", "--model-class", "AutoModelForNextSentencePrediction", "--dry-run", "--into", checkout
    )
    assert (
        "\n+        AutoModelForNextSentencePrediction,\n" in ran.out
        and '"pt": (AutoModelForNextSentencePrediction,)' in ran.out
    )
    assert files(checkout) == before


def test_what_the_checkout_lacks_is_said_and_not_made(checkout: Path, folder: Path, pipe: Callable[..., Ran]) -> None:
    shutil.rmtree(checkout / "tests")
    shutil.rmtree(checkout / "docs")
    source = (checkout / PUBLIC).read_text()
    (checkout / PUBLIC).write_text(source.replace('    "pipelines": [', '    "pipelines": [] and ['))
    ran = pipe("new-task", "my-task", "--yes", "--into", checkout)
    assert ran.code == 0
    assert "no tests/pipelines: the tests were not written" in ran.err
    assert f"no {DOCUMENTATION}" in ran.err
    assert f'{PUBLIC}: MyTaskPipeline in _import_structure["pipelines"] is yours to add' in ran.err
    assert "has no default model" in ran.err
    assert sorted(path.name for path in checkout.iterdir()) == ["src"]


def test_line_ends_of_windows_stay(checkout: Path, folder: Path, pipe: Callable[..., Ran]) -> None:
    for name in (REGISTRY, PUBLIC):
        (checkout / name).write_bytes((checkout / name).read_bytes().replace(b"\n", b"\r\n"))
    assert pipe("new-task", "my-task", "--yes", "--into", checkout).code == 0
    for name in (REGISTRY, PUBLIC):
        data = (checkout / name).read_bytes()
        assert b"MyTaskPipeline" in data and data.count(b"\n") == data.count(b"\r\n")


def test_mistakes_are_sentences_and_write_nothing(
    checkout: Path, project: Path, pipe: Callable[..., Ran], tiny_checkpoint: Path
) -> None:
    write(checkout, {MODULE: "MINE = 1\n"})
    before = files(checkout)

    def error_of(*args: object) -> str:
        ran = pipe("new-task", *args, "--yes")
        assert ran.code != 0 and "Traceback" not in ran.err
        return ran.err

    assert "my_task.py would be overwritten" in error_of("my-task", "--into", checkout)
    assert "is no checkout of transformers" in error_of("my-task", "--into", project)
    assert "text_classification.py would be overwritten" in error_of("text-classification", "--into", checkout)
    assert "there is one of this name" in error_of("ner", "--into", checkout)
    assert "LengthPipeline is not transformers' own" in error_of("other", "--from", "length", "--into", checkout)
    assert "user/model@revision" in error_of("other", "--default", tiny_checkpoint, "--into", checkout)
    assert "differs from text-classification" in error_of("Text-classification", "--into", checkout)
    assert files(checkout) == before
    write(checkout, {REGISTRY: "SUPPORTED_TASKS = {\n"})
    assert f"{REGISTRY}:1 does not parse" in error_of("other", "--into", checkout)
