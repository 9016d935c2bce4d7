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
from typing import TypeGuard

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.expressions import Expressions
from pipesmith.pipelines.declarations.results import Note
from pipesmith.pipelines.declarations.values import (
    RANKS,
    Arguments,
    Deferred,
    External,
    Frame,
    Function,
    MissingName,
    Module,
    Unknown,
    Value,
    holds_here,
    source_text,
)
from pipesmith.pipelines.entries import Place
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.source import absolute_module, module_file, package_folder, parse

MAX_DEPTH = 5
MAX_BYTES = 1_000_000  # of all files together
MAX_BYTES_AT_ONCE = 100_000  # of files beside the registry that are walked whether or not a name of theirs is used

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
        self._main: Path | None = None
        self._bytes_read = 0
        self._is_full = False

    @abstractmethod
    def run(self, statements: Sequence[ast.stmt], frame: Frame) -> object:
        """Execute statements in their order."""

    def note(self, node: ast.AST, frame: Frame, message: str, *, unread: bool = True) -> None:
        """Note something about a line."""
        self.notes.append(Note(self.place(node, frame), message, unread=unread))

    def place(self, node: ast.AST, frame: Frame) -> Place:
        """Return where the user wrote what happens at a node: the outermost call that leads to it."""
        return self.calls[0][0] if self.calls else Place(frame.module.file, getattr(node, "lineno", 1))

    def load(self, file: Path, *, at_once: bool = False) -> Module:
        """Return the module of a file, and load the packages around it first.

        A file is walked at once if the registry's own file imports it or if it speaks of the registry; so are the
        first small ones beside the registry, as Python would. Others, such as the rest of a large package, are walked
        when one of their names is used.
        """
        key = os.path.realpath(file)
        module = self.modules.get(key)
        if module is None:
            for folder in reversed(file.parents):
                package = folder / "__init__.py"
                if self.modules and self.root in folder.parents and package != file and package.is_file():
                    self.load(package)
            module = self.modules.setdefault(key, Module(file, self._module_name(file)))
        if module.walked and RANKS[holds_here(self.conditions)] < RANKS[holds_here(module.under)]:
            module.walked = False  # what it registers was conditional, and is less so now
        if not module.walked and (at_once or self._matters(file)):
            self.walk(module)
        return module

    def _matters(self, file: Path) -> bool:
        try:
            if self.root in file.parents and self._bytes_read + file.stat().st_size < MAX_BYTES_AT_ONCE:
                return True
            text = file.read_bytes()
        except OSError:
            return False
        return b"register_pipeline" in text or b"PIPELINE_REGISTRY" in text

    def walk(self, module: Module) -> None:
        """Parse a module and walk its statements; its registrations are placed in itself, whoever imports it."""
        if module.walked:
            return
        module.walked = True
        module.under = self.conditions
        if module.tree is None:
            module.tree = self._tree(module.file)
        module.frame.names.update(__name__=module.name, __file__=str(module.file), __package__=module.name)
        calls, self.calls = self.calls, []
        try:
            self.run(module.tree.body if module.tree else [], module.frame)
        finally:
            self.calls = calls

    def _walk_later(self, module: Module) -> None:
        """Walk a module for one of its names; the conditions of the place that uses the name are not its own."""
        if not module.walked and module.file.is_file():
            conditions, self.conditions = self.conditions, ()
            try:
                self.walk(module)
            finally:
                self.conditions = conditions

    def _tree(self, file: Path) -> ast.Module | None:
        """Parse a file; note one that cannot be parsed, or raise the error if it is the registry itself."""
        is_main = self._main is None
        self._main = self._main or file
        line = 1
        try:
            if is_main:
                return parse(file)
            self._bytes_read += file.stat().st_size
            if self._bytes_read <= MAX_BYTES:
                return parse(file)
            if self._is_full:
                return None  # noted before
            self._is_full = True
            message = f"not read, nor what else is imported: the files are larger than {MAX_BYTES:,} bytes together"
        except PipelineLoadError as error:
            if is_main:
                raise
            cause = error.__cause__
            line = (cause.lineno or 1) if isinstance(cause, SyntaxError) else 1
            message = f"does not parse: {cause.msg}" if isinstance(cause, SyntaxError) else "cannot be read"
        except (RecursionError, MemoryError) as error:
            message = "does not parse: its expressions are nested too deeply"
            if is_main:
                raise PipelineLoadError(f"{file} {message}.") from error
        except OSError:
            message = "cannot be read"
        self.notes.append(Note(Place(file, line), message))
        return None

    def _module_name(self, file: Path) -> str:
        path = file.parent if file.name == "__init__.py" else file.with_suffix("")
        try:
            return ".".join(path.relative_to(self.root.parent).parts)
        except ValueError:
            return path.name

    def module_attribute(self, module: Module, name: str) -> Value:
        self._walk_later(module)
        if name in module.frame.names:
            return module.frame.names[name]
        file = _submodule(module, name)
        loaded = self.modules.get(os.path.realpath(file)) if file is not None else None
        if loaded is not None:
            return loaded
        if module.stars and module.tree is not None:
            return environment.external(f"{module.stars[-1]}.{name}")
        return MissingName(name, module.file)

    def imported(self, module: Module, name: str) -> Value:
        """Return what `from module import name` binds: an attribute, or else a submodule."""
        self._walk_later(module)
        if name not in module.frame.names:
            file = _submodule(module, name)
            if file is not None:
                return self.load(file)
        return self.module_attribute(module, name)

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
            bound = alias.asname or alias.name
            if isinstance(found, External):
                if alias.name == "*":
                    frame.module.stars.append(found.dotted)
                else:
                    frame.names[bound] = environment.external(f"{found.dotted}.{alias.name}")
            elif alias.name == "*":
                self._import_all(found, frame)
            elif found.walked or not found.file.is_file():
                frame.names[bound] = self.imported(found, alias.name)
            else:
                file = _submodule(found, alias.name)
                if file is not None:
                    self.load(file, at_once=frame.module.file == self._main)
                frame.names[bound] = Deferred(found, alias.name)

    def _import_all(self, found: Module, frame: Frame) -> None:
        self._walk_later(found)
        names = found.frame.names
        listed = names.get("__all__")
        wanted = listed if isinstance(listed, (list, tuple)) else [name for name in names if not name.startswith("_")]
        for name in wanted:
            if isinstance(name, str):
                frame.names[name] = self.imported(found, name)
        frame.module.stars += found.stars

    def _find(self, module: Module, level: int, dotted: str | None) -> Module | External:
        """Return what an import names: a file of the user's, or a package that is not read."""
        if module.package is not None:
            package = module.package.split(".")
            around = package[: len(package) - level + 1] if level else []
            return External(".".join([*around, *(dotted.split(".") if dotted else [])]))
        found = self._locate(module.file, level, dotted)
        if isinstance(found, External):
            return found
        if found.is_file():
            return self.load(found, at_once=module.file == self._main)
        return Module(found, found.parent.name if found.name == "__init__.py" else found.stem)

    def _locate(self, importer: Path, level: int, dotted: str | None) -> Path | External:
        """Return the file that an import names, which may not exist, or the package if it is not the user's.

        A folder without an __init__.py is named by the one that it does not have.
        """
        parts = dotted.split(".") if dotted else []
        if level:
            folder = importer.parent
            for _ in range(level - 1):
                folder = folder.parent
            path = folder.joinpath(*parts)
            return (module_file(path) if parts else None) or _without_file(path)
        if parts[0] in HARMLESS or parts[0] in sys.stdlib_module_names:
            return External(".".join(parts))
        found, installed = absolute_module(".".join(parts), importer)
        if found is not None and not installed:
            return found
        if self.import_root is not None and (below := module_file(self.import_root.joinpath(*parts))) is not None:
            return below
        folder = next((parent.parent for parent in importer.parents if parent.name == parts[0]), importer.parent)
        path = folder.joinpath(*parts)
        is_own = path.is_dir() or (len(parts) > 1 and path.parent.is_dir())
        return _without_file(path) if is_own and package_folder(parts[0]) is None else External(".".join(parts))

    def import_works(self, statement: ast.Import | ast.ImportFrom, importer: Path, _depth: int = 0) -> bool | None:
        """Tell whether an import statement works; None if only trying it would tell."""
        imports: list[tuple[int, str | None, tuple[str, ...]]]
        if isinstance(statement, ast.Import):
            imports = [(0, alias.name, ()) for alias in statement.names]
        else:
            imports = [(statement.level, statement.module, tuple(alias.name for alias in statement.names))]
        verdicts: list[bool | None] = []
        for level, dotted, names in imports:
            found = self._locate(importer, level, dotted)
            if isinstance(found, External):
                verdicts.append(environment.can_import(found.dotted, names))
            elif not found.is_file():
                verdicts.append(None if found.name == "__init__.py" else False)
            elif _depth >= MAX_DEPTH or found.stat().st_size > MAX_BYTES_AT_ONCE:
                verdicts.append(None)
            else:
                try:
                    body = parse(found).body
                except (PipelineLoadError, RecursionError, MemoryError):
                    return None
                verdicts += [self.import_works(inner, found, _depth + 1) for inner in body if is_import(inner)]
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


def is_import(statement: ast.stmt) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def _submodule(module: Module, name: str) -> Path | None:
    return module_file(module.file.parent / name) if module.file.name == "__init__.py" else None


def _without_file(path: Path) -> Path:
    """Return the file that a folder or a module has, or would have."""
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
