"""The files of a registry: found through imports, parsed, and walked when something in them can matter.

Only the user's own files are read; a name imported from a package is an `External`. What the statements of a file do is
not here: `Imports` is the middle of `interpreter.Interpreter`, between expressions and statements.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.expressions import Expressions
from pipesmith.pipelines.declarations.results import Note
from pipesmith.pipelines.declarations.values import (
    Arguments,
    External,
    Frame,
    Function,
    MissingName,
    Module,
    Unknown,
    Value,
    source_text,
)
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.registry import Place
from pipesmith.pipelines.source import absolute_module, module_file, package_folder, parse

MAX_DEPTH = 5
MAX_MODULES = 200
MAX_BYTES = 1_000_000

# Packages whose functions do not register what they are given, so that handing them a class is no reason for a note.
HARMLESS = {"transformers", "torch", "tensorflow", "numpy", "pipesmith", "datasets", "huggingface_hub", "builtins"}


class Imports(Expressions):
    """Loads the files that a registry imports.

    Args:
        root: the folder of the registry's main file.
        import_root: a folder in which absolute imports are looked up, too.
    """

    def __init__(self, root: Path, import_root: Path | None) -> None:
        super().__init__()
        self.root = root
        self.import_root = import_root
        self.modules: dict[str, Module] = {}
        self.notes: list[Note] = []
        self.calls: list[tuple[Place, Function]] = []  # of the user's functions, outermost first

    @abstractmethod
    def run(self, statements: Sequence[ast.stmt], frame: Frame) -> object:
        """Execute statements in their order."""

    def note(self, node: ast.AST, frame: Frame, message: str, *, unread: bool = True) -> None:
        """Note something about a line."""
        self.notes.append(Note(self.place(node, frame), message, unread=unread))

    def place(self, node: ast.AST, frame: Frame) -> Place:
        """Return where the user wrote what happens at a node: the outermost call that leads to it."""
        return self.calls[0][0] if self.calls else Place(frame.module.file, getattr(node, "lineno", 1))

    def load(self, file: Path) -> Module:
        """Walk a file once, and the packages around it first; one that does not parse is noted."""
        key = os.path.realpath(file)
        if key in self.modules:
            return self.modules[key]
        for folder in reversed(file.parents):
            package = folder / "__init__.py"
            if self.root in folder.parents and package != file and package.is_file():
                self.load(package)
        module = self.modules[key] = Module(file, self._module_name(file), self._tree(file))
        self.walk(module)
        return module

    def walk(self, module: Module) -> None:
        """Walk a module's statements; its registrations are placed in itself, whoever imports it."""
        module.frame.names.update(__name__=module.name, __file__=str(module.file), __package__=module.name)
        calls, self.calls = self.calls, []
        try:
            self.run(module.tree.body if module.tree else [], module.frame)
        finally:
            self.calls = calls

    def _tree(self, file: Path) -> ast.Module | None:
        message = None
        line = 1
        try:
            if len(self.modules) >= MAX_MODULES:
                message = f"not read: the registry imports more than {MAX_MODULES} files"
            elif self.modules and file.stat().st_size > MAX_BYTES:
                message = f"not read: larger than {MAX_BYTES:,} bytes"
            else:
                return parse(file)
        except PipelineLoadError as error:
            if not self.modules:
                raise
            cause = error.__cause__
            line = (cause.lineno or 1) if isinstance(cause, SyntaxError) else 1
            detail = cause.msg if isinstance(cause, SyntaxError) else error.message
            message = f"does not parse: {detail}"
        except (RecursionError, MemoryError, OSError) as error:
            if not self.modules:
                raise PipelineLoadError(f"{file} cannot be read: its expressions are nested too deeply.") from error
            message = "not read: its expressions are nested too deeply"
        self.notes.append(Note(Place(file, line), message))
        return None

    def _module_name(self, file: Path) -> str:
        path = file.parent if file.name == "__init__.py" else file.with_suffix("")
        try:
            return ".".join(path.relative_to(self.root.parent).parts)
        except ValueError:
            return path.name

    def module_attribute(self, module: Module, name: str) -> Value:
        if name in module.frame.names:
            return module.frame.names[name]
        if module.file.name == "__init__.py":
            file = module_file(module.file.parent / name)
            loaded = self.modules.get(os.path.realpath(file)) if file is not None else None
            if loaded is not None:
                return loaded
        if module.tree is None and module.file.is_file():
            return MissingName(name, module.file, f"{module.file.name} could not be read")
        if module.stars:
            return environment.external(f"{module.stars[-1]}.{name}")
        return MissingName(name, module.file, f"{module.file.name} has no {name}")

    def _Import(self, node: ast.Import, frame: Frame) -> None:
        for alias in node.names:
            parts = alias.name.split(".")
            found = self._find(frame.module, 0, alias.name)
            if alias.asname is None and len(parts) > 1:
                found = self._find(frame.module, 0, parts[0])
            frame.names[alias.asname or parts[0]] = found

    def _ImportFrom(self, node: ast.ImportFrom, frame: Frame) -> None:
        found = self._find(frame.module, node.level, node.module)
        for alias in node.names:
            if alias.name == "*":
                self._import_all(found, frame)
            else:
                frame.names[alias.asname or alias.name] = self._imported(found, alias.name)

    def _imported(self, found: Module | External, name: str) -> Value:
        if isinstance(found, External):
            return environment.external(f"{found.dotted}.{name}")
        if name not in found.frame.names and found.file.name == "__init__.py":
            file = module_file(found.file.parent / name)
            if file is not None:
                return self.load(file)
        return self.module_attribute(found, name)

    def _import_all(self, found: Module | External, frame: Frame) -> None:
        if isinstance(found, External):
            frame.module.stars.append(found.dotted)
            return
        names = found.frame.names
        listed = names.get("__all__")
        wanted = listed if isinstance(listed, (list, tuple)) else [name for name in names if not name.startswith("_")]
        for name in wanted:
            if isinstance(name, str):
                frame.names[name] = self._imported(found, name)
        frame.module.stars += found.stars

    def _find(self, module: Module, level: int, dotted: str | None) -> Module | External:
        """Return what an import names: a file of the user's, walked, or a package that is not read."""
        parts = dotted.split(".") if dotted else []
        if module.package is not None:
            package = module.package.split(".")
            around = package[: len(package) - level + 1] if level else []
            return External(".".join([*around, *parts]))
        if not level and parts[0] in HARMLESS | sys.stdlib_module_names:
            return External(".".join(parts))
        if level:
            path = module.file.parent
            for _ in range(level - 1):
                path = path.parent
            path = path.joinpath(*parts)
            file = module_file(path)
        else:
            found, installed = absolute_module(".".join(parts), module.file)
            file = None if installed else found
            if file is None and self.import_root is not None:
                file = module_file(self.import_root.joinpath(*parts))
            path = next((f.parent for f in module.file.parents if f.name == parts[0]), module.file.parent)
            path = path.joinpath(*parts)
            own = (path.parent.is_dir() and len(parts) > 1) or path.is_dir()
            if file is None and (not own or package_folder(parts[0]) is not None):
                return External(".".join(parts))
        if file is not None:
            return self.load(file)
        missing = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return Module(missing, path.name, None)

    def import_works(self, statement: ast.stmt, module: Module, _depth: int = 0) -> bool | None:
        """Tell whether an import statement works; None if only trying it would tell."""
        verdicts: list[bool | None] = []
        if isinstance(statement, ast.Import):
            imports = [(0, alias.name, ()) for alias in statement.names]
        else:
            assert isinstance(statement, ast.ImportFrom)
            imports = [(statement.level, statement.module, tuple(alias.name for alias in statement.names))]  # type: ignore[list-item]
        for level, dotted, names in imports:
            found = self._find(module, level, dotted)
            if isinstance(found, External):
                verdicts.append(environment.can_import(found.dotted, names))
            elif found.tree is None:
                verdicts.append(None if found.file.is_file() or found.file.parent.is_dir() else False)
            else:
                inner = [s for s in found.tree.body if is_import(s)] if _depth < MAX_DEPTH else None
                verdicts += [None] if inner is None else [self.import_works(s, found, _depth + 1) for s in inner]
        return False if False in verdicts else None if None in verdicts else True

    def import_module(self, arguments: Arguments, node: ast.AST, frame: Frame) -> Value:
        name = arguments.positional[0] if arguments.positional else arguments.keywords.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"\.*\w+(\.\w+)*", name):
            text = source_text(node)
            self.note(node, frame, f"imports a module whose name is decided at run time ({text}); it may register more")
            return Unknown(node)
        level = len(name) - len(name.lstrip("."))
        found: Value = self._find(frame.module, level, name.lstrip("."))
        return found


def is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))
