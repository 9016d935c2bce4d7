"""What `pipe doctor` costs: `scan` beside `ast.parse` of the same 1,000 files, paired in one run.

    python tests/benchmarks/doctor.py [--runs 7]

Prints, for each kind of files, the best wall-clock seconds of both, run in turn (A B A B ...), and their ratio:
transformers' own files, small pipelines in which the rules find something, and small files about other things. Not a
test: a time is never an assertion.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipesmith.pipelines.doctor import scan

COUNT = 1_000
PIPELINE = """\
from transformers import Pipeline


class Pipeline{number}(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {{}}, {{}}, {{}}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        return model_outputs.logits[0].tolist()
"""
OTHER = """\
import json
from pathlib import Path


def read_{number}(path):
    with Path(path).open() as stream:
        return [json.loads(line) for line in stream if line.strip()]
"""


def write_files(folder: Path, kind: str) -> list[Path]:
    """Write the files of one kind below a folder, fifty in each sub-folder."""
    if kind == "transformers":
        spec = importlib.util.find_spec("transformers")
        assert spec is not None and spec.origin is not None
        sources = sorted(Path(spec.origin).parent.rglob("*.py"))[:COUNT]
    files = []
    for number in range(COUNT):
        file = folder / f"part_{number // 50}" / f"file_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "transformers":
            shutil.copyfile(sources[number], file)
        else:
            file.write_text((PIPELINE if kind == "small pipelines" else OTHER).format(number=number))
        files.append(file)
    return files


def parse(files: list[Path]) -> None:
    """Read and parse files, one after the other."""
    for file in files:
        ast.parse(file.read_bytes())


def seconds(action: Callable[[Any], object], of: Any) -> float:
    """Call something and return its wall-clock seconds."""
    start = time.perf_counter()
    action(of)
    return time.perf_counter() - start


def main() -> None:
    """Time every kind of files and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="runs of each, of which the best counts")
    runs = parser.parse_args().runs
    warnings.simplefilter("ignore")
    print(f"{f'{COUNT:,} files':<20} {'findings':>8} {'scan s':>8} {'ast.parse s':>12} {'ratio':>6}")
    for kind in ("transformers", "small pipelines", "small others"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = write_files(folder, kind)
            found = len(scan(folder).findings)
            times = [(seconds(scan, folder), seconds(parse, files)) for _ in range(runs)]
        ours, theirs = (min(column) for column in zip(*times))
        print(f"{kind:<20} {found:>8,} {ours:8.3f} {theirs:12.3f} {ours / theirs:6.2f}", flush=True)


if __name__ == "__main__":
    main()
