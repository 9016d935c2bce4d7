"""What the tests share: the command in this process and in one of its own, and folders written from text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub.fixtures import hub, hub_python, hub_server  # noqa: F401  # fixtures, for every test
from support import LENGTH_ENTRY, LENGTH_PIPELINE, RATE, Ran, write

# Read when transformers and huggingface_hub are imported, so before any test: no hub, and caches of this run alone.
_HOME = tempfile.mkdtemp(prefix="pipesmith-tests-")
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HOME=f"{_HOME}/huggingface",
    XDG_CONFIG_HOME=f"{_HOME}/config",
    XDG_CACHE_HOME=f"{_HOME}/cache",
    TOKENIZERS_PARALLELISM="false",
    USE_TF="0",
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

    shutil.rmtree(_HOME, ignore_errors=True)


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


@pytest.fixture
def project(folder: Path) -> Path:
    """A project with one task, `length`, around the working directory."""
    return write(folder, {"pipelines/__init__.py": LENGTH_ENTRY, "pipelines/length.py": LENGTH_PIPELINE})


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Path:
    """A tiny random checkpoint for sequence classification; not to be changed."""
    from pipesmith.pipelines.testing import tiny_model

    return Path(tiny_model("AutoModelForSequenceClassification").path)


@pytest.fixture
def custom_checkpoint(folder: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that brings the task `length`; its code leaves the file `ran` in the working directory."""
    checkpoint = tmp_path_factory.mktemp("length-model")  # a new name each time: transformers runs code once a name
    shutil.copytree(tiny_checkpoint, checkpoint, dirs_exist_ok=True)
    config = json.loads((checkpoint / "config.json").read_text())
    config["custom_pipelines"] = {
        "length": {"impl": "length.LengthPipeline", "pt": ["AutoModelForSequenceClassification"], "type": "text"}
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    write(checkpoint, {"length.py": f"open('ran', 'w').close()\n{LENGTH_PIPELINE}"})
    return checkpoint


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep tiny models from waiting for threads: other tests run beside these."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """noise.png (80 x 64), a second of sound in two channels, and, where av is there, two seconds of video."""
    import numpy as np
    import soundfile
    from PIL import Image

    folder = tmp_path_factory.mktemp("media")
    noise = np.random.default_rng(0)
    Image.fromarray(noise.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(folder / "noise.png")
    tone = np.sin(np.arange(RATE) / 20).astype("float32")
    soundfile.write(folder / "tone.wav", np.stack([tone, tone], axis=1), RATE)
    try:
        import av
    except ImportError:
        return folder
    with av.open(str(folder / "noise.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        for _ in range(16):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (64, 64, 3), dtype=np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder
