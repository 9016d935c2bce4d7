"""A process that knows transformers alone: what is saved is loaded and run there, as by anybody else.

It is started before anything is loaded, so that its imports run beside ours, and answers any number of questions, each
in a fork of its own.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipesmith.pipelines import plain

_SCRIPT = Path(__file__).with_name("fresh_script.py")
_POLL = 0.02  # seconds


class FreshProcess:
    """Starts the process; its imports are under way when this returns.

    Args:
        framework: "pt", or "tf" for TensorFlow with transformers 4.
    """

    def __init__(self, framework: str = "pt") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pipesmith-fresh-")
        self._owner = os.getpid()
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_MODULES_CACHE": f"{self._folder.name}/modules",
            "TOKENIZERS_PARALLELISM": "false",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "USE_TF": "AUTO" if framework == "tf" else "0",  # "1" would leave PyTorch out
        }
        # The text and not the file: the folder of a file would stand in sys.path.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT.read_text(encoding="utf-8"), framework, str(plain.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=environment,
        )

    def ask(self, folder: Path, rows: Sequence[tuple[Any, Any]], task: str) -> dict[str, Any]:
        """Return the results of rows from a saved pipeline, or the error: waits for as long as the caller lives.

        Args:
            folder: where it is saved.
            rows: inputs and parameters.
            task: to name; "" if the folder itself names a custom one.
        """
        file, answer = folder.parent / "question", folder.parent / "answer"
        file.write_bytes(pickle.dumps({"folder": str(folder), "rows": list(rows), "task": task}))
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), f"{file}\n{answer}\n".encode())
        while not answer.exists():
            with suppress(OSError):
                if self._process.stdin.closed or not _is_alive(self._process.pid):
                    return {"error": "the process ended before it answered"}
            time.sleep(_POLL)
        found = json.loads(answer.read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """End the process."""
        if os.getpid() != self._owner:
            return
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
