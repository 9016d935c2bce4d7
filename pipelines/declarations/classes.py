"""Class names in a registry, resolved to the files that define them, by reading those files' top level.

Not an importer: a class that is not found is reported, and stays a reference that the loader fails on when it is used.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.declarations.transformers_tasks import transformers_class
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.source import (
    ClassReference,
    absolute_module,
    module_file,
    package_folder,
    parse,
    relative_module,
)

_MAX_HOPS = 5


@dataclass(frozen=True)
class Resolved:
    """A class, and what is wrong with it, if anything."""

    reference: ClassReference
    problem: str | None = None


def class_of_text(text: str, importer: Path, root: Path, import_root: Path | None) -> Resolved | None:
    """Resolve `module.Class`, `file.py:Class` or a bare name as written in a registry.

    Args:
        text: the name.
        importer: the file that the name is written in.
        root: the folder of the registry's main file.
        import_root: a further folder in which modules are looked up.

    Returns:
        The class; None if the text names none.
    """
    path, colon, name = text.rpartition(":")
    if colon and name.isidentifier() and path.endswith(".py"):
        file = Path(os.path.normpath(importer.parent / Path(path).expanduser()))
        return _class_in(file, name, path)
    module, _, name = text.replace(":", ".").rpartition(".")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".") if module):
        return None
    if not module:
        if defining_file(importer, name) is not None:
            return _class_in(importer, name, importer.name)
        return class_of_package("transformers", name) if transformers_class(name) else None
    parts = module.split(".")
    for folder in dict.fromkeys((importer.parent, root, *((import_root,) if import_root else ()))):
        beside = module_file(folder.joinpath(*parts))
        if beside is not None:
            return _class_in(beside, name, module)
    found, installed = absolute_module(module, importer)
    if found is not None and not installed:
        return _class_in(found, name, module)
    if package_folder(parts[0]) is not None:
        return class_of_package(module, name)
    return Resolved(
        ClassReference(name, importer.parent.joinpath(*parts).with_suffix(".py")),
        f"there is no {'/'.join(parts)}.py beside {importer.name}",
    )


def class_of_package(module: str, name: str) -> Resolved:
    """Resolve a class of an installed package to the module that defines it, as far as relative imports show."""
    if module.partition(".")[0] == "transformers":
        defined = transformers_class(name)
        module = defined.rpartition(".")[0] if defined else module
    if package_folder(module.partition(".")[0]) is None:
        return Resolved(ClassReference(name, None, module), f"no package {module.partition('.')[0]} is installed")
    for _ in range(_MAX_HOPS):
        file, _installed = absolute_module(module)
        origin = _imported_from(file, name) if file is not None else None
        if file is None or origin is None:
            return Resolved(ClassReference(name, file, module))
        level, dotted, name = origin
        package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
        around = package[: len(package) - level + 1] if level else []
        module = ".".join([*around, *([dotted] if dotted else [])])
    return Resolved(ClassReference(name, None, module))


def class_in_file(file: Path, name: str) -> Resolved:
    """Resolve a class that a file of the user's defines or imports from another."""
    return _class_in(file, name, file.name)


def _class_in(file: Path, name: str, shown: str) -> Resolved:
    if not file.is_file():
        return Resolved(ClassReference(name, file), f"{file} does not exist")
    try:
        definer = defining_file(file, name)
    except PipelineLoadError:
        return Resolved(ClassReference(name, file), f"{file.name} cannot be read")
    if definer is None:
        return Resolved(ClassReference(name, file), f"{shown} has no class {name}")
    return Resolved(ClassReference(*definer))


def defining_file(file: Path, name: str, _hops: int = 0) -> tuple[str, Path] | None:
    """Return the name and file under which a class is defined, relative and sibling imports followed.

    Raises:
        PipelineLoadError: a file on the way does not parse.
    """
    stars = False
    for statement in _top_level(file):
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return name, file
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                stars = stars or alias.name == "*"
                if (alias.asname or alias.name) == name and _hops < _MAX_HOPS:
                    target = _target(file, statement)
                    inner = defining_file(target, alias.name, _hops + 1) if target is not None else None
                    return inner or (name, file)  # from an installed package: the file re-exports it
        if name in _bound_names(statement):
            return name, file
    return (name, file) if stars else None


def _target(file: Path, statement: ast.ImportFrom) -> Path | None:
    if statement.level:
        return relative_module(file, statement.level, statement.module)
    found, installed = absolute_module(statement.module or "", file)
    return None if installed else found


def _imported_from(file: Path, name: str) -> tuple[int, str | None, str] | None:
    """Return from where a file of a package imports a name: dots, module, its name there; None if it defines it."""
    try:
        statements = list(_top_level(file))
    except PipelineLoadError:
        return None
    for statement in statements:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return None
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return statement.level, statement.module, alias.name
    return None


def _top_level(file: Path) -> Iterator[ast.stmt]:
    """Yield the statements of a file's top level, those inside `if`, `try` and `with` too."""
    try:
        stack: list[ast.stmt] = list(reversed(parse(file).body))
    except (RecursionError, MemoryError) as error:
        raise PipelineLoadError(f"{file} cannot be read: its expressions are nested too deeply.") from error
    while stack:
        statement = stack.pop()
        yield statement
        for part in ("body", "orelse", "finalbody", "handlers"):
            if isinstance(statement, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
                stack.extend(reversed(getattr(statement, part, [])))


def _bound_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()
