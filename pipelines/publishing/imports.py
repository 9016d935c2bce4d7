"""What the import statements of a user's file mean: files of the user's own, or packages.

Nothing is imported. An import that Python finds and that cannot be published is refused with its line.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.declarations import registers_tasks
from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.source import module_file, package_folder, parse

ImportStatement = ast.Import | ast.ImportFrom
_CATCHES_IMPORT_ERROR = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_BY_TRY = "Put it into try: ... except ImportError: ..., if the code can do without it."


@dataclass(frozen=True)
class Imported:
    """One name of an import statement.

    Args:
        statement: the statement.
        alias: the name and what it is called.
        module: the dotted name of a package's module; "" for a file of the user's own.
        file: the file of the user's own that it means; None for a package, or if there is none.
        member: the name that is taken out of that file, "*" for all; None if it is the module itself.
        before: the packages' `__init__` files that Python runs before.
        is_checked: whether transformers refuses to load the code without it.
        is_missing: whether it is a relative import of no file, whose ImportError is caught.
    """

    statement: ImportStatement
    alias: ast.alias
    module: str = ""
    file: Path | None = None
    member: str | None = None
    before: tuple[Path, ...] = ()
    is_checked: bool = True
    is_missing: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the user's own that it needs."""
        return (*self.before, *([self.file] if self.file else []))


@dataclass(frozen=True)
class Scope:
    """Where files are the user's own.

    Args:
        top: the folder of the topmost package around the published file, or its folder.
        project: the project's folder, if there is one.
        registry_file: the project's registry.
    """

    top: Path
    project: Path | None
    registry_file: Path | None

    def owns(self, path: Path) -> bool:
        """Tell whether a file is the user's own, and not installed within the project."""
        around = (path, *path.parents)
        root = self.top if self.top in around else self.project
        if root not in around:
            return False
        inside = path.relative_to(root).parts
        return "site-packages" not in inside and "dist-packages" not in inside

    def is_registry(self, file: Path) -> bool:
        """Tell whether a file registers tasks, and so stays at home."""
        return file == self.registry_file or (file.name == "__init__.py" and registers_tasks(file))

    def base(self, parts: list[str], importer: Path) -> Path | None:
        """Find the user's own module or package of an absolute import, as a path without ending."""
        if parts[0] in sys.stdlib_module_names:
            return None
        folders = [folder.parent for folder in importer.parents if folder.name == parts[0]]
        folders += [importer.parent, self.top]
        around = [self.project, self.project / "src"] if self.project is not None else []
        installed = package_folder(parts[0])
        if installed is not None:
            installed = Path(os.path.normpath(installed))  # scripts put `folder/..` into sys.path
        for folder in dict.fromkeys([*folders, *around, *([installed.parent] if installed else [])]):
            if folder / parts[0] == importer.with_suffix("") or not self.owns(folder / parts[0]):
                continue
            first = module_file(folder / parts[0])
            is_weak = first is None or (folder not in folders and folder in around and first.name != "__init__.py")
            if is_weak and installed is not None and not self.owns(installed):
                continue  # neither a bare folder nor a script of the project hides a package
            base = folder.joinpath(*parts)
            if module_file(base) is not None or base.is_dir():
                return base
        return None


def read_text(file: Path) -> str:
    """Read a Python file.

    Raises:
        PublishError: it is not in UTF-8, as transformers reads it.
    """
    with file.open("rb") as stream:
        encoding = tokenize.detect_encoding(stream.readline)[0]
    if encoding not in ("utf-8", "utf-8-sig"):
        raise PublishError(f"{file}:1 is in {encoding}; transformers reads UTF-8.", hint="Save the file as UTF-8.")
    return file.read_text(encoding="utf-8-sig")


def read_imports(file: Path, scope: Scope) -> list[Imported]:
    """Read what a file of the user's imports, in file order.

    Raises:
        PublishError: an import that cannot be published.
        PipelineLoadError: the file cannot be read, or does not parse.
    """
    tree = parse(file)
    found: list[Imported] = []
    for statement, is_checked, is_caught in _statements(tree):
        reader = _Reader(file, scope, statement, is_checked, is_caught)
        found += reader.names()
    _refuse_imports_by_call(file, tree, scope)
    _refuse_data_files(file, tree)
    return found


def _statements(
    node: ast.AST, is_checked: bool = True, is_caught: bool = False
) -> Iterator[tuple[ImportStatement, bool, bool]]:
    """Yield import statements, whether transformers checks that they can be had, and whether a failure is caught."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, is_checked, is_caught
        elif isinstance(child, ast.Try):
            catches = is_caught or any(_catches(handler) for handler in child.handlers)
            for part in child.body:
                yield from _statements(ast.Module([part], []), False, catches)
            for handler in child.handlers:
                yield from _statements(handler, False, is_caught)
            for part in (*child.orelse, *child.finalbody):
                yield from _statements(ast.Module([part], []), False, is_caught)
        elif isinstance(child, ast.If):
            yield from _statements(child, is_checked and not _asks_for_library(child.test), is_caught)
        else:
            yield from _statements(child, is_checked, is_caught)


def _catches(handler: ast.ExceptHandler) -> bool:
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or (isinstance(one, ast.Name) and one.id in _CATCHES_IMPORT_ERROR) for one in types)


def _asks_for_library(test: ast.expr) -> bool:
    """Tell whether an `if` asks transformers for a library (`is_vision_available()`): it does not check those."""
    calls = (node.func for node in ast.walk(test) if isinstance(node, ast.Call))
    names = (call.id for call in calls if isinstance(call, ast.Name))
    return any(name.startswith("is_") and name.endswith("available") for name in names)


@dataclass(frozen=True)
class _Reader:
    """Reads one import statement."""

    file: Path
    scope: Scope
    statement: ImportStatement
    is_checked: bool
    is_caught: bool

    def refusal(self, what: str, hint: str) -> PublishError:
        return PublishError(f"{self.file}:{self.statement.lineno} {what}", hint=hint)

    def names(self) -> Iterator[Imported]:
        if isinstance(self.statement, ast.Import):
            for alias in self.statement.names:
                yield self._module(alias)
            return
        parts = self.statement.module.split(".") if self.statement.module else []
        if self.statement.level:
            folder = self.file.parents[self.statement.level - 1]
            base: Path | None = folder.joinpath(*parts)
        else:
            base = self.scope.base(parts, self.file)
        for alias in self.statement.names:
            if base is None:
                yield self._of_package(alias, ".".join(parts))
            else:
                yield self._member(alias, base)

    def _module(self, alias: ast.alias) -> Imported:
        """`import a.b`, `import a.b as c`."""
        base = self.scope.base(alias.name.split("."), self.file)
        if base is None:
            return self._of_package(alias, alias.name)
        file = module_file(base)
        if file is None:
            raise self.refusal(
                f"imports the folder {base}, which is no file.", f"Import its modules: from {alias.name} import ..."
            )
        return self._own(alias, file, None)

    def _member(self, alias: ast.alias, base: Path) -> Imported:
        """`from base import name`: a name of its file, or a module of its folder."""
        file = module_file(base)
        if base.is_dir() and alias.name != "*":
            inner = module_file(base / alias.name)
            if inner is not None and not (file is not None and _binds(file, alias.name, inner)):
                return self._own(alias, inner, None)
        if file is None or not self.scope.owns(file):
            return self._missing(alias, base)
        return self._own(alias, file, alias.name)

    def _own(self, alias: ast.alias, file: Path, member: str | None) -> Imported:
        if self.scope.is_registry(file):
            raise self.refusal(
                f"imports {alias.name} from {file}, which registers tasks and is not published.",
                f"Move {member or 'what you need'} into a file of its own beside it, and import it from there.",
            )
        inits = [folder / "__init__.py" for folder in file.parents if folder not in self.file.parents]
        before = [init for init in reversed(inits) if init != file and init.is_file() and _does_something(init)]
        for init in before:
            if self.scope.is_registry(init):
                raise self.refusal(
                    f"imports {alias.name} of a package that registers tasks ({init}), which is not published.",
                    "Move what you need into a file outside that package.",
                )
        return Imported(self.statement, alias, "", file, member, tuple(before), self.is_checked)

    def _missing(self, alias: ast.alias, base: Path) -> Imported:
        if self.is_caught:
            return Imported(self.statement, alias, is_checked=False, is_missing=True)
        shown = base if alias.name == "*" else base / alias.name if base.is_dir() else base
        raise self.refusal(f"imports {shown}, which is not there.", "Mend the import, or remove it.")

    def _of_package(self, alias: ast.alias, module: str) -> Imported:
        first = module.partition(".")[0]
        if first == "pipesmith":
            raise self.refusal(
                "imports pipesmith, which published code cannot count on.",
                "Keep the entry in pipelines/__init__.py, and in this file transformers alone.",
            )
        if self.is_checked and first not in sys.stdlib_module_names and not _is_importable(first):
            raise self.refusal(
                f"imports {first}, which is neither a file of yours nor installed.",
                f"Install it: pip install {first}; or mend the name. {_BY_TRY}",
            )
        return Imported(self.statement, alias, module, is_checked=self.is_checked)


def _is_importable(name: str) -> bool:
    """Tell whether a top-level module is there: in Python, compiled, or built in."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _binds(init: Path, name: str, submodule: Path) -> bool:
    """Tell whether a package's `__init__` gives a name another meaning than that of its module of this name."""
    bound = False
    for statement in parse(init).body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            bound = bound or statement.name == name
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    is_itself = statement.level == 1 and not statement.module and alias.name == name
                    bound = not is_itself
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            bound = bound or any(isinstance(node, ast.Name) and node.id == name for node in targets)
    return bound


def _does_something(init: Path) -> bool:
    """Tell whether a package's `__init__` holds more than a docstring."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in parse(init).body
    )


def _refuse_imports_by_call(file: Path, tree: ast.Module, scope: Scope) -> None:
    """Refuse `importlib.import_module("helper")` of a file of the user's own: only statements are followed."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        module = node.args[0].value
        if name not in ("import_module", "__import__") or not isinstance(module, str) or not module:
            continue
        dotted = module.lstrip(".")
        if module != dotted or scope.base(dotted.split("."), file) is not None:
            raise PublishError(
                f"{file}:{node.lineno} imports {module} by a call, which is not followed.",
                hint="Write an import statement; it may stand inside the function.",
            )


def _refuse_data_files(file: Path, tree: ast.Module) -> None:
    """Refuse a file that reads another one beside it: transformers copies Python files alone."""
    if not any(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(tree)):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant):
            continue
        text = node.value
        if not isinstance(text, str) or not 0 < len(text) < 200 or "\n" in text or "\0" in text:
            continue
        beside = Path(os.path.normpath(file.parent / text))
        if beside.is_file() and beside.suffix != ".py":
            raise PublishError(
                f"{file}:{node.lineno} reads {beside.name} beside it, and transformers copies Python files alone.",
                hint="Write its content into a Python file, or read it from the model's folder or config.",
            )
