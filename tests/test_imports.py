"""Who may import whom, and what a command that answers at once never imports."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import write

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "jinja2", "datasets", "pyarrow", "huggingface_hub", "rich", "numpy", "PIL", "libcst"}
TERMINAL = {"typer", "rich"}


def _module_level_imports(file: Path) -> Iterator[str]:
    """Yield the modules that importing a file imports; a function's and TYPE_CHECKING's are not among them."""
    waiting: list[ast.AST] = [*ast.parse(file.read_text()).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)


def _every_import(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    return found


def _sources(folder: str) -> list[Path]:
    return [file for file in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in file.parts]


def test_nothing_heavy_is_imported_at_module_level() -> None:
    for file in [*_sources("cli"), *_sources("pipelines")]:
        if "builtin" not in file.parts:
            heavy = {name for name in _module_level_imports(file) if name.partition(".")[0] in HEAVY}
            assert not heavy, file


def test_core_knows_no_terminal() -> None:
    for file in _sources("pipelines"):
        imports = _every_import(file)
        assert not any(name.startswith("pipesmith.cli") or name.partition(".")[0] in TERMINAL for name in imports), file
        if "builtin" not in file.parts:
            calls = [
                ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
            ]
            assert not {"print", "sys.exit"} & set(calls), file


def test_built_in_pipelines_need_transformers_alone() -> None:
    allowed = {"transformers", "torch", "numpy", *sys.stdlib_module_names}
    for file in sorted((ROOT / "pipelines" / "builtin").glob("*.py")):
        if file.name not in ("__init__.py", "removed_tasks.py"):  # these hold registrations
            assert {name.partition(".")[0] for name in _every_import(file)} <= allowed, file


REPORT = """
import json, sys
sys.modules["torch"] = None  # an import of it fails
from pipesmith.cli.main import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    code = end.code
roots = ("torch", "transformers", "huggingface_hub", "rich.markdown", "jinja2", "pyarrow", "numpy")
loaded = [name for name in roots if sys.modules.get(name) is not None]
print(json.dumps({"code": code, "loaded": loaded}), file=sys.stderr)
"""


@pytest.mark.both_lines
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "--format", "json"],
        ["info", "pair-classification"],
        ["info", "text-generation", "--format", "json"],
        ["run", "--help"],
        ["run", "pair-classification", "--help"],
        ["run", "text-generation", "--help"],
        ["run", "local.py:LocalPipeline", "--help"],
        ["register", "local.py:LocalPipeline", "--task", "local"],
    ],
    ids=" ".join,
)
def test_commands_that_answer_at_once_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "local.py": """
            import torch
            from transformers import Pipeline
            raise SystemExit("executed")
            class LocalPipeline(Pipeline):
                def _sanitize_parameters(self, top=None): return {}, {}, {} if top is None else {"top": top}
                def preprocess(self, text): ...
                def _forward(self, inputs): ...
                def postprocess(self, outputs, top: int = 3): ...
            """
        },
    )
    command = [sys.executable, "-c", REPORT, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    report = json.loads(done.stderr.splitlines()[-1])
    assert report == {"code": 0, "loaded": []}, done.stderr
    assert done.stdout.strip()


@pytest.mark.both_lines
def test_completion_offers_commands_tasks_and_flags_without_torch(tmp_path: Path) -> None:
    def offered(words: str) -> str:
        environment = {
            "_PIPE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        program = REPORT.replace("app(sys.argv[1:])", "app(prog_name='pipe')")

        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert json.loads(done.stderr.splitlines()[-1])["loaded"] == [], done.stderr
        return done.stdout

    assert "run" in offered("pipe r").split()
    assert "pair-classification" in offered("pipe run pair")
    assert "--second-text" in offered("pipe run pair-classification --se")
    assert "--max-new-tokens" in offered("pipe run text-generation --max")
    assert "--model" in offered("pipe run pair-classification --mo")
