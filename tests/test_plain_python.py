"""A project's tasks in plain Python: by pipesmith's `pipeline`, and by transformers' own after `import pipelines`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import LENGTH_ENTRY, LENGTH_PIPELINE, write

pytestmark = pytest.mark.both_lines
BROKEN = """
PIPELINE_REGISTRY.register_pipeline("broken", "broken.BrokenPipeline", "AutoModel")
PIPELINE_REGISTRY.register_pipeline("second", "length.LengthPipeline", "AutoModelForSequenceClassification",
    "TFAutoModelForSequenceClassification", default="model")
"""
SCRIPT = """
import json, sys, warnings
import pipelines
found = {"light": "transformers" not in sys.modules and "torch" not in sys.modules}
if ORDER == "transformers first":
    import transformers.pipelines
    import pipelines.late
from transformers import pipeline
first = pipeline("length", model="model", unit="pieces")
found["length"] = first("some words")["length"].split()[1]
from pipelines.length import LengthPipeline
found["one class"] = isinstance(pipeline("length", model="model"), LengthPipeline)
found["default"] = pipeline("second")("some words")["length"].split()[1]
first.save_pretrained("saved")
found["saved"] = sorted(json.load(open("saved/config.json"))["custom_pipelines"])
try:
    pipeline("length")
except Exception as error:
    found["no default"] = str(error)
try:
    pipeline("broken", model="model")
except Exception as error:
    found["broken"] = str(error)
if ORDER == "transformers first":
    found["late"] = pipeline("late", model="model")("some words")["length"].split()[1]
from pipesmith.pipelines import pipeline as ours
found["ours"] = ours("length", model="model", unit="pieces")("some words")["length"].split()[1]
json.dump(found, open("found.json", "w"))
"""


@pytest.mark.parametrize("order", ["pipelines first", "transformers first"])
def test_import_pipelines_registers_with_transformers(folder: Path, tiny_checkpoint: Path, order: str) -> None:
    late = LENGTH_ENTRY.replace('"length"', '"late"')
    files = {
        "pipelines/__init__.py": LENGTH_ENTRY + BROKEN,
        "pipelines/length.py": LENGTH_PIPELINE,
        "pipelines/broken.py": "import surely_not_installed\n",
        "pipelines/late.py": late,
        "run.py": f"ORDER = {order!r}\n{SCRIPT}",
    }
    write(folder, files)
    shutil.copytree(tiny_checkpoint, folder / "model")
    done = subprocess.run([sys.executable, "run.py"], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    assert found.pop("light") and found.pop("one class")
    assert "length has no default model" in found.pop("no default")
    assert "surely_not_installed" in found.pop("broken")
    expected = {"length": "pieces", "default": "tokens", "saved": ["length", "second"], "ours": "pieces"}
    assert found == (expected | {"late": "tokens"} if order == "transformers first" else expected)
