"""What the tests share: the command in this process and in one of its own, and folders written from text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Read when transformers and huggingface_hub are imported, so before any test: no hub, and caches of this run alone.
_HOME = tempfile.mkdtemp(prefix="pipesmith-tests-")
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HOME=f"{_HOME}/huggingface",
    XDG_CONFIG_HOME=f"{_HOME}/config",
    XDG_CACHE_HOME=f"{_HOME}/cache",
    TOKENIZERS_PARALLELISM="false",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: `make test-all` runs it"))


@pytest.fixture(autouse=True, scope="session")
def _remove_home() -> Iterator[None]:
    yield
    import shutil

    shutil.rmtree(_HOME, ignore_errors=True)


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def pipe() -> Callable[..., Ran]:
    """Run `pipe` in this process, so that torch is imported once."""
    from typer.testing import CliRunner

    from pipesmith.cli.main import app

    def run(*args: object, stdin: str | bytes | None = None) -> Ran:
        result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin, prog_name="pipe")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def pipe_process() -> Callable[..., Ran]:
    """Run `pipe` as a user's shell does."""

    def run(*args: object, stdin: str | None = None, cwd: Path | None = None, **env: str) -> Ran:
        command = [str(Path(sys.executable).with_name("pipe")), *map(str, args)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=300
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files from texts, dedented."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


# A user's pipeline: small, and every stage of its own.
LENGTH_PIPELINE = """
from transformers import Pipeline


class LengthPipeline(Pipeline):
    '''Score a text and say how long it is.

    Args:
        unit (`str`): what to call the length.
        top_k (`int`): how many scores.
    '''

    def _sanitize_parameters(self, unit=None, top_k=None, loud=None, **kwargs):
        post = {}
        if unit is not None:
            post["unit"] = unit
        if top_k is not None:
            post["top_k"] = top_k
        if loud is not None:
            post["loud"] = loud
        return {}, {}, post

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, inputs):
        outputs = self.model(**inputs)
        return {"logits": outputs.logits, "length": inputs["input_ids"].shape[-1]}

    def postprocess(self, outputs, unit: str = "tokens", top_k: int = 1, loud: bool = False):
        scores = outputs["logits"][0].softmax(-1).topk(top_k).values.tolist()
        unit = unit.upper() if loud else unit
        return {"length": f"{outputs['length']} {unit}", "scores": scores}
"""
LENGTH_ENTRY = """
from pipesmith.pipelines import PIPELINE_REGISTRY

PIPELINE_REGISTRY.register_pipeline(
    "length",
    pipeline_class="length.LengthPipeline",
    pt_model="AutoModelForSequenceClassification",
    type="text",
)
"""


@pytest.fixture
def project(folder: Path) -> Path:
    """A project with one task, `length`, around the working directory."""
    return write(folder, {"pipelines/__init__.py": LENGTH_ENTRY, "pipelines/length.py": LENGTH_PIPELINE})
