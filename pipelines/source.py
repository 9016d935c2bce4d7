"""Python source found and parsed without importing it.

Not an interpreter: `declarations.py` reads registrations and `signature.py` reads classes on top of it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.errors import PipelineLoadError

MEND = "Mend that line and run again."
_CHECK = "Check the path, or the entry that names it."


@dataclass(frozen=True)
class ClassReference:
    """Where a class is written.

    Args:
        name: the class's name.
        file: the file that defines or re-exports it; None if no source was found.
        module: its dotted import name for an installed package; None for a user's own file, which is loaded by path.
    """

    name: str
    file: Path | None = None
    module: str | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else f"{self.file}:{self.name}"


def parse(file: Path) -> ast.Module:
    """Parse a Python file, cached until the file changes.

    Raises:
        PipelineLoadError: the file cannot be read, or does not parse; names the line and shows it.
    """
    try:
        stat = file.stat()
    except OSError as error:
        raise PipelineLoadError(f"{file} cannot be read: {error.strerror}.", hint=_CHECK) from error
    return _parse(file, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _parse(file: Path, _mtime: int, _size: int) -> ast.Module:
    try:
        with tokenize.open(file) as stream:  # honours the file's coding line, as Python's own import does
            text = stream.read()
    except OSError as error:
        raise PipelineLoadError(f"{file} cannot be read: {error.strerror}.", hint=_CHECK) from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise PipelineLoadError(f"{file} is not Python source: {error}.", hint="Save the file as UTF-8.") from error
    try:
        return ast.parse(text, str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL byte
        raise PipelineLoadError(syntax_sentence(file, error), hint=MEND) from error
    except (RecursionError, MemoryError) as error:
        raise PipelineLoadError(f"{file} does not parse: it is nested too deeply.", hint=MEND) from error


def syntax_sentence(file: Path, error: SyntaxError | ValueError) -> str:
    """Say where a file does not parse, with the line itself."""
    if not isinstance(error, SyntaxError):
        return f"{file} does not parse: {error}."
    line = f"\n    {error.text.strip()}" if error.text else ""
    place = f"{file}:{error.lineno}" if error.lineno else str(file)
    return f"{place} does not parse: {error.msg}.{line}"


def module_file(base: Path) -> Path | None:
    """Return the file of the module that `base` (a path without an ending) names: a package or a module."""
    package = base / "__init__.py"
    if package.is_file():
        return package
    module = base.with_name(base.name + ".py")
    return module if module.is_file() else None


def relative_module(importer: Path, level: int, dotted: str | None) -> Path | None:
    """Find the file that `from {'.' * level}{dotted} import ...` in `importer` reads; None if there is none."""
    folder = importer.parent  # the same for a module and for a package's __init__.py
    for _ in range(level - 1):
        folder = folder.parent
    return module_file(folder.joinpath(*dotted.split("."))) if dotted else module_file(folder)


def absolute_module(dotted: str, importer: Path | None = None) -> tuple[Path | None, bool]:
    """Find the file of an absolute import, as seen from `importer`.

    The importer's own package comes first (`import pipelines.mine` in pipelines/__init__.py, also under a package
    that is not installed), then a sibling (`import helper`), then the installed packages; nothing is imported, parents
    included.

    Returns:
        The file, or None, and whether it belongs to an installed package.
    """
    parts = dotted.split(".")
    if importer is not None:
        for folder in importer.parents:
            if folder.name == parts[0] and (folder / "__init__.py").is_file():
                found = module_file(folder.parent.joinpath(*parts))
                if found is not None:
                    return found, False
        sibling = module_file(importer.parent.joinpath(*parts))
        if sibling is not None and sibling != importer:
            return sibling, False
    root = package_folder(parts[0])
    if root is None:
        return None, True
    return module_file(root.parent.joinpath(*parts)) if len(parts) > 1 else module_file(root), True


@functools.cache
def package_folder(name: str) -> Path | None:
    """Return the folder of an installed top-level package (or a module's path without .py), without importing it."""
    if name in sys.builtin_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: a module in sys.modules without a spec (__main__)
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin).with_suffix("")
    return None
