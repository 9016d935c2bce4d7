"""What `pipe push --output-dir` writes on each line of transformers; run in an environment of each.

    python tests/resources/published/record.py     (transformers 4.57 writes four/, 5 writes five/)

The project is that of tests/test_push.py. The weights are left out: they are those of the tiny model that the tests
build, equal on both lines. The card says with which versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import transformers  # noqa: E402
from support import write  # noqa: E402  # found through the line above
from test_push import TWO_TASKS  # noqa: E402

target = HERE / ("four" if transformers.__version__.startswith("4") else "five")
shutil.rmtree(target, ignore_errors=True)
with tempfile.TemporaryDirectory() as project:
    write(Path(project), TWO_TASKS)
    pipe = [sys.executable, "-c", "from pipesmith.cli.main import app; app(prog_name='pipe')"]
    command = [*pipe, "push", "alice/demo", "--model", "tiny", "--output-dir", str(target)]
    subprocess.run(command, cwd=project, check=True, env={**os.environ, "USE_TF": "0"})
(target / "model.safetensors").unlink()
