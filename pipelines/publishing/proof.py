"""The proof that a published folder or repository loads: plain transformers in a fresh process, its outputs compared.

The process has no pipesmith, no project and, for a repository, an empty cache. Not here: what is published
(`folder.py`), and whether the files arrived unharmed (`verify.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.publishing.example import Example
from pipesmith.pipelines.testing.contract.comparing import difference

_FRESH = Path(__file__).with_name("fresh.py")
_PLAIN = Path(__file__).parent.parent / "plain.py"


def prove(
    model: str,
    examples: Sequence[Example],
    *,
    revision: str | None = None,
    code_revision: str | None = None,
    access: HubAccess | None = None,
    cache: Path | None = None,
    absent: Iterable[str] = (),
    code: Iterable[str] = (),
) -> None:
    """Load tasks in a fresh process with plain transformers, run their examples and compare the outputs.

    Args:
        model: a folder, or user/repo.
        examples: one for each task.
        revision: the commit of a repository; None for a folder.
        code_revision: the commit of another repository whose code it names.
        access: how the Hub is reached.
        cache: a cache that holds the repository, and nothing else.
        absent: packages besides pipesmith that the process must do without: the user's own.
        code: names of the folder's Python files, so that a failure can be placed.

    Raises:
        PublishError: it does not load, its example fails, or an output differs.
    """
    name = f"{model} at {revision}" if revision else "the folder"
    question = {"model": model, "revision": revision, "absent": [*absent, "pipesmith"], "code": list(code)}
    question["code_revision"] = code_revision
    found = _ask(question, examples, access, cache)
    if "error" in found:
        where = f"{found['place']}: " if found["place"] else ""
        raise PublishError(
            f"Plain transformers does not load {name}: {where}{found['error'].partition(chr(10))[0]}",
            hint="It was loaded in a fresh process, without pipesmith and your project. --verbose shows the traceback.",
        ) from RuntimeError(found["trace"])
    for example, output in zip(examples, found["outputs"]):
        differs = difference(example.output, output) if example.has_output else None
        if differs is not None:
            where = f" at {differs.path}" if differs.path else ""
            raise PublishError(
                f"{example.task} does not give in a fresh process what it gives here{where}: "
                f"{differs.expected} here, {differs.got} there.",
                hint="Look for what its code reads besides its input: files of this machine, random numbers, the time.",
            )


def _ask(
    question: dict[str, Any], examples: Sequence[Example], access: HubAccess | None, cache: Path | None
) -> dict[str, Any]:
    runs = [
        {"task": one.task, "has_example": one.has_output, "inputs": one.inputs, "parameters": dict(one.parameters)}
        for one in examples
    ]
    with tempfile.TemporaryDirectory(prefix="pipe-proof-") as scratch:
        answer, cwd = Path(scratch, "answer.json"), Path(scratch, "empty")
        cwd.mkdir()
        question = {**question, "runs": runs, "plain": str(_PLAIN), "answer": str(answer)}
        done = subprocess.run(
            [sys.executable, "-c", _FRESH.read_text(encoding="utf-8")],
            input=json.dumps(question),
            cwd=cwd,
            env=_environment(Path(scratch), access, cache),
            capture_output=True,
            text=True,
            errors="replace",
        )
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return {
                "error": f"the process ended with code {done.returncode}: {last}",
                "place": "",
                "trace": done.stderr,
            }
        found = json.loads(answer.read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


def _environment(scratch: Path, access: HubAccess | None, cache: Path | None) -> dict[str, str]:
    """Return the environment of the process: its own cache of modules, and for a repository of files, and the login."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {
        "USE_TF": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_MODULES_CACHE": str(scratch / "modules"),
    }
    if access is not None and cache is not None:
        from huggingface_hub import get_token

        environment |= {"HF_HOME": str(scratch / "home"), "HF_HUB_CACHE": str(cache)}
        token = access.token or get_token()
        if token:
            environment["HF_TOKEN"] = token
    return environment
