"""How long the shell waits: `pipe` beside the least that could be done, paired in one run.

    python tests/benchmarks/startup.py [--runs 15]

Prints, for each pair, the median wall-clock seconds of both commands and the median of the ratios, run in turn (A B A
B ...) so that a machine whose speed drifts does the same to both. Not a test: a time is never an assertion.
"""

from __future__ import annotations

import argparse
import importlib.resources
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PIPE = str(Path(sys.executable).with_name("pipe"))
CHECKPOINT = str(importlib.resources.files("pipesmith.pipelines") / "builtin" / "checkpoints" / "pair-classification")
TEXT = "The company acquired its competitor last year."
SCRIPT = f"""
from transformers import pipeline
print(pipeline("text-classification", model={CHECKPOINT!r})({TEXT!r}))
"""
IMPORTS = [sys.executable, "-c", "import typer, rich.console"]
PAIRS = {
    "pipe --help / import typer, rich.console": ([PIPE, "--help"], IMPORTS),
    "pipe new-task / import typer, rich, jinja2, libcst": (
        [PIPE, "new-task", "my-task", "--yes"],
        [sys.executable, "-c", "import typer, rich, jinja2, libcst"],
    ),
    "pipe list / import typer, rich.console": ([PIPE, "list"], IMPORTS),
    "pipe run TASK --help / import typer, rich.console": ([PIPE, "run", "pair-classification", "--help"], IMPORTS),
    "pipe run, cold / transformers.pipeline, cold": (
        [PIPE, "run", "text-classification", "--model", CHECKPOINT, TEXT],
        [sys.executable, "-c", SCRIPT],
    ),
}


def seconds(command: list[str]) -> float:
    """Run a command in an empty folder and return its wall-clock seconds."""
    with tempfile.TemporaryDirectory() as folder:  # empty, as `new-task` is measured in
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        return time.perf_counter() - start


def main() -> None:
    """Time every pair and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="counted runs of each command; one more warms up")
    runs = parser.parse_args().runs
    print(f"{'A / B':<52} {'A s':>7} {'B s':>7} {'A/B':>6}")
    for name, (first, second) in PAIRS.items():
        seconds(first), seconds(second)
        times = [(seconds(first), seconds(second)) for _ in range(runs)]
        ratio = statistics.median(a / b for a, b in times)
        a, b = (statistics.median(column) for column in zip(*times))
        print(f"{name:<52} {a:7.3f} {b:7.3f} {ratio:6.2f}", flush=True)


if __name__ == "__main__":
    main()
