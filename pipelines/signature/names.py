"""Names of source files followed to where they are defined: imports, aliases, re-exports, base classes.

Files of transformers are reached by their place, not through its lazy `__init__`, and its two base classes are known by
name: their file is never parsed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.project import folder_of_module
from pipesmith.pipelines.signature.constants import UNKNOWN, EnumMember, constant
from pipesmith.pipelines.source import absolute_module, module_file, package_folder, parse, relative_module

PIPELINE_BASES = ("Pipeline", "ChunkPipeline")
_DEEPEST = 12  # re-exports of re-exports; more is a circle

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Definition:
    """What a name stands for.

    Args:
        file: the file that defines it.
        node: a class or function statement, or the expression that is assigned to the name.
        name: the name it is defined under.
    """

    file: Path
    node: ast.AST
    name: str

    def resolve(self, node: ast.expr) -> Definition | None:
        """Find what a name stands for in this definition's file."""
        found = resolve(self.file, node)
        return found if isinstance(found, Definition) else None


@dataclass(frozen=True)
class ModuleName:
    """A module: its file, or None if no source was found for the dotted name."""

    file: Path | None
    dotted: str


@dataclass(frozen=True)
class PipelineBase:
    """transformers' own Pipeline or ChunkPipeline."""

    name: str


Found = Definition | ModuleName | PipelineBase


@dataclass(frozen=True)
class _Import:
    """One name that an import statement binds."""

    level: int
    module: str | None
    name: str | None  # None: the module itself


@dataclass
class _Bindings:
    """The names that a module's statements bind, in source order."""

    module: ast.Module
    names: dict[str, list[ast.AST | _Import]] = field(default_factory=dict)
    stars: list[_Import] = field(default_factory=list)


_bindings_of: dict[Path, _Bindings] = {}


def last_name(node: ast.AST) -> str | None:
    """Return the identifier of a name or the last one of a dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Go through statements and those inside if, try, with, for and while, but not inside functions and classes."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, name, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from statements(handler.body)


def class_body(node: ast.ClassDef) -> Iterator[ast.stmt]:
    """Go through the statements of a class, conditional ones too."""
    return statements(node.body)


def _bindings(file: Path) -> _Bindings:
    module = parse(file)
    known = _bindings_of.get(file)
    if known is not None and known.module is module:
        return known
    found = _Bindings(module)
    for statement in statements(module.body):
        _bind(found, statement)
    _bindings_of[file] = found
    return found


def _bind(found: _Bindings, statement: ast.stmt) -> None:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        found.names.setdefault(statement.name, []).append(statement)
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.asname or alias.name.split(".")[0]
            module = alias.name if alias.asname else name
            found.names.setdefault(name, []).append(_Import(0, module, None))
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            bound = _Import(statement.level, statement.module, alias.name)
            if alias.name == "*":
                found.stars.append(bound)
            else:
                found.names.setdefault(alias.asname or alias.name, []).append(bound)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                found.names.setdefault(target.id, []).append(statement.value)
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        found.names.setdefault(statement.target.id, []).append(statement.value)
    elif type(statement).__name__ == "TypeAlias":  # `type X = ...`, Python 3.12; the class is absent before
        bound_name, value = getattr(statement, "name", None), getattr(statement, "value", None)
        if isinstance(bound_name, ast.Name) and isinstance(value, ast.expr):
            found.names.setdefault(bound_name.id, []).append(value)


def resolve(file: Path, node: ast.AST, depth: int = 0) -> Found | None:
    """Find what a name or dotted name written in `file` stands for; None if that cannot be seen."""
    if isinstance(node, ast.Subscript):  # Base[T]
        return resolve(file, node.value, depth)
    if isinstance(node, ast.Name):
        return resolve_name(file, node.id, depth)
    if isinstance(node, ast.Attribute):
        owner = resolve(file, node.value, depth + 1)
        if isinstance(owner, ModuleName):
            return _member(owner, node.attr, depth + 1)
    return None


def resolve_name(file: Path, name: str, depth: int = 0) -> Found | None:
    """Find what a module-level name of `file` stands for."""
    if depth > _DEEPEST:
        return None
    try:
        known = _bindings(file)
    except PipelineLoadError:
        if depth == 0:
            raise
        return None  # another file that does not parse: its names are not found
    bound = known.names.get(name, [])
    # the last definition counts; of imports (try: ... except ImportError: ...) the first that leads somewhere
    definitions = [one for one in bound if not isinstance(one, _Import)]
    imports = [one for one in bound if isinstance(one, _Import)]
    for node in reversed(definitions):
        if isinstance(node, (ast.Name, ast.Attribute)):
            if isinstance(node, ast.Name) and node.id == name:
                continue
            found = resolve(file, node, depth + 1)
            if found is not None:
                return found
        return Definition(file, node, name)
    unread: ModuleName | None = None
    for one in imports or [_Import(star.level, star.module, name) for star in known.stars]:
        found = _imported(file, one, depth + 1)
        if isinstance(found, ModuleName) and found.file is None:
            unread = found
        elif found is not None:
            return found
    return unread


def _imported(file: Path, one: _Import, depth: int) -> Found | None:
    module = one.module or ""
    if one.level:
        source = relative_module(file, one.level, one.module)
        if source is None and one.name:  # `from . import helper` in a folder without __init__.py
            source = relative_module(file, one.level, f"{module}.{one.name}" if module else one.name)
            return ModuleName(source, one.name) if source else None
        owner = ModuleName(source, module)
    elif module.split(".")[0] == "transformers" and not _is_shadowed(file):
        owner = ModuleName(None, module)
    else:
        owner = ModuleName(absolute_module(module, file)[0] or _of_project(module, file), module)
    return owner if one.name is None else _member(owner, one.name, depth)


def _of_project(module: str, file: Path) -> Path | None:
    """Find a module that lies in the project's folder or its `src`, as the loader does for what is not installed."""
    if package_folder(module.partition(".")[0]) is not None:
        return None
    folder = folder_of_module(module, file.parent)
    return module_file(folder.joinpath(*module.split("."))) if folder is not None else None


def _is_shadowed(file: Path) -> bool:
    """Say whether `import transformers` in this file means a sibling of the user's."""
    return module_file(file.parent / "transformers") is not None and not in_transformers(file)


def _member(owner: ModuleName, name: str, depth: int) -> Found | None:
    """Find `owner.name`."""
    if owner.dotted.split(".")[0] == "transformers" and owner.file is None:
        return _transformers_member(owner.dotted, name, depth)
    if owner.file is None:
        return None
    if name in PIPELINE_BASES and owner.file == _transformers_file("pipelines", "base.py"):
        return PipelineBase(name)
    if in_transformers(owner.file) and owner.file.name == "__init__.py":
        return _transformers_member("transformers", name, depth)
    found = resolve_name(owner.file, name, depth)
    if found is None and owner.file.name == "__init__.py":
        submodule = module_file(owner.file.parent / name)
        return ModuleName(submodule, f"{owner.dotted}.{name}") if submodule else None
    return found


def _transformers_member(dotted: str, name: str, depth: int) -> Found | None:
    """Find a name imported from transformers, or from one of its modules."""
    if name in PIPELINE_BASES:
        return PipelineBase(name)
    folder = package_folder("transformers")
    if folder is None:
        return None
    source = module_file(folder.parent.joinpath(*dotted.split(".")))
    if source is not None and source.name != "__init__.py":
        return resolve_name(source, name, depth)
    submodule = module_file(folder.parent.joinpath(*dotted.split("."), name))
    if submodule is not None:
        return ModuleName(None, f"{dotted}.{name}")
    defining = pipeline_file(name)
    return resolve_name(defining, name, depth) if defining else None


def _transformers_file(*parts: str) -> Path | None:
    folder = package_folder("transformers")
    return folder.joinpath(*parts) if folder else None


@cache
def pipeline_file(class_name: str) -> Path | None:
    """Find the file of transformers/pipelines that defines a class: by its name's words, else by looking for it."""
    folder = _transformers_file("pipelines")
    if folder is None or not folder.is_dir():
        return None
    wanted = f"class {class_name}(".encode()
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in class_name).strip("_")
    guess = folder / f"{words.removesuffix('_pipeline')}.py"
    for file in (guess, *sorted(folder.glob("*.py"))):
        if file.is_file() and b"\n" + wanted in file.read_bytes():
            return file
    return None


def in_transformers(file: Path) -> bool:
    """Say whether a file belongs to the installed transformers."""
    folder = package_folder("transformers")
    return folder is not None and file.is_relative_to(folder)


def lookup_constant(file: Path, node: ast.expr) -> object:
    """Return what a module's constant or enumeration member is, or UNKNOWN."""
    found = resolve(file, node)
    if isinstance(found, Definition) and isinstance(found.node, ast.expr):
        return constant(found.node)
    if isinstance(node, ast.Attribute):
        owner = resolve(file, node.value)
        if isinstance(owner, Definition) and isinstance(owner.node, ast.ClassDef):
            return _class_constant(owner.node, node.attr)
    return UNKNOWN


def is_enum(node: ast.ClassDef) -> bool:
    """Say whether a class is an enumeration, by the names of its bases."""
    return any((last_name(base) or "").endswith(("Enum", "Flag")) for base in node.bases)


def _class_constant(owner: ast.ClassDef, name: str) -> object:
    for statement in class_body(owner):
        if isinstance(statement, ast.Assign) and any(last_name(target) == name for target in statement.targets):
            value = constant(statement.value)
            return EnumMember(owner, name, value) if is_enum(owner) else value
    return UNKNOWN
