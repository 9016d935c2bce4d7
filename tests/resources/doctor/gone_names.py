"""Make pipelines/doctor/gone.txt: what transformers 4.57 and huggingface_hub 0.36 have and 5.23 and 2.4 lack.

    python gone_names.py here of_4.json             # in an environment with transformers 4.57
    python gone_names.py gone of_4.json gone.txt    # in one with transformers 5

The first lists what each module's source defines or takes from the two libraries, and where else the same thing lies.
The second keeps what is neither in the source of 5 nor there when asked for. Names of TensorFlow and Flax, which have
rules of their own, are left out, and so are scripts and modules from which others are generated.
"""

from __future__ import annotations

import ast
import importlib
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIBRARIES = ("transformers", "huggingface_hub")
LEFT_OUT = re.compile(r"(^|[._])(tf|flax|keras|tf2)([._]|$)|\.(modular|convert)_|dummy_|__main__|testing_utils")
OF_TENSORFLOW = re.compile(r"(TF|Flax)[A-Z]\w+|(TF|FLAX)_[A-Z0-9_]*MAPPING\w*|is_(tf|flax)_available")


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the modules of the libraries, and their files."""
    for library in LIBRARIES:
        root = Path(str(importlib.import_module(library).__file__)).parent
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not LEFT_OUT.search(name):
                yield name, file


def in_source(file: Path) -> set[str]:
    """Return the names that a file defines, or imports from the libraries, at its top level."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(ast.parse(file.read_bytes()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        elif isinstance(node, ast.ImportFrom):
            if node.level or (node.module or "").partition(".")[0] in LIBRARIES:
                names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
            waiting += ast.iter_child_nodes(node)
    return names - {"*"}


def get(module: str, name: str) -> Any:
    """Return what a module has under a name, a module below it too; None if nothing."""
    try:
        return getattr(importlib.import_module(module), name)
    except Exception:  # whatever a module of another version raises
        try:
            return importlib.import_module(f"{module}.{name}")
        except Exception:
            return None


def _public(package: str) -> set[str]:
    """Return the names that a package says it has; none if it needs a library that is not there."""
    try:
        return set(dir(importlib.import_module(package)))
    except ImportError:
        return set()


def here() -> dict[str, dict[str, list[str]]]:
    """Return, by module and name, where else the same thing lies."""
    found: dict[str, dict[str, list[str]]] = {}
    for module, file in modules():
        names = in_source(file)
        if file.name == "__init__.py":
            names |= _public(module)
        known = found.setdefault(module, {})
        for name in sorted(names):
            if "." in name or name.startswith("__") or OF_TENSORFLOW.fullmatch(name) or LEFT_OUT.search(name):
                continue
            value = get(module, name)
            if value is None:
                continue
            homes = [library for library in LIBRARIES if library != module and get(library, name) is value]
            of_value = getattr(value, "__module__", None)
            if isinstance(of_value, str) and of_value != module and get(of_value, name) is value:
                homes.append(of_value)
            known[name] = [home for home in homes if home.partition(".")[0] in LIBRARIES]
    return found


def gone(of_4: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    """Yield the lines of the table: a module and its names, NAME=HOME if both lines have it there; * for a module."""
    files = dict(modules())
    sources = {module: in_source(file) for module, file in files.items()}

    def has(module: str, name: str) -> bool:
        return name in sources.get(module, ()) or get(module, name) is not None

    for module, names in of_4.items():
        try:
            importlib.import_module(module)
            is_gone = False
        except ImportError:
            is_gone = module not in files
        except Exception:
            is_gone = False
        lacking = [name for name in names if is_gone or not has(module, name)]
        homes = {name: next((home for home in names[name] if has(home, name)), None) for name in lacking}
        if is_gone:
            lacking = [name for name in lacking if homes[name]]
        elif ".models." in module:  # what a model's file imports itself is nothing to look for there
            own = [name for name in lacking if not homes[name] or names[name] == ["transformers"]]
            lacking = [name for name in own if name not in ("logging", "logger")]
        words = [f"{name}={homes[name]}" if homes[name] else name for name in lacking]
        if is_gone or words:
            yield " ".join([module, *(["*"] if is_gone else []), *words])


def main() -> None:
    """Write what was asked for. Not to stdout, where modules print that are imported."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    out = Path(sys.argv[-1])
    if sys.argv[1] == "here":
        out.write_text(json.dumps(here()))
        return
    import huggingface_hub
    import transformers

    versions = f"transformers {transformers.__version__} and huggingface_hub {huggingface_hub.__version__}"
    head = [
        f"# What transformers 4.57.6 and huggingface_hub 0.36.2 have and {versions} lack.",
        "# By tests/resources/doctor/gone_names.py: MODULE NAME NAME=HOME, * for a module that is gone itself.",
    ]
    out.write_text("\n".join([*head, *gone(json.loads(Path(sys.argv[2]).read_text())), ""]))


if __name__ == "__main__":
    main()
